//! The end of a response that nobody gets, because the request is made once more.
//!
//! Dropped in its middle it would cost an HTTP/1.1 connection. So a short rest is read first, in a
//! task of its own where it is still on its way.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::Body as _;

use super::body::Body;
use crate::task;

/// The longest rest that is read, in bytes.
const MOST: u64 = 64 * 1024;
/// The longest that one is waited for.
pub(crate) const LONGEST: Duration = Duration::from_secs(1);

/// Reads a response to its end if that is near, and drops it.
pub(crate) fn drain(body: Body) {
    if body.size_hint().lower() > MOST {
        return;
    }
    let mut rest = Rest { body, left: MOST };
    // What came with the head needs no task.
    if rest.poll_read(&mut Context::from_waker(Waker::noop())).is_pending() {
        task::spawn(async move {
            let reading = std::future::poll_fn(|cx| rest.poll_read(cx));
            // In time or not: what is left of it goes.
            let _ = tokio::time::timeout(LONGEST, reading).await;
        });
    }
}

struct Rest {
    body: Body,
    left: u64,
}

impl Rest {
    /// Reads on; ready once it is of no more use.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.body.is_end_stream() {
            let Some(Ok(frame)) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else { break };
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            let Some(left) = self.left.checked_sub(length) else { break };
            self.left = left;
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use http_body::{Frame, SizeHint};
    use tokio::task::LocalSet;

    use super::*;
    use crate::{error::Error, http::body::Pourable};

    /// Frames of a kibibyte, each after so long a pause; `read` counts them.
    struct Slow {
        pause: Duration,
        sleep: Option<Pin<Box<tokio::time::Sleep>>>,
        frames: usize,
        length: Option<u64>,
        read: Rc<Cell<usize>>,
        dropped: Rc<Cell<bool>>,
    }

    impl http_body::Body for Slow {
        type Data = Bytes;
        type Error = Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
            if self.frames == 0 {
                return Poll::Ready(None);
            }
            if !self.pause.is_zero() {
                let pause = self.pause;
                let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            self.frames -= 1;
            self.read.set(self.read.get() + 1);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 1024])))))
        }

        fn is_end_stream(&self) -> bool {
            self.frames == 0 && self.length.is_some()
        }

        fn size_hint(&self) -> SizeHint {
            self.length
                .map_or_else(SizeHint::new, |_| SizeHint::with_exact(self.frames as u64 * 1024))
        }
    }

    impl Pourable for Slow {}

    impl Drop for Slow {
        fn drop(&mut self) {
            self.dropped.set(true);
        }
    }

    /// How many frames were read until the body was dropped, whether at once, and the time it took.
    async fn drained(frames: usize, announced: bool, pause: u64) -> (usize, bool, u128) {
        let (read, dropped) = (Rc::<Cell<usize>>::default(), Rc::<Cell<bool>>::default());
        let slow = Slow {
            pause: Duration::from_millis(pause),
            sleep: None,
            frames,
            length: announced.then_some(0),
            read: read.clone(),
            dropped: dropped.clone(),
        };
        LocalSet::new()
            .run_until(async {
                let began = crate::clock::now();
                drain(Body::scripted(slow));
                let at_once = dropped.get();
                while !dropped.get() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                (read.get(), at_once, crate::clock::now().since(began).as_millis())
            })
            .await
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_is_read_at_once() {
        for announced in [false, true] {
            assert_eq!(drained(0, announced, 0).await, (0, true, 0));
            assert_eq!(drained(64, announced, 0).await, (64, true, 0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_long_is_not_read_to_its_end() {
        assert_eq!(drained(65, true, 10).await, (0, true, 0));
        let (read, at_once, _) = drained(1000, false, 1).await;
        assert_eq!((read, at_once), (65, false));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_slowly_is_read_for_a_while() {
        let (read, at_once, took) = drained(5, true, 100).await;
        assert_eq!((read, at_once), (5, false));
        assert!((500..520).contains(&took), "{took}");
        let (read, _, took) = drained(20, true, 100).await;
        assert!((9..=10).contains(&read) && (1000..1020).contains(&took), "{read} {took}");
    }
}
