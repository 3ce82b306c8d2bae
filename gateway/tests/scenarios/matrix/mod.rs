//! Every protocol through every other: HTTP/1.1, 2 and 3 in front of the gateway and behind it,
//! through one suite of scenarios. What holds for one pair holds for all nine.
//!
//! Each pair is a test: one gateway, one origin, one client connection (as far as the version can
//! share one), all scenarios in turn.

mod again;
mod bodies;
mod breaks;
mod clients;
mod heads;
pub(crate) mod origins;
mod stage;
mod wire;

use std::time::Duration;

use self::{
    clients::{Client, H1, H2, H3},
    stage::{Stage, Version},
};
use crate::support::assert_none;

/// Names in the certificates of the gateway and of the origin.
const EDGE: &str = "edge.test";
const ORIGIN: &str = "origin.test";

/// How long one of them may take: a hundred uploads, in a build that is not optimised, on a machine
/// that has other things to do.
const PLAY: Duration = Duration::from_secs(50);

/// Every scenario, by the place where it is written.
macro_rules! play_all {
    ($stage:ident, $failures:ident, $($place:ident: [$($scenario:ident),* $(,)?]),* $(,)?) => {
        $($({
            let play = Box::pin($place::$scenario(&$stage));
            let name = concat!(stringify!($place), "::", stringify!($scenario));
            match tokio::time::timeout(PLAY, play).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => $failures.push(format!("{name}: {why}")),
                Err(_) => $failures.push(format!("{name}: not over after {PLAY:?}")),
            }
        })*)*
    };
}

async fn play<C: Client>(down: Version, up: Version) {
    let stage = Stage::<C>::set(down, up).await;
    let mut failures = Vec::new();
    play_all!(stage, failures,
        bodies: [
            known_requests,
            unknown_requests,
            known_responses,
            unknown_responses,
            request_trailers,
            response_trailers,
            heads_alone,
            statuses_without_a_body,
            grpc,
        ],
        heads: [
            targets,
            forwarding,
            large_heads,
            cookies,
            hints,
            twenty_at_once,
            mixed_at_once,
        ],
        breaks: [
            early_responses,
            clients_that_leave_a_response,
            clients_that_leave_an_upload,
            clients_that_leave_while_they_wait,
            uploads_that_are_reset,
            origins_that_fail_before_the_head,
            origins_that_fail_in_the_body,
            origins_that_fail_between_two_pieces,
            connections_that_vanish,
        ],
    );
    leave(stage, failures).await;
}

/// The same for requests that need several attempts.
async fn play_again<C: Client>(down: Version, up: Version) {
    let stage = Stage::<C>::set_for(down, up, again::ROUTE).await;
    let mut failures = Vec::new();
    play_all!(stage, failures,
        again: [
            bodies_are_sent_again,
            trailers_are_sent_again,
            attempts_are_counted,
            slow_uploads_go_on,
            long_bodies_are_sent_once,
            refused_requests_are_sent_again,
            what_could_be_done_twice_is_not,
            many_fail_at_once,
            nothing_is_left_of_an_attempt,
        ],
    );
    leave(stage, failures).await;
}

async fn leave<C>(stage: Stage<C>, mut failures: Vec<String>) {
    failures.extend(stage.ledger.faults());
    assert_none(&failures);
    let Stage { client, gateway, .. } = stage;
    drop(client);
    // The client's farewell goes out meanwhile.
    tokio::task::spawn_blocking(|| drop(gateway)).await.unwrap();
}

macro_rules! pairs {
    ($($name:ident: $client:ident to $up:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                play::<$client>(Version::$client, Version::$up).await;
            }
        )*
        /// Attempts that fail.
        mod failing {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    play_again::<$client>(Version::$client, Version::$up).await;
                }
            )*
        }
    };
}

pairs! {
    h1_to_h1: H1 to H1,
    h1_to_h2: H1 to H2,
    h1_to_h3: H1 to H3,
    h2_to_h1: H2 to H1,
    h2_to_h2: H2 to H2,
    h2_to_h3: H2 to H3,
    h3_to_h1: H3 to H1,
    h3_to_h2: H3 to H2,
    h3_to_h3: H3 to H3,
}
