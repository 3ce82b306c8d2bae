use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use tokio::task::LocalSet;

use super::*;
use crate::timers::Timers;

/// What a client does next.
#[derive(Debug, Clone)]
enum Step {
    Data(Vec<u8>),
    Trailers(HeaderMap),
    Pause,
    Fail(Error),
}

/// A client's body, by the book.
#[derive(Debug)]
struct Script {
    steps: VecDeque<Step>,
    /// Whether its end is known before it is asked for.
    frank: bool,
    length: Option<u64>,
}

impl http_body::Body for Script {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(Some(match self.steps.pop_front() {
            None => return Poll::Ready(None),
            Some(Step::Pause) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Data(data)) => Ok(Frame::data(Bytes::from(data))),
            Some(Step::Trailers(trailers)) => Ok(Frame::trailers(trailers)),
            Some(Step::Fail(error)) => Err(error),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.frank && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl Pourable for Script {}

fn data(text: &str) -> Step {
    Step::Data(text.as_bytes().to_vec())
}

fn trailers(name: &'static str, value: &str) -> HeaderMap {
    let value = HeaderValue::from_str(value).unwrap();
    HeaderMap::from_iter([(HeaderName::from_static(name), value)])
}

fn body(steps: impl IntoIterator<Item = Step>) -> Body {
    Body::scripted(Script { steps: steps.into_iter().collect(), frank: false, length: None })
}

fn upload(steps: impl IntoIterator<Item = Step>, limit: u64) -> (Upload, Rc<Progress>) {
    let progress = Rc::<Progress>::default();
    let pause = Pause::new(Timers::new(), Duration::from_secs(1));
    (Upload::new(body(steps), progress.clone(), limit, pause), progress)
}

fn kept(steps: impl IntoIterator<Item = Step>, most: u32) -> (Upload, Rc<Progress>) {
    let (mut upload, progress) = upload(steps, u64::MAX);
    upload.keep(most);
    (upload, progress)
}

fn poll(upload: &mut Upload) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
    Pin::new(upload).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// What an endpoint has of a request.
#[derive(Debug, Clone, Default, PartialEq)]
struct Heard {
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl Heard {
    fn text(&self) -> &str {
        str::from_utf8(&self.data).unwrap()
    }
}

/// Reads at most so many frames, as the connections do.
fn read(upload: &mut Upload, most: usize) -> Result<Heard, Error> {
    let mut heard = Heard::default();
    for _ in 0..most {
        if upload.is_end_stream() {
            upload.finish();
            heard.ended = true;
            return Ok(heard);
        }
        match poll(upload) {
            Poll::Pending => {}
            Poll::Ready(None) => {
                heard.ended = true;
                return Ok(heard);
            }
            Poll::Ready(Some(Err(error))) => return Err(error),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => heard.data.extend_from_slice(&data),
                Err(frame) => heard.trailers = frame.into_trailers().ok(),
            },
        }
    }
    Ok(heard)
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

const ALL: usize = 1000;

#[test]
fn a_second_attempt_gets_what_the_first_one_had_and_then_the_rest() {
    let sum = trailers("x-sum", "7");
    let (mut upload, progress) =
        kept([data("one"), data("two"), data("three"), Step::Trailers(sum.clone())], 1000);
    assert_eq!(read(&mut upload, 2).unwrap().text(), "onetwo");
    assert!(upload.again());
    let heard = read(&mut upload, ALL).unwrap();
    assert_eq!(heard.text(), "onetwothree");
    assert_eq!((heard.trailers, heard.ended), (Some(sum.clone()), true));
    assert_eq!(progress.bytes.get(), 11);
    assert!(upload.again(), "it is all there");
    let heard = read(&mut upload, ALL).unwrap();
    assert_eq!((heard.text(), heard.ended), ("onetwothree", true));
    assert_eq!(heard.trailers, Some(sum));
    assert_eq!(progress.bytes.get(), 11, "the client sent it once");
}

#[test]
fn an_attempt_that_took_the_upload_away_reads_no_more() {
    let (mut upload, progress) = kept([data("one"), data("two")], 1000);
    let mut first = upload.take();
    assert_eq!(read(&mut first, 1).unwrap().text(), "one");
    assert!(upload.again());
    assert_eq!(read(&mut first, 1).unwrap_err(), Error::ClientGone);
    assert!(!first.is_end_stream(), "a cut body must not look whole");
    assert!(first.poll_stalled(&mut Context::from_waker(Waker::noop())).is_ready());
    let mut second = upload.take();
    assert_eq!(read(&mut second, 1).unwrap().text(), "one");
    drop(first);
    assert!(!progress.over.get(), "the second one is at it");
    assert!(progress.failed.get().is_none());
    let rest = read(&mut second, ALL).unwrap();
    assert_eq!((rest.text(), rest.ended), ("two", true));
    assert!(progress.over.get());
}

#[test]
fn an_attempt_that_waits_for_the_client_learns_that_its_turn_is_over() {
    let woken = Arc::<Woken>::default();
    let waker = Waker::from(woken.clone());
    let (mut upload, _) = kept([data("one"), Step::Pause, data("two")], 1000);
    let mut first = upload.take();
    assert_eq!(read(&mut first, 1).unwrap().text(), "one");
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut first).poll_frame(&mut cx).is_pending());
    let before = woken.0.load(Ordering::Relaxed);
    assert!(upload.again());
    assert_eq!(woken.0.load(Ordering::Relaxed), before + 1);
    assert!(Pin::new(&mut first).poll_frame(&mut cx).is_ready());
}

#[test]
fn it_is_over_for_each_attempt_on_its_own() {
    let (mut upload, progress) = kept([data("one")], 1000);
    let mut first = upload.take();
    assert!(read(&mut first, ALL).unwrap().ended);
    assert!(progress.over.get());
    drop(first);
    assert!(upload.again());
    assert!(!progress.over.get(), "all of it is to be sent again");
    let second = upload.take();
    drop(second);
    assert!(progress.over.get(), "nobody takes any more");
    assert!(upload.again());
    assert!(!progress.over.get());
    drop(upload);
    assert!(progress.over.get());
}

#[test]
fn an_empty_one_is_over_before_it_begins() {
    let (mut upload, progress) = kept([], 1000);
    assert!(read(&mut upload, ALL).unwrap().ended);
    assert!(upload.again());
    assert!(progress.over.get() && upload.is_end_stream());
}

#[test]
fn what_is_longer_than_the_bound_is_let_go_of_and_goes_on() {
    let (mut upload, progress) = kept([data("12345"), data("67890"), data("x")], 10);
    assert_eq!(read(&mut upload, 2).unwrap().text(), "1234567890");
    assert!(upload.is_repeatable());
    assert_eq!(read(&mut upload, 1).unwrap().text(), "x");
    assert!(!upload.is_repeatable());
    assert!(!upload.again());
    assert!(read(&mut upload, ALL).unwrap().ended, "the attempt under way is not concerned");
    assert_eq!(progress.bytes.get(), 11);
}

#[test]
fn trailers_count() {
    let long = trailers("x-sum", &"7".repeat(100));
    let (mut upload, _) = kept([data("1"), Step::Trailers(long.clone())], 100);
    assert_eq!(read(&mut upload, ALL).unwrap().trailers, Some(long));
    assert!(!upload.is_repeatable());
}

#[test]
fn what_is_announced_as_too_long_is_not_kept_at_all() {
    let steps = VecDeque::from([data("12345")]);
    let body = Body::scripted(Script { steps, frank: true, length: Some(5) });
    let mut upload = Upload::whole(body);
    upload.keep(4);
    assert!(matches!(upload.0, Source::Own(_)));
    assert!(upload.is_repeatable() && upload.again(), "nothing was read yet");
    assert!(read(&mut upload, ALL).unwrap().ended);
    assert!(!upload.is_repeatable() && !upload.again());
}

#[test]
fn without_a_buffer_only_what_is_untouched_is_sent_again() {
    let (mut upload, _) = upload([data("one")], 10);
    assert!(upload.again());
    let mut first = upload.take();
    assert!(!upload.again());
    assert_eq!(read(&mut first, ALL).unwrap().text(), "one");
    let mut none = Upload::empty();
    none.keep(10);
    assert!(matches!(none.0, Source::Own(_)));
    assert!(none.again() && none.is_end_stream() && none.again());
}

#[test]
fn a_client_that_failed_cannot_be_sent_again() {
    let (mut upload, progress) = kept([data("one"), Step::Fail(Error::ClientGone)], 10);
    assert_eq!(read(&mut upload, ALL), Err(Error::ClientGone));
    assert_eq!(progress.failed.take(), Some(Error::ClientGone));
    assert!(!upload.again());
}

#[test]
fn the_bound_of_a_body_holds_over_all_attempts() {
    let (mut upload, progress) = upload([data("12345"), data("678"), data("9")], 8);
    upload.keep(100);
    assert_eq!(read(&mut upload, 1).unwrap().text(), "12345");
    assert!(upload.again());
    assert_eq!(read(&mut upload, 2).unwrap().text(), "12345678", "the same bytes count once");
    assert!(upload.again());
    assert_eq!(read(&mut upload, ALL), Err(Error::BodyTooLarge));
    assert_eq!(progress.failed.get(), Some(Error::BodyTooLarge));
    assert!(!upload.again());
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_client_goes_on_over_attempts() {
    let set = LocalSet::new();
    let timers = Timers::new();
    #[allow(clippy::disallowed_methods, reason = "a test needs no supervision of its task")]
    let driver = set.spawn_local(timers.driver());
    set.run_until(async {
        let progress = Rc::<Progress>::default();
        let pause = Pause::new(timers.clone(), Duration::from_secs(1));
        let silent = std::iter::once(data("one")).chain(std::iter::repeat_n(Step::Pause, 100));
        let mut upload = Upload::new(body(silent), progress.clone(), 10, pause);
        upload.keep(10);
        for _ in 0..2 {
            assert_eq!(read(&mut upload, 2).unwrap().text(), "one");
            tokio::time::sleep(Duration::from_millis(600)).await;
            assert!(progress.failed.get().is_none());
            assert!(upload.again());
        }
        assert_eq!(read(&mut upload, 2), Err(Error::RequestTimeout), "1200 ms without a byte");
        assert!(!upload.again());
    })
    .await;
    driver.abort();
}

#[test]
fn once_nobody_wants_it_again_nothing_is_kept() {
    let long = "l".repeat(10_000);
    let (mut upload, _) = kept([data(&long), data("short"), data(&long), data("last")], 100_000);
    let mut first = upload.take();
    assert_eq!(read(&mut first, 2).unwrap().data.len(), 10_005);
    assert!(upload.again());
    let mut second = upload.take();
    assert_eq!(read(&mut second, 1).unwrap().data.len(), 10_000);
    drop(upload);
    let pieces = |upload: &Upload| match &upload.0 {
        Source::Own(_) => unreachable!(),
        Source::Kept(reader) => reader.held(),
    };
    assert_eq!(pieces(&second), 5, "only what is still to be sent");
    let rest = read(&mut second, ALL).unwrap();
    assert_eq!((rest.data.len(), rest.ended), (5 + 10_000 + 4, true));
    assert_eq!(pieces(&second), 0);
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop_oneof![0..40_usize, 4000..4200_usize]
            .prop_flat_map(|length| prop::collection::vec(any::<u8>(), length))
            .prop_map(Step::Data),
        2 => Just(Step::Pause),
    ]
}

fn script() -> impl Strategy<Value = (Vec<Step>, bool, bool)> {
    let end = prop_oneof![
        3 => Just(None),
        2 => (0..200_usize)
            .prop_map(|length| Some(Step::Trailers(trailers("x-sum", &"s".repeat(length))))),
        1 => Just(Some(Step::Fail(Error::ClientGone))),
    ];
    (prop::collection::vec(step(), 0..12), end, any::<bool>(), any::<bool>()).prop_map(
        |(mut steps, end, frank, announced)| {
            steps.extend(end);
            (steps, frank, announced)
        },
    )
}

/// What the client's steps come to, and whether it gets to their end.
fn told(steps: &[Step]) -> (Heard, bool) {
    let mut heard = Heard::default();
    for step in steps {
        match step {
            Step::Data(data) => heard.data.extend_from_slice(data),
            Step::Trailers(trailers) => heard.trailers = Some(trailers.clone()),
            Step::Pause => {}
            Step::Fail(_) => return (heard, false),
        }
    }
    heard.ended = true;
    (heard, true)
}

proptest! {
    /// However a body comes, wherever attempts fail, and whatever the bound is: the last attempt
    /// has exactly what the client sent, or it was said that there can be none.
    #[test]
    fn attempts_send_what_the_client_sent_or_are_not_made(
        (steps, frank, announced) in script(),
        most in prop_oneof![0..100_u32, 3900..20_000_u32],
        cuts in prop::collection::vec((0..16_usize, any::<bool>(), any::<bool>()), 0..4),
    ) {
        let (whole, succeeds) = told(&steps);
        let length = (announced && succeeds).then_some(whole.data.len() as u64);
        let script = Script { steps: steps.into(), frank, length };
        let progress = Rc::<Progress>::default();
        let pause = Pause::new(Timers::new(), Duration::from_secs(1));
        let mut upload = Upload::new(Body::scripted(script), progress.clone(), u64::MAX, pause);
        upload.keep(most);
        let mut stale = Vec::new();
        for (frames, takes, lingers) in cuts {
            let mut attempt = takes.then(|| upload.take());
            let read = read(attempt.as_mut().unwrap_or(&mut upload), frames);
            let heard = match read {
                Ok(heard) => heard,
                Err(error) => {
                    prop_assert_eq!(Some(error), progress.failed.get());
                    prop_assert!(!succeeds && !upload.is_repeatable() && !upload.again());
                    return Ok(());
                }
            };
            prop_assert!(whole.data.starts_with(&heard.data));
            if heard.ended {
                prop_assert!(progress.over.get());
            }
            stale.extend(attempt.filter(|_| lingers));
            let (could, can) = (upload.is_repeatable(), upload.again());
            prop_assert_eq!(could, can);
            if !can {
                let large = progress.bytes.get() > u64::from(most)
                    || whole.trailers.is_some()
                    || length.is_some_and(|length| length > u64::from(most))
                    // Nothing was kept, for there was nothing.
                    || whole.data.is_empty();
                prop_assert!(large, "{} of {most}", progress.bytes.get());
                return Ok(());
            }
        }
        for older in &mut stale {
            prop_assert!(read(older, 1).is_err(), "an older attempt reads nothing");
        }
        let mut last = upload.take();
        stale.clear();
        drop(upload);
        match read(&mut last, ALL) {
            Ok(heard) => prop_assert_eq!(heard, whole),
            Err(error) => prop_assert!(!succeeds && progress.failed.get() == Some(error)),
        }
        let sent = progress.bytes.get();
        drop(last);
        prop_assert!(progress.over.get());
        prop_assert_eq!(sent, progress.bytes.get());
    }
}
