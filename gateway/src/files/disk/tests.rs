use std::{
    fs as files,
    os::unix::{fs::symlink, net::UnixListener},
    path::PathBuf,
};

use tempfile::TempDir;
use weir_config::model::Rewrite;

use super::*;

struct Tree {
    dir: TempDir,
    config: model::Files,
}

fn tree() -> Tree {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("public");
    files::create_dir_all(root.join("sub")).unwrap();
    files::create_dir_all(root.join("bare/.git")).unwrap();
    for (name, text) in [
        ("index.html", "home"),
        ("a.css", "plain"),
        ("a.css.gz", "gzipped"),
        ("a.css.br", "brotli"),
        ("b.png", "image"),
        ("b.png.gz", "never"),
        ("sub/index.html", "sub"),
        ("bare/x.txt", "x"),
        ("bare/.env", "secret"),
    ] {
        files::write(root.join(name), text).unwrap();
    }
    files::write(dir.path().join("secret"), "secret").unwrap();
    let config = model::Files {
        root,
        index: vec!["index.htm".into(), "index.html".into()],
        listing: false,
        fallback: None,
        precompressed: true,
        rewrite: Rewrite::Keep,
    };
    Tree { dir, config }
}

impl Tree {
    fn root(&self) -> PathBuf {
        self.config.root.clone()
    }

    fn find(&self, path: &str) -> Found {
        self.find_with(path, &[])
    }

    fn find_with(&self, path: &str, codings: &[Coding]) -> Found {
        let place = Place::of(path).unwrap();
        let (codings, small) = (codings.into(), 1 << 16);
        find(&self.config, &Sought { place, slashed: false, codings, small })
    }

    fn text(&self, path: &str) -> String {
        text(self.find(path))
    }
}

fn text(found: Found) -> String {
    match found {
        Found::File(file) => String::from_utf8(file.bytes.unwrap().to_vec()).unwrap(),
        other => format!("{other:?}"),
    }
}

#[test]
fn files_and_folders_are_found() {
    let tree = tree();
    for (path, wanted) in [
        ("/", "home"),
        ("/index.html", "home"),
        ("/a.css", "plain"),
        ("/sub/", "sub"),
        ("/sub", "Folder"),
        ("/nothing", "Missing"),
        ("/a.css/", "Missing"),
        ("/a.css/x", "Missing"),
        ("/bare/", "Forbidden"),
    ] {
        assert_eq!(tree.text(path), wanted, "{path}");
    }
    let long = format!("/{}", "a".repeat(300));
    assert_eq!(tree.text(&long), "Missing");
}

#[test]
fn compressed_ones_stand_in() {
    let tree = tree();
    let find = |path, codings: &[Coding]| text(tree.find_with(path, codings));
    assert_eq!(find("/a.css", &[Coding::Zstd, Coding::Gzip, Coding::Brotli]), "gzipped");
    assert_eq!(find("/a.css", &[Coding::Brotli, Coding::Gzip]), "brotli");
    assert_eq!(find("/b.png", &[Coding::Gzip]), "image", "what is compressed already");
    let Found::File(file) = tree.find_with("/a.css", &[Coding::Gzip]) else { panic!() };
    let facts = file.facts();
    assert_eq!((facts.coding, facts.varies), (Some(Coding::Gzip), true));
    let plain = model::Files { precompressed: false, ..tree.config.clone() };
    let place = Place::of("/a.css").unwrap();
    let codings = [Coding::Gzip].as_slice().into();
    let sought = Sought { place, slashed: false, codings, small: 1 << 16 };
    assert_eq!(text(find_in(&plain, &sought)), "plain");
}

fn find_in(tree: &model::Files, sought: &Sought) -> Found {
    find(tree, sought)
}

#[test]
fn links_stay_within() {
    let tree = tree();
    let (root, outside) = (tree.root(), tree.dir.path().join("secret"));
    symlink("a.css", root.join("inner.css")).unwrap();
    symlink("../a.css", root.join("sub/up.css")).unwrap();
    symlink(&outside, root.join("absolute")).unwrap();
    symlink("../secret", root.join("relative")).unwrap();
    symlink("..", root.join("parent")).unwrap();
    symlink("round", root.join("round")).unwrap();
    symlink("/etc", root.join("etc")).unwrap();
    files::remove_file(root.join("sub/index.html")).unwrap();
    symlink("../../secret", root.join("sub/index.html")).unwrap();
    symlink("../secret", root.join("c.css.gz")).unwrap();
    files::write(root.join("c.css"), "mine").unwrap();
    assert_eq!(tree.text("/inner.css"), "plain");
    assert_eq!(tree.text("/sub/up.css"), "plain");
    for path in ["/absolute", "/relative", "/parent/secret", "/round", "/etc/passwd", "/sub/"] {
        assert_eq!(tree.text(path), "Forbidden", "{path}");
    }
    assert_eq!(text(tree.find_with("/c.css", &[Coding::Gzip])), "mine");
    // Where the kernel cannot tell where a link leads, none is followed.
    let open = fs::open(&root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    assert!(step_by_step(open.as_fd(), Path::new("sub/../a.css")).is_ok(), "never asked for");
    assert!(step_by_step(open.as_fd(), Path::new("bare/x.txt")).is_ok());
    for path in ["inner.css", "absolute", "parent/secret", "etc/passwd"] {
        assert!(step_by_step(open.as_fd(), Path::new(path)).is_err(), "{path}");
    }
}

#[test]
fn only_files_are_read() {
    let tree = tree();
    let _socket = UnixListener::bind(tree.root().join("socket")).unwrap();
    let pipe = tree.root().join("pipe");
    fs::mknodat(fs::CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert_eq!(tree.text("/socket"), "Forbidden");
    assert_eq!(tree.text("/pipe"), "Forbidden", "and at once");
}

#[test]
fn a_fallback_is_served_for_nothing() {
    let mut tree = tree();
    tree.config.fallback = Some("index.html".into());
    assert_eq!(tree.text("/some/where"), "home");
    assert_eq!(tree.text("/bare/"), "home");
    assert_eq!(tree.text("/a.css"), "plain");
    tree.config.fallback = Some("gone.html".into());
    assert_eq!(tree.text("/some/where"), "Missing");
}

#[test]
fn a_listing_shows_what_is_served() {
    let mut tree = tree();
    tree.config.listing = true;
    let Found::Listing(entries) = tree.find("/bare/") else { panic!() };
    let x = Entry { name: b"x.txt".to_vec(), is_folder: false };
    assert_eq!(entries, [x]);
    assert_eq!(tree.text("/"), "home", "an index comes first");
}

#[test]
fn a_root_that_is_gone_is_said_to_be() {
    let tree = tree();
    files::rename(tree.root(), tree.dir.path().join("elsewhere")).unwrap();
    assert!(matches!(tree.find("/a.css"), Found::Failed(_)));
    symlink("elsewhere", tree.root()).unwrap();
    assert_eq!(tree.text("/a.css"), "plain", "it may be a link, and change");
}

#[test]
fn large_files_are_left_for_later() {
    let tree = tree();
    let place = Place::of("/a.css").unwrap();
    let sought = Sought { place, slashed: false, codings: SmallVec::new(), small: 4 };
    let Found::File(file) = find(&tree.config, &sought) else { panic!() };
    assert!(file.bytes.is_none());
    assert_eq!(piece(&file.file, 1, 3).unwrap(), "lai");
    assert_eq!(piece(&file.file, 3, 30).unwrap(), "in");
    assert_eq!(piece(&file.file, 9, 1).unwrap(), "");
}
