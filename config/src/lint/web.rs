//! What is odd about what routes do for browsers, and with codings of bodies.

use crate::{
    model::{Action, Config, Encoding, UpstreamProtocol},
    report::Report,
};

/// The highest quality of Brotli at which answers can be coded while their clients wait: the next
/// one takes several times as long.
const BROTLI_MOST: u32 = 6;

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    speechless(config, report);
    laborious(config, report);
}

/// Warns of Brotli's qualities for files that are coded once.
fn laborious(config: &Config, report: &mut Report<'_>) {
    for route in &config.routes {
        let Some(compress) = &route.web.compress else { continue };
        let is_offered = compress.encodings.contains(&Encoding::Br);
        if is_offered && compress.levels.br > BROTLI_MOST {
            let what = format!(
                "`compress.levels.br: {}` is meant for files that are coded once: each answer \
                 would keep its worker from all others for long",
                compress.levels.br
            );
            report.warn_at(route.at, what).hint =
                Some(format!("the default is 4, and up to {BROTLI_MOST} is bearable"));
        }
    }
}

/// Warns of gRPC-Web before upstreams that do not speak what gRPC needs.
fn speechless(config: &Config, report: &mut Report<'_>) {
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
