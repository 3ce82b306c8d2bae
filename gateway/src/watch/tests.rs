use std::{os::unix::fs::symlink, time::Duration};

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

/// Quick, and with nothing but inotify to wake it.
const INOTIFY_ONLY: Pace = Pace {
    settle: Duration::from_millis(40),
    poll: Duration::from_secs(3600),
    sweep: Duration::from_secs(3600),
    breath: Duration::from_millis(1),
};

const POLLING: Pace = Pace { poll: Duration::from_millis(30), ..INOTIFY_ONLY };

/// Far above what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough for a change to be told that should not be.
const QUIET: Duration = Duration::from_millis(250);

async fn expect(watcher: &Watcher, paths: &[&Path]) {
    let changed = timeout(PATIENCE, watcher.changed()).await.expect("no change was told");
    let expected: BTreeSet<_> = paths.iter().copied().map(Path::to_owned).collect();
    assert_eq!(changed, expected);
}

async fn expect_silence(watcher: &Watcher) {
    let told = timeout(QUIET, watcher.changed()).await;
    assert!(told.is_err(), "told without reason: {told:?}");
}

fn directory_with(file: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(file);
    fs::write(&path, "one").unwrap();
    (directory, path)
}

fn start(paths: &[&Path], pace: Pace) -> Watcher {
    let inotify = pace.poll == INOTIFY_ONLY.poll;
    Watcher::start_with(paths.iter().copied().map(Path::to_owned), pace, inotify).unwrap()
}

#[tokio::test]
async fn every_way_to_change_a_file_is_seen() {
    for pace in [INOTIFY_ONLY, POLLING] {
        let (directory, path) = directory_with("weir.yaml");
        let other = directory.path().join("other.yaml");
        fs::write(&other, "other").unwrap();
        let watcher = start(&[&path, &other], pace);
        expect_silence(&watcher).await;

        fs::write(&path, "written in place").unwrap();
        expect(&watcher, &[&path]).await;

        let new = directory.path().join("weir.yaml.tmp");
        fs::write(&new, "renamed over it").unwrap();
        fs::rename(&new, &path).unwrap();
        expect(&watcher, &[&path]).await;

        fs::remove_file(&path).unwrap();
        expect(&watcher, &[&path]).await;
        fs::write(&path, "created again").unwrap();
        expect(&watcher, &[&path]).await;

        fs::read(&path).unwrap();
        fs::write(directory.path().join("unrelated"), "x").unwrap();
        expect_silence(&watcher).await;
    }
}

#[tokio::test]
async fn changes_that_follow_each_other_are_told_once() {
    let (directory, cert) = directory_with("edge.pem");
    let key = directory.path().join("edge.key");
    fs::write(&key, "one").unwrap();
    let pace = Pace { settle: Duration::from_secs(1), ..INOTIFY_ONLY };
    let watcher = start(&[&cert, &key], pace);
    for round in 0..4 {
        fs::remove_file(&cert).unwrap();
        fs::write(&cert, format!("cert {round}")).unwrap();
        fs::write(&key, format!("key {round}")).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    expect(&watcher, &[&cert, &key]).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    expect_silence(&watcher).await;
}

/// As the kubelet does: `tls.crt -> ..data/tls.crt`, `..data -> ..1`, and then another `..data`.
#[tokio::test]
async fn a_swapped_link_changes_the_files_behind_it() {
    for pace in [INOTIFY_ONLY, POLLING] {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let publish = |version: &str| {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("tls.crt"), version).unwrap();
            symlink(version, at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
        };
        publish("..1");
        symlink("..data/tls.crt", at("tls.crt")).unwrap();
        let path = at("tls.crt");
        let watcher = start(&[&path], pace);
        for (old, new) in [("..1", "..2"), ("..2", "..3")] {
            publish(new);
            fs::remove_dir_all(at(old)).unwrap();
            expect(&watcher, &[&path]).await;
            assert_eq!(fs::read_to_string(&path).unwrap(), new);
        }
    }
}

#[tokio::test]
async fn a_write_to_the_target_of_a_link_is_seen_and_so_is_a_link_above_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for version in ["v1", "v2"] {
        fs::create_dir_all(at("releases").join(version)).unwrap();
        fs::write(at("releases").join(version).join("edge.pem"), version).unwrap();
    }
    fs::create_dir(at("live")).unwrap();
    symlink("../releases/v1", at("live/current")).unwrap();
    let path = at("live/current/edge.pem");
    let watcher = start(&[&path], INOTIFY_ONLY);
    fs::write(at("releases/v1/edge.pem"), "v1 again").unwrap();
    expect(&watcher, &[&path]).await;
    fs::remove_file(at("live/current")).unwrap();
    symlink("../releases/v2", at("live/current")).unwrap();
    expect(&watcher, &[&path]).await;
    // The directory that is behind the link now is watched in its turn.
    fs::write(at("releases/v2/edge.pem"), "v2 again").unwrap();
    expect(&watcher, &[&path]).await;
}

#[tokio::test]
async fn a_directory_that_is_made_anew_is_watched_anew() {
    let directory = tempfile::tempdir().unwrap();
    let certs = directory.path().join("certs");
    fs::create_dir(&certs).unwrap();
    let path = certs.join("edge.pem");
    fs::write(&path, "one").unwrap();
    let watcher = start(&[&path], Pace { poll: Duration::from_millis(30), ..INOTIFY_ONLY });
    fs::remove_dir_all(&certs).unwrap();
    expect(&watcher, &[&path]).await;
    fs::create_dir(&certs).unwrap();
    fs::write(&path, "two").unwrap();
    expect(&watcher, &[&path]).await;
    fs::write(&path, "three").unwrap();
    expect(&watcher, &[&path]).await;
}

#[tokio::test]
async fn the_set_can_be_replaced() {
    let (_one, first) = directory_with("first.pem");
    let (_two, second) = directory_with("second.pem");
    let watcher = start(&[&first], INOTIFY_ONLY);
    watcher.replace([second.clone()]);
    fs::write(&second, "changed").unwrap();
    expect(&watcher, &[&second]).await;
    fs::write(&first, "no longer of interest").unwrap();
    expect_silence(&watcher).await;
}

#[tokio::test]
async fn a_replacement_loses_no_change_of_what_stays() {
    let (_one, first) = directory_with("first.pem");
    let (_two, second) = directory_with("second.pem");
    let watcher = start(&[&first], INOTIFY_ONLY);
    fs::write(&first, "changed").unwrap();
    watcher.replace([first.clone(), second.clone()]);
    expect(&watcher, &[&first]).await;
}

#[test]
fn links_in_a_circle_end() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    symlink(&a, &b).unwrap();
    symlink(&b, &a).unwrap();
    assert_eq!(directories(&a), BTreeSet::from([directory.path().to_owned()]));
}

#[test]
fn the_thread_ends_with_its_watcher() {
    let (_directory, path) = directory_with("weir.yaml");
    let watcher = start(&[&path], INOTIFY_ONLY);
    let shared = Arc::downgrade(&watcher.shared);
    drop(watcher);
    for _ in 0..400 {
        if shared.strong_count() == 0 {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("the thread is still there");
}
