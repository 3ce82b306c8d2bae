//! Every file of `examples/` loads.

use std::path::Path;

#[test]
fn every_example_loads_without_errors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let list = |folder| std::fs::read_dir(folder).expect("the folder is there");
    let mut read = 0;
    for entry in list(folder.join("cluster")).chain(list(folder)) {
        let path = entry.expect("the folder can be listed").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let loaded = weir_config::load(&path).unwrap_or_else(|wrong| panic!("{wrong}"));
            assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
            read += 1;
        }
    }
    assert!(read >= 4, "only {read} examples");
}

#[test]
fn the_list_of_endpoints_loads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/reports.yml");
    let endpoints = weir_config::load_endpoints(&path).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(endpoints.len(), 2);
}
