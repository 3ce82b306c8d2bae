//! Files of a directory, over real sockets.

mod conditions;
mod example;
mod found;
mod large;
mod refused;
mod versions;

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::support::{
    answer::Answer,
    client::Client,
    gateway::{Gateway, Setup},
};

/// A gateway that serves a directory of these files, by routes in YAML in which `$DIR/public` is
/// it.
fn serving(files: &[(&str, &[u8])], routes: &str) -> Gateway {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("public");
    fs::create_dir(&root).unwrap();
    for (name, bytes) in files {
        write(&root, name, bytes);
    }
    let text = format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\nroutes:\n{routes}\n"
    );
    Setup::yaml(&text).within(dir).start()
}

/// One route for all paths.
fn simple(files: &[(&str, &[u8])]) -> Gateway {
    serving(files, "  - { name: site, files: $DIR/public }")
}

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A request with these field lines, each with its line end.
fn ask(client: &mut Client, method: &str, target: &str, fields: &str) -> Answer {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: weir.test\r\n{fields}\r\n");
    client.send(head.as_bytes());
    client.answer(method).unwrap()
}

fn get(client: &mut Client, target: &str, fields: &str) -> Answer {
    ask(client, "GET", target, fields)
}
