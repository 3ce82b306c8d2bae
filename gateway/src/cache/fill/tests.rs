use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderMap, Method, StatusCode, header::CACHE_CONTROL};
use weir_cache::{
    http::{
        freshness::Exchange,
        policy::Policy,
        stored::{Request, Response},
    },
    purges::{Purge, Selector},
    store::{Admission, Options, Weighing},
    time::Time,
};

use super::{super::room::Room, *};

fn key() -> Key {
    Key::from(&b"http://a/"[..])
}

fn head() -> Arc<Head> {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("max-age=60"));
    let (method, none, now) = (Method::GET, HeaderMap::new(), Time::from_seconds(1_000));
    let response = Response {
        status: StatusCode::OK,
        headers: &headers,
        exchange: Exchange { asked: now, answered: now },
        is_content_location: false,
    };
    Head::of(&Request::new(&method, &none), &response, &Policy::default()).unwrap().into()
}

fn store() -> Store<Page> {
    let (weighing, admission) = (Weighing::Bytes, Admission::default());
    Store::new(Options { capacity: 1 << 20, shards: 1, weighing, admission }, 1)
}

/// One who asks and as many who wait.
fn crowd(fills: &Arc<Fills>, size: usize) -> (Lead, Vec<Reader>) {
    let store = store();
    let Joined::Lead(lead) = fills.join(&key(), &store) else { panic!("somebody asks already") };
    let follow = |_| match fills.join(&key(), &store) {
        Joined::Follow(reader) => reader,
        Joined::Lead(_) => panic!("two ask"),
    };
    (lead, (0..size).map(follow).collect())
}

fn news(reader: &mut Reader, share: bool) -> Option<News> {
    match reader.poll_news(share, &Context::from_waker(Waker::noop())) {
        Poll::Ready(news) => Some(news),
        Poll::Pending => None,
    }
}

/// What there is of a body by now, and how it goes on.
fn read(reader: &mut Reader) -> (Vec<u8>, Option<Next>) {
    let mut all = Vec::new();
    loop {
        match reader.poll_next(&Context::from_waker(Waker::noop())) {
            Poll::Ready(Next::Piece(piece)) => all.extend_from_slice(&piece),
            Poll::Ready(next) => return (all, Some(next)),
            Poll::Pending => return (all, None),
        }
    }
}

struct Count(AtomicUsize);

impl std::task::Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn all_read_the_same_bytes_as_they_come() {
    let fills = Arc::<Fills>::default();
    let (lead, mut readers) = crowd(&fills, 3);
    assert!(readers.iter_mut().all(|reader| news(reader, true).is_none()));
    lead.begin(head(), true, Room::new(10).take(4).unwrap());
    assert!(readers.iter_mut().all(|r| matches!(news(r, true), Some(News::Head(_)))));
    assert_eq!(lead.push(Bytes::from_static(b"01")), Some(2));
    assert!(matches!(read(&mut readers[0]), (body, None) if body == b"01"));
    assert_eq!(lead.push(Bytes::from_static(b"23")), Some(4));
    assert_eq!(lead.whole(), "0123");
    lead.finish(true);
    assert!(matches!(read(&mut readers[0]), (body, Some(Next::End)) if body == b"23"));
    assert!(matches!(read(&mut readers[1]), (body, Some(Next::End)) if body == b"0123"));
    assert!(matches!(news(&mut readers[2], true), Some(News::Stored)));
    assert_eq!(fills.len(), 0);
}

#[test]
fn who_does_not_share_and_what_has_no_length_wait_for_the_end() {
    for (sized, share) in [(true, false), (false, true)] {
        let fills = Arc::<Fills>::default();
        let (lead, mut readers) = crowd(&fills, 1);
        lead.begin(head(), sized, Room::new(10).take(4).unwrap());
        assert!(news(&mut readers[0], share).is_none());
        lead.finish(false);
        let told = news(&mut readers[0], share);
        assert_eq!(matches!(told, Some(News::Head(_))), share, "{told:?}");
    }
}

#[test]
fn how_it_ends_is_what_they_are_told() {
    type End = (fn(Lead), fn(&News) -> bool);
    let ends: [End; 6] = [
        (Lead::give_up, |news| matches!(news, News::Failed)),
        (|lead| lead.fail(Error::UpstreamGarbage), |news| matches!(news, News::Failed)),
        (Lead::dismiss, |news| matches!(news, News::Alone)),
        (Lead::overflow, |news| matches!(news, News::Alone)),
        (|lead| lead.finish(true), |news| matches!(news, News::Stored)),
        (drop, |news| matches!(news, News::Abandoned)),
    ];
    for (i, (end, expected)) in ends.into_iter().enumerate() {
        let fills = Arc::<Fills>::default();
        let (lead, mut readers) = crowd(&fills, 2);
        end(lead);
        for reader in &mut readers {
            assert!(expected(&news(reader, true).unwrap()), "{i}");
        }
        // Of those who ask again one leads.
        let (_lead, _others) = crowd(&fills, 1);
    }
}

#[test]
fn who_comes_after_a_purge_waits_for_nobody_who_asked_before() {
    let (fills, store) = (Arc::<Fills>::default(), store());
    let Joined::Lead(first) = fills.join(&key(), &store) else { panic!("somebody asks already") };
    let follows = || matches!(fills.join(&key(), &store), Joined::Follow(_));
    store.purge(Selector::Name(b"http://b/"), Purge::Hard);
    assert!(follows());
    let mut before = first.reader();
    assert!(news(&mut before, true).is_none());
    store.purge(Selector::Name(b"http://a/"), Purge::Hard);
    let Joined::Lead(second) = fills.join(&key(), &store) else { panic!("it is what was") };
    assert!(follows(), "of the second");
    first.give_up();
    assert!(matches!(news(&mut before, true), Some(News::Failed)));
    assert!(follows(), "the first does not take the second out of the list");
    // What has no such tag goes on.
    second.begin(head(), true, Room::new(10).take(4).unwrap());
    store.purge(Selector::Tag(b"any"), Purge::Soft);
    assert!(follows());
    second.finish(true);
    assert_eq!(fills.len(), 0);
}

#[test]
fn a_body_that_nobody_brings_in_any_more_has_broken_off() {
    let fills = Arc::<Fills>::default();
    let (lead, mut readers) = crowd(&fills, 1);
    lead.begin(head(), true, Room::new(10).take(4).unwrap());
    lead.push(Bytes::from_static(b"01"));
    drop(lead);
    let (body, next) = read(&mut readers[0]);
    assert!(body == b"01" && matches!(next, Some(Next::Broken(Error::Draining))));
}

#[test]
fn what_is_too_long_is_the_leaders() {
    let lead = Lead::alone();
    let mut reader = lead.reader();
    lead.begin(head(), false, Room::new(3).take(0).unwrap());
    assert_eq!(lead.push(Bytes::from_static(b"01")), Some(2));
    assert_eq!(lead.push(Bytes::from_static(b"23")), None, "there is no room");
    lead.overflow();
    assert!(matches!(read(&mut reader), (body, Some(Next::Elsewhere)) if body == b"0123"));
}

#[test]
fn each_who_waits_is_woken_once_and_none_who_left() {
    let fills = Arc::<Fills>::default();
    let (lead, mut readers) = crowd(&fills, 3);
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(count.clone());
    for reader in &mut readers {
        for _ in 0..2 {
            assert!(reader.poll_news(true, &Context::from_waker(&waker)).is_pending());
        }
    }
    readers.pop();
    lead.begin(head(), true, Room::new(10).take(4).unwrap());
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
    lead.push(Bytes::from_static(b"01"));
    assert_eq!(count.0.load(Ordering::Relaxed), 2, "nobody has asked since");
}
