//! Members as a source: who offers a service, and is ready for requests.

use std::{sync::Arc, time::Duration};

use weir_config::model::DiscoverySource;
use weir_discovery::{
    announce::Announcement,
    udp::{Member, View},
    view::Serving,
};

use super::{
    discovery::Views,
    found::{Found, Question, Said},
};
use crate::clock;

#[cfg(test)]
mod tests;

/// Tells what each view says, for as long as there are views. A view comes once a second at least:
/// that is what asks twice whether there is nobody.
pub(super) async fn listen(question: Question, mut views: Views, found: Arc<Found>) {
    let DiscoverySource::Members(service) = question.source.clone() else { return };
    let mut heard = false;
    // What a membership believed that is over by now is no answer.
    while views.has_changed().is_ok() {
        let view = views.borrow_and_update().clone();
        let said = offers(&view, &service);
        // Before it has met anybody it knows nothing, and that is no failure.
        heard |= view.members.len() > 1;
        if heard && found.hear(&question, said, 0, clock::now()).is_none() {
            return;
        }
        if views.changed().await.is_err() {
            break;
        }
    }
    let why = "this gateway takes no part in the membership any more".to_owned();
    found.hear(&question, Said::Nothing(why), 0, clock::now());
}

/// What a view says of a service.
///
/// That members have died one by one is believed, that all of them have is not: then it is rather
/// this gateway that is cut off, and to ask those who served is better than to ask nobody. Who left
/// while it was ready has stepped aside: it is heard badly by members, which says little about its
/// service. One that stops says first that it is not ready.
fn offers(view: &View, service: &str) -> Said {
    let offer = |member: &Member| {
        let announcement = Announcement::decode(&member.record.meta)?;
        let offer = announcement.offer(service).filter(|offer| offer.ready)?;
        Some(Serving {
            name: member.record.name.clone(),
            address: offer.address.to_string().into(),
            weight: offer.weight.into(),
            zone: None,
        })
    };
    let live = view.members.iter().filter(|member| member.state.is_live());
    let serving: Vec<Serving> = live.filter_map(offer).collect();
    if serving.is_empty() {
        let gone = view.members.iter().filter(|member| !member.state.is_live());
        let lost = gone.filter(|member| offer(member).is_some()).count();
        if lost > 0 {
            let why = format!("all {lost} that offered it fell silent or stepped aside");
            return Said::Nothing(why);
        }
    }
    Said::For(serving, Duration::MAX)
}
