#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use crate::{
    load_str,
    model::{Action, Files, Rewrite},
};

fn load(route: &str) -> Result<Files, String> {
    let file = format!("listeners: [\":80\"]\nroutes: [{{ match: /a/**, {route} }}]");
    let loaded = load_str("weir.yaml", &file, &|_| None).map_err(|error| error.render())?;
    match loaded.config.routes[0].action.clone() {
        Action::Files(files) => Ok(files),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_directory_is_enough() {
    let files = load("files: public").unwrap();
    assert!(files.root.ends_with(Path::new("public")));
    assert_eq!(files.index, ["index.html"]);
    assert!(!files.listing && files.precompressed);
    assert_eq!((files.fallback, files.rewrite), (None, Rewrite::Keep));
}

#[test]
fn all_can_be_said() {
    let files = load(
        "files: { root: /srv, index: [], listing: on, fallback: /app/index.html, \
         precompressed: off }, strip_prefix: /a",
    )
    .unwrap();
    assert_eq!((files.root.as_path(), files.index.len()), (Path::new("/srv"), 0));
    assert!(files.listing && !files.precompressed);
    assert_eq!(files.fallback.as_deref(), Some("app/index.html"));
    assert_eq!(files.rewrite, Rewrite::StripPrefix("/a".to_owned()));
    assert_eq!(load("files: { root: p, fallback: off }").unwrap().fallback, None);
}

#[test]
fn what_cannot_be_is_refused() {
    for (route, wanted) in [
        ("files: { listing: on }", "`root` is missing"),
        ("files: { root: p, index: [../x] }", "hidden"),
        ("files: { root: p, index: [a/b] }", "no name of a file"),
        ("files: { root: p, fallback: a/../b }", "hidden"),
        ("files: { root: p, fallback: a//b }", "missing"),
        ("files: p, respond: 204", "exclude each other"),
        ("files: p, mirror: x", "unknown upstream"),
        ("files: p, retry: 2", "no effect"),
        ("files: p, max_body: 1KiB", "no effect"),
    ] {
        let error = load(route).unwrap_err();
        assert!(error.contains(wanted), "{route}: {error}");
    }
}
