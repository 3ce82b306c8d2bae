//! No text makes the configuration reader panic, and what loads means the same once explained.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_config::{explain, load_str};

fuzz_target!(|text: &str| {
    let variables = |name: &str| (name == "A").then(|| "1".to_owned());
    match load_str("fuzz.yaml", text, &variables) {
        Ok(loaded) => {
            let explained = explain(&loaded.config);
            let again = load_str("again.yaml", &explained, &|_| None);
            let again = again.unwrap_or_else(|wrong| panic!("{wrong}\n{explained}"));
            assert_eq!(explain(&again.config), explained);
        }
        Err(wrong) => {
            assert!(wrong.errors() > 0);
            let _ = (wrong.render(), wrong.to_json());
        }
    }
});
