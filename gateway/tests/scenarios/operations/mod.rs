//! What an operator does: start, look, reload, swap certificates, drain, stop.

mod access_log;
mod admin;
mod certificates;
mod drain;
mod http3;
mod listeners;
pub(crate) mod load;
mod proxy_protocol;
mod reload;
mod reload_under_load;
mod startup;
mod tracing;

use std::fs;

use crate::support::gateway::Gateway;

/// A file with one route that answers with this body.
fn answering(body: &str) -> String {
    format!(
        "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         timeouts: {{ drain: 2s }}\nroutes:\n  \
         - {{ match: {{ path: \"/**\" }}, respond: {{ status: 200, body: \"{body}\" }} }}\n"
    )
}

/// Rewrites the gateway's file at once, as editors and deployment tools do: by a rename.
pub(crate) fn rewrite(gateway: &Gateway, from: &str, to: &str) {
    let text = fs::read_to_string(&gateway.file).unwrap();
    assert!(text.contains(from), "{text}");
    let next = gateway.file.with_extension("next");
    fs::write(&next, text.replace(from, to)).unwrap();
    fs::rename(&next, &gateway.file).unwrap();
}

/// Whether requests get this body now.
fn answers(gateway: &Gateway, body: &str) -> bool {
    gateway.client().get("/").is_ok_and(|a| a.text() == body)
}
