//! `cargo xtask doc`: the API documentation, and the pages that are made from code.

use std::fs;

use crate::process::{self, announce, cargo, root};

/// A page that is made from code.
struct Page {
    /// File below the workspace.
    file: &'static str,
    /// What it says.
    text: fn() -> String,
}

const PAGES: &[Page] = &[Page { file: "docs/configuration.md", text: weir_config::reference }];

/// Writes the generated pages and builds the documentation with warnings as errors; with
/// `--check`, a page that differs from what the code says is an error instead.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        other => return Err(format!("doc takes --check, not {other:?}")),
    };
    PAGES.iter().try_for_each(|page| generate(page, check))?;
    let mut api = cargo(["doc", "--workspace", "--no-deps", "--document-private-items"]);
    // Private items are shown, so links to them are good.
    api.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links");
    process::run(api)
}

fn generate(page: &Page, check: bool) -> Result<(), String> {
    announce(page.file);
    let file = root().join(page.file);
    let text = (page.text)();
    if fs::read_to_string(&file).is_ok_and(|old| old == text) {
        return Ok(());
    }
    if check {
        return Err(format!("{} is out of date: run `cargo xtask doc`", page.file));
    }
    fs::write(&file, text).map_err(|e| format!("{}: {e}", page.file))
}
