//! Members on real sockets of this machine, with a short period.

use tokio::{task::JoinSet, time::timeout};

use super::*;

const SECRET: &[u8] = b"a secret of sixteen or more";
const PATIENCE: Duration = Duration::from_secs(60);

fn settings(name: &str, seeds: &[SocketAddr]) -> Settings {
    let params = Params {
        period: Duration::from_millis(200),
        gossip_interval: Duration::from_millis(40),
        timeout_min: Duration::from_millis(20),
        timeout_max: Duration::from_millis(100),
        sync_interval: Duration::from_secs(2),
        gone_interval: Duration::from_secs(1),
        ..Params::default()
    };
    Settings {
        name: name.into(),
        generation_ms: 1,
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        advertise: None,
        meta: b"zone=a".to_vec(),
        seeds: seeds.to_vec(),
        secrets: vec![SECRET.to_vec()],
        label: "test".into(),
        params,
    }
}

/// Waits until `handle` believes what `holds` asks for.
async fn until(handle: &Handle, what: &str, holds: impl Fn(&View) -> bool) {
    let mut views = handle.views();
    let held = timeout(PATIENCE, views.wait_for(|view| holds(view))).await;
    assert!(held.is_ok_and(|held| held.is_ok()), "{what}: {:?}", handle.view());
}

fn state(view: &View, name: &str) -> Option<State> {
    view.members.iter().find(|member| &*member.record.name == name).map(|member| member.state)
}

async fn start(tasks: &mut JoinSet<Ended>, settings: Settings) -> Handle {
    let (driver, handle) = bind(settings).await.unwrap();
    tasks.spawn(driver.run());
    handle
}

#[tokio::test]
async fn members_meet_crash_change_and_leave() {
    let mut tasks = JoinSet::new();
    let first = start(&mut tasks, settings("a", &[])).await;
    let mut handles = vec![first.clone()];
    for name in ["b", "c", "d"] {
        handles.push(start(&mut tasks, settings(name, &[first.addr()])).await);
    }
    let mut doomed = JoinSet::new();
    let crashing = start(&mut doomed, settings("e", &[first.addr()])).await;
    for handle in &handles {
        until(handle, "all meet", |view| view.live == 5).await;
    }

    doomed.abort_all();
    drop(crashing);
    for handle in &handles {
        until(handle, "the crash is seen", |view| state(view, "e") == Some(State::Dead)).await;
    }

    handles[1].set_meta(b"zone=b".to_vec()).await;
    for handle in &handles {
        until(handle, "the metadata comes", |view| {
            view.members.iter().any(|member| *member.record.meta == *b"zone=b")
        })
        .await;
    }

    handles[3].leave().await;
    assert_eq!(timeout(PATIENCE, tasks.join_next()).await.unwrap().unwrap().unwrap(), Ended::Left);
    for handle in &handles[..3] {
        until(handle, "the departure is told", |view| state(view, "d") == Some(State::Left)).await;
        assert_eq!(handle.view().passed.unsealed, 0);
        assert_eq!(handle.view().passed.malformed, 0);
    }
}

#[tokio::test]
async fn who_lacks_the_secret_or_the_label_stays_alone() {
    let mut tasks = JoinSet::new();
    let first = start(&mut tasks, settings("a", &[])).await;
    let seeds = [first.addr()];
    let other = Settings {
        secrets: vec![b"another secret of that size".to_vec()],
        ..settings("b", &seeds)
    };
    let elsewhere = Settings { label: "other".into(), ..settings("c", &seeds) };
    let bare = Settings { secrets: Vec::new(), ..settings("d", &seeds) };
    for strange in [other, elsewhere, bare] {
        let handle = start(&mut tasks, strange).await;
        let refused = first.view().passed.unsealed;
        until(&first, "it is refused", |view| view.passed.unsealed > refused).await;
        assert_eq!(handle.view().live, 1);
    }
    assert_eq!(first.view().live, 1);
}

#[tokio::test]
async fn keys_rotate_while_members_speak() {
    let mut tasks = JoinSet::new();
    let a = start(&mut tasks, settings("a", &[])).await;
    let b = start(&mut tasks, settings("b", &[a.addr()])).await;
    until(&a, "they meet", |view| view.live == 2).await;
    let (old, new) = (SECRET.to_vec(), b"another secret of that size".to_vec());
    for keys in [vec![old.clone(), new.clone()], vec![new.clone(), old], vec![new]] {
        a.rekey(keys.clone()).await.unwrap();
        b.rekey(keys).await.unwrap();
        let heard = a.view().passed.received;
        let both = |view: &View| view.passed.received > heard + 4 && view.live == 2;
        until(&a, "they speak on", both).await;
    }
    assert!(a.rekey(vec![b"short".to_vec()]).await.is_err());
}

#[tokio::test]
async fn off_loopback_there_must_be_a_secret() {
    let open = Settings {
        bind: SocketAddr::from(([0, 0, 0, 0], 0)),
        advertise: Some(SocketAddr::from(([127, 0, 0, 1], 7946))),
        secrets: Vec::new(),
        ..settings("a", &[])
    };
    assert!(matches!(bind(open).await, Err(BindError::NoSecret)));
    let told = Settings {
        advertise: Some(SocketAddr::from(([192, 0, 2, 1], 7946))),
        secrets: Vec::new(),
        ..settings("a", &[])
    };
    assert!(matches!(bind(told).await, Err(BindError::NoSecret)));
    let weak = Settings { secrets: vec![b"weak".to_vec()], ..settings("a", &[]) };
    assert!(matches!(bind(weak).await, Err(BindError::Keys(_))));
    let nameless = settings("", &[]);
    assert!(matches!(bind(nameless).await, Err(BindError::Record)));
}
