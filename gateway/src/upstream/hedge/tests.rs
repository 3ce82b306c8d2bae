use http::Response;
use proptest::prelude::{Just, Strategy, prop_assert_eq, prop_oneof, proptest};
use tokio::runtime::Builder;

use super::*;
use crate::{clock, error::Error, upstream::h1::Answer};

/// How an attempt ends, and after how many milliseconds.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// A status, or no response at all.
    status: Option<u16>,
    after: u64,
}

impl Plan {
    const fn is_final(self) -> bool {
        matches!(self.status, Some(200))
    }

    async fn play(self) -> End {
        tokio::time::sleep(Duration::from_millis(self.after)).await;
        let Some(status) = self.status else { return Err(Failed::unsent(Error::ConnectRefused)) };
        let (head, ()) = Response::builder().status(status).body(()).unwrap().into_parts();
        Ok(Received::H1(Answer::Bodiless(head, None)))
    }
}

fn status(end: &End) -> Option<u16> {
    end.as_ref().ok().map(|received| received.head().0.as_u16())
}

/// Which one wins, with what, what is known of the other, and when that was.
fn race(one: Plan, two: Plan) -> (bool, Option<u16>, Option<Option<u16>>, u64) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let began = clock::now();
        let (first, second) = (pin!(one.play()), pin!(two.play()));
        let ended = both(first, second, |end| status(end) == Some(200)).await;
        let took = clock::now().since(began).as_millis() as u64;
        (ended.second, status(&ended.winner), ended.loser.as_ref().map(status), took)
    })
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let status = prop_oneof![Just(Some(200)), Just(Some(503)), Just(None)];
    (status, 0..20_u64).prop_map(|(status, after)| Plan { status, after })
}

proptest! {
    #[test]
    fn the_first_good_answer_wins_and_else_both_are_waited_for(
        one in any_plan(), two in any_plan(),
    ) {
        let (second, winner, loser, took) = race(one, two);
        let (won, lost) = if second { (two, one) } else { (one, two) };
        prop_assert_eq!(winner, won.status);
        if won.is_final() {
            prop_assert_eq!(took, won.after, "nothing is waited for behind a good answer");
            let before = lost.after < won.after || (lost.after == won.after && second);
            prop_assert_eq!(loser, before.then_some(lost.status), "what ended is told of");
            prop_assert_eq!(before && lost.is_final(), false, "it was not the first");
        } else {
            prop_assert_eq!(lost.is_final(), false);
            prop_assert_eq!(took, one.after.max(two.after));
            prop_assert_eq!(loser, Some(lost.status), "it is judged as well");
            prop_assert_eq!(winner.is_none() && lost.status.is_some(), false, "an answer is better");
        }
    }
}
