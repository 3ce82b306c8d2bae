//! What a route does.

use serde_json::{Map, Value, json};

use super::{file, header::pairs, object, upstream_name};
use crate::{
    model::{Config, Files, Forward, Redirect, Respond, Rewrite},
    pattern,
};

pub(super) fn forward(forward: &Forward, config: &Config, out: &mut Map<String, Value>) {
    let name = |index| upstream_name(config, index);
    match forward.split.as_slice() {
        [(index, 1)] => out.insert("to".to_owned(), json!(name(*index))),
        split => {
            let shares =
                split.iter().map(|(index, weight)| (name(*index).to_owned(), json!(weight)));
            out.insert("split".to_owned(), shares.collect::<Map<_, _>>().into())
        }
    };
    rewrite(&forward.rewrite, out);
    if let Some(host) = &forward.host {
        out.insert("set_host".to_owned(), json!(host));
    }
}

pub(super) fn redirect(redirect: &Redirect) -> Value {
    json!({ "to": pattern::show_template(&redirect.to), "status": redirect.status.as_u16() })
}

pub(super) fn respond(respond: &Respond) -> Value {
    object([
        ("status", Some(json!(respond.status.as_u16()))),
        ("body", Some(json!(respond.body))),
        ("headers", pairs(&respond.headers)),
    ])
}

pub(super) fn files(files: &Files, out: &mut Map<String, Value>) {
    let inner = json!({
        "root": file(&files.root),
        "index": files.index,
        "listing": files.listing,
        "fallback": files.fallback.as_deref().unwrap_or("off"),
        "precompressed": files.precompressed,
    });
    out.insert("files".to_owned(), inner);
    rewrite(&files.rewrite, out);
}

fn rewrite(rewrite: &Rewrite, out: &mut Map<String, Value>) {
    match rewrite {
        Rewrite::Keep => None,
        Rewrite::StripPrefix(prefix) => out.insert("strip_prefix".to_owned(), json!(prefix)),
        Rewrite::Template(pieces) => {
            out.insert("rewrite".to_owned(), json!(pattern::show_template(pieces)))
        }
    };
}
