//! Lists of networks: `routes[].allow` and `routes[].deny`.

use super::{Complaint, Decoder};
use crate::{
    defaults::NETWORK,
    fields::Fields,
    model::{Network, Networks, NotNetwork},
    yaml::{Node, Value, shorten},
};

/// Most networks in one list; a file of their own holds more.
const NETWORKS: usize = 100_000;

/// The networks of `name`; `None` where it is off or absent.
pub(super) fn route(
    d: &mut Decoder<'_>,
    route: &Fields<'_>,
    name: &'static str,
    place: &'static str,
) -> Option<Networks> {
    let read = |d: &mut Decoder<'_>, node: &Node| match &node.value {
        Value::Text(_) if node.is_off() => None,
        Value::Text(_) | Value::List(_) => {
            if node.is_empty_list() {
                let what = format!("`{name}` is empty");
                d.report.error(node.span, what).hint =
                    Some(format!("write `{name}: off` for no list at all"));
            }
            Some(Networks { at: node.span.at(), listed: list(d, node), file: None })
        }
        Value::Map(_) | Value::Null | Value::Bad => {
            let fields = Fields::open(d, node, place);
            let listed = fields.at(d, "networks", list);
            let file = fields.path(d, "file");
            fields.finish();
            if listed.is_none() && file.is_none() && fields.node("file").is_none() {
                fields.missing(d, "networks", "write a list, or `{ file: path }`");
            }
            Some(Networks { at: node.span.at(), listed: listed.unwrap_or_default(), file })
        }
    };
    route.at(d, name, read).flatten()
}

/// Networks, one or several.
pub(super) fn list(d: &mut Decoder<'_>, node: &Node) -> Vec<Network> {
    d.each(node, NETWORKS, |d, node| d.parsed(node, NETWORK, network))
}

/// One network.
fn network(text: &str) -> Result<Network, Complaint> {
    text.parse().map_err(|wrong| match wrong {
        NotNetwork::Syntax => {
            let what = format!("expected {NETWORK}, found `{}`", shorten(text));
            let complaint = Complaint::new(what);
            match text.parse::<std::net::SocketAddr>() {
                Ok(address) => complaint.hint(format!("without the port: `{}`", address.ip())),
                Err(_) => complaint,
            }
        }
        NotNetwork::Host(meant) => {
            let what = format!("`{}` has bits set behind its length", shorten(text));
            Complaint::new(what).hint(format!("did you mean `{meant}`?"))
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::{Diagnostics, load_str, model::Config};

    fn load(route: &str) -> Result<Config, Diagnostics> {
        let file = format!("listeners: [\":80\"]\nroutes: [{{ respond: 200, {route} }}]\n");
        load_str("weir.yaml", &file, &|_| None).map(|loaded| loaded.config)
    }

    fn listed(route: &str) -> Vec<String> {
        let config = load(route).unwrap_or_else(|wrong| panic!("{wrong}"));
        let networks = config.routes[0].allow.clone().unwrap();
        networks.listed.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn networks_and_addresses_are_read() {
        let all = listed("allow: [10.0.0.0/8, 192.0.2.7, \"2001:db8::/32\", \"::1\", 0.0.0.0/0]");
        assert_eq!(all, ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::1/128", "0.0.0.0/0"]);
        assert_eq!(listed("allow: [\"::ffff:10.0.0.0/104\"]"), ["10.0.0.0/8"]);
        assert_eq!(listed("allow: 10.1.2.3"), ["10.1.2.3/32"]);
        let both = load("deny: { networks: [10.0.0.0/8], file: bad.txt }, allow: off").unwrap();
        assert!(both.routes[0].allow.is_none());
        let deny = both.routes[0].deny.as_ref().unwrap();
        assert!(deny.file.as_ref().unwrap().ends_with("bad.txt"));
        assert_eq!(deny.listed.len(), 1);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let of = |route: &str| load(route).unwrap_err().render();
        assert!(of("allow: [10.0.0.1/8]").contains("did you mean `10.0.0.0/8`?"));
        assert!(of("allow: [10.0.0.0/33]").contains("expected an address"));
        assert!(of("allow: [10.0.0.0/+8]").contains("expected an address"));
        assert!(of("allow: [\"10.0.0.1:80\"]").contains("without the port: `10.0.0.1`"));
        assert!(of("allow: [example.com]").contains("expected an address"));
        assert!(of("deny: []").contains("`deny: off`"));
        assert!(of("deny: {}").contains("`networks` is missing"));
    }
}
