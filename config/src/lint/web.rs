//! What is odd about what routes do for browsers, and with codings of bodies.

use crate::{
    model::{Action, Config, UpstreamProtocol},
    report::Report,
};

/// Warns of gRPC-Web before upstreams that do not speak what gRPC needs.
pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    for route in config.routes.iter().filter(|route| route.web.grpc_web) {
        let Action::Forward(forward) = &route.action else { continue };
        let mut upstreams =
            forward.split.iter().filter_map(|(index, _)| config.upstreams.get(*index));
        if let Some(old) = upstreams.find(|one| one.protocol == UpstreamProtocol::H1) {
            let what = format!("`{}` speaks HTTP/1.1, over which there is no gRPC", old.name);
            report.warn_at(route.at, what).hint =
                Some("write `protocol: h2` at the upstream".to_owned());
        }
    }
}
