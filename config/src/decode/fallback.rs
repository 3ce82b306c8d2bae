//! `routes[].fallback`.

use super::{Decoder, Names, respond, route};
use crate::{
    fields::Fields,
    model::{Action, Fallback},
    yaml::shorten,
};

/// What happens when the route's upstream cannot answer; `None` is off.
pub(super) fn read(
    d: &mut Decoder<'_>,
    route: &Fields<'_>,
    action: Option<&Action>,
    names: &Names,
) -> Option<Fallback> {
    let fields = route.policy(d, "fallback", "routes[].fallback")?;
    let to = fields.at(d, "to", |d, node| {
        let name = d.text(node, "the name of an upstream")?;
        let index = route::index(d, node.span, name, names)?;
        if only(action) == Some(index) {
            let what = format!("`{}` is the upstream of the route itself", shorten(name));
            d.report.error(node.span, what).hint =
                Some("name another one; a further attempt at the same one is a `retry`".to_owned());
        }
        Some(index)
    });
    let place = "routes[].fallback.respond";
    let respond = fields.at(d, "respond", |d, node| respond::read(d, node, place));
    fields.finish();
    match (to, respond) {
        (Some(to), None) => to.map(Fallback::Upstream),
        (None, Some(respond)) => respond.map(Fallback::Respond),
        (None, None) => {
            fields.missing(d, "to", "name an upstream with `to: name`, or answer with `respond`");
            None
        }
        (Some(_), Some(_)) => {
            if let Some(entry) = fields.entry("respond") {
                let what = "a fallback does one thing: `to` and `respond` exclude each other";
                d.report.error(entry.key.span, what);
            }
            None
        }
    }
}

/// The one upstream that all requests of the route go to.
fn only(action: Option<&Action>) -> Option<usize> {
    let Some(Action::Forward(forward)) = action else { return None };
    let mut used = forward.split.iter().filter(|(_, weight)| *weight > 0).map(|(index, _)| *index);
    let first = used.next()?;
    used.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests;
