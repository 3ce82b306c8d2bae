//! `docs/configuration.md` is what the table of keys prints.

use std::{fs, path::Path};

#[test]
fn the_page_is_printed_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let printed = weir_config::reference();
    if std::env::var_os("WEIR_BLESS").is_some() {
        fs::write(&path, &printed).expect("the page can be written");
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    assert!(page == printed, "the page is old: run this test with WEIR_BLESS=1");
}
