//! What must never be served, however it is asked for.

use std::{fs, os::unix::fs::symlink};

use super::{get, simple};

#[test]
fn nothing_outside_is_served() {
    let gateway = simple(&[("a.txt", b"a"), ("sub/b.txt", b"b"), (".env", b"secret")]);
    let (dir, root) = (gateway.dir(), gateway.dir().join("public"));
    fs::write(dir.join("secret"), "secret").unwrap();
    symlink("../secret", root.join("relative")).unwrap();
    symlink(dir.join("secret"), root.join("absolute")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("/proc/self", root.join("proc")).unwrap();
    symlink("../a.txt", root.join("sub/inner")).unwrap();
    for target in [
        "/../secret",
        "/sub/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/%2e%2e%2fsecret",
        "/sub/..%2f..%2fsecret",
        "/..%5csecret",
        "/%252e%252e/secret",
        "/a.txt%00.html",
        "/.env",
        "/%2eenv",
        "/sub/%2e%2e/.env",
        "/relative",
        "/absolute",
        "/up/secret",
        "/up/weir.yaml",
        "/proc/environ",
        "/proc/cwd/Cargo.toml",
        "//etc/passwd",
        "/sub/b.txt/",
        "/weir.yaml",
    ] {
        let answer = get(&mut gateway.client(), target, "");
        assert!(matches!(answer.status, 400 | 403 | 404), "{target}: {}", answer.status);
        assert!(!answer.text().contains("secret"), "{target}");
    }
    assert_eq!(get(&mut gateway.client(), "/sub/inner", "").text(), "a", "a link within is fine");
    assert_eq!(get(&mut gateway.client(), "/sub/../a.txt", "").text(), "a");
}
