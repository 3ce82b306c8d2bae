//! Scripts in files: at the start, while they change, and in the words of `weir check`.

use std::fs;

use tempfile::TempDir;

use super::get;
use crate::support::{
    eventually,
    gateway::{Setup, weir},
    origin::Origin,
};

fn says(word: &str) -> String {
    format!("local WORD = '{word}'\nfunction on_request() return {{ body = WORD }} end\n")
}

#[test]
fn a_changed_file_takes_effect_and_a_broken_one_does_not() {
    let origin = Origin::echo();
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("hook.lua");
    fs::write(&file, says("one")).unwrap();
    let setup = Setup::to(&[origin.address]).route("script: hook.lua").within(dir);
    let gateway = setup.start();
    assert_eq!(get(&gateway, "/").text(), "one");

    fs::write(&file, says("two")).unwrap();
    assert!(eventually(|| get(&gateway, "/").text() == "two"));

    fs::write(&file, "function on_request(\nreturn {} end\n").unwrap();
    assert!(eventually(|| gateway.log().contains("hook.lua:2: ")));
    assert_eq!(get(&gateway, "/").text(), "two");

    fs::remove_file(&file).unwrap();
    assert!(eventually(|| gateway.log().contains("cannot read `")));
    assert_eq!(get(&gateway, "/").text(), "two");

    fs::write(&file, says("three")).unwrap();
    assert!(eventually(|| get(&gateway, "/").text() == "three"));
}

#[test]
fn what_is_kept_outlives_a_reload() {
    let origin = Origin::echo();
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("hook.lua");
    let text = |word: &str| {
        format!(
            "function on_request() return {{ body = '{word}' .. weir.kv.incr('n', 1, 600) }} end\n"
        )
    };
    fs::write(&file, text("a")).unwrap();
    let setup = Setup::to(&[origin.address]).route("script: hook.lua").within(dir);
    let gateway = setup.start();
    assert_eq!(get(&gateway, "/").text(), "a1");
    fs::write(&file, text("b")).unwrap();
    assert!(eventually(|| get(&gateway, "/").text().starts_with('b')));
    assert!(!get(&gateway, "/").text().ends_with("b1"));
}

#[test]
fn a_check_names_file_and_line() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("weir.yaml");
    let check = |script: &str, lua: &str| {
        fs::write(dir.path().join("hook.lua"), lua).unwrap();
        let text = format!(
            "listeners: [\":0\"]\nupstreams: {{ a: {{ endpoints: [\"127.0.0.1:1\"] }} }}\n\
             routes:\n  - to: a\n    script: {script}\n"
        );
        fs::write(&file, text).unwrap();
        let output = weir(&["check", file.to_str().unwrap()]).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said.into_owned())
    };
    assert!(check("hook.lua", &says("x")).0);
    for (script, lua, what) in [
        ("hook.lua", "x = = 1", "script: hook.lua:1: "),
        ("hook.lua", "\nfunction on_request(", "script: hook.lua:"),
        ("hook.lua", "error('at the start')", "script: hook.lua:1: at the start"),
        ("hook.lua", "while true do end", "script: hook.lua:1: it "),
        ("hook.lua", "local x = 1", "script: hook.lua: it has no hook"),
        ("hook.lua", "os.execute('true')", "script: hook.lua:1: attempt to index nil"),
        ("none.lua", "", "script: cannot read `"),
        ("{ inline: 'x = = 1' }", "", "script: inline script of route-1:1: "),
    ] {
        let (good, said) = check(script, lua);
        assert!(!good && said.contains(what), "{script} {lua}: {said}");
        assert!(said.contains("weir.yaml:5:"), "{said}");
    }
}
