//! `examples/files.yaml`, as it stands there.

use super::get;
use crate::support::{
    gateway::{Setup, weir},
    origin::Origin,
};

#[test]
fn the_command_line_says_which_file_it_would_be() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/files.yaml");
    for (url, line) in [
        ("http://h/guide/pages/one.txt", "`pages/one.txt` of "),
        ("http://h/style.css", "`style.css` of "),
        ("http://h/.git/config", "nothing of "),
    ] {
        let output = weir(&["route", example, "GET", url]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(&format!("file              {line}")), "{said}");
    }
}

#[test]
fn the_example_does_what_it_says() {
    let api = Origin::echo();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let text = include_str!("../../../../examples/files.yaml")
        .replace("\":8080\"", "\"$LISTEN\"")
        .replace("127.0.0.1:9001", &api.address.to_string())
        .replace("root: site", &format!("root: {examples}/site"));
    let gateway =
        Setup::yaml(&format!("workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\n{text}")).start();
    let client = &mut gateway.client();
    assert_eq!(get(client, "/api/a", "").status, 200);
    let app = get(client, "/orders/7", "");
    assert!(app.status == 200 && app.text().contains("An application"));
    assert_eq!(app.field("cache-control"), Some("public, max-age=300"));
    let style = get(client, "/style.css", "accept-encoding: gzip\r\n");
    assert_eq!(style.field("content-encoding"), Some("gzip"));
    let guide = get(client, "/guide/", "");
    assert!(guide.text().contains("A guide"));
    assert_eq!(guide.field("cache-control"), Some("no-cache"));
    assert_eq!(get(client, "/guide/pages", "").field("location"), Some("/guide/pages/"));
    assert!(get(client, "/guide/pages/", "").text().contains("one.txt"));
    assert_eq!(get(client, "/guide/pages/two.txt", "").text(), "Two.\n");
    assert_eq!(get(client, "/guide/none", "").status, 404);
}
