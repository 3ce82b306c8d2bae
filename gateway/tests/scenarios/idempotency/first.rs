//! The first request runs; the second is answered with what came of it.

use super::{ALICE, ask, is_replayed, keyed, post, problem};
use crate::support::answer::Answer;

fn essence(answer: &Answer) -> (u16, &[u8], Option<&str>, Option<&str>, Option<&str>) {
    let field = |name| answer.field(name);
    (answer.status, &answer.body, field("location"), field("etag"), field("content-type"))
}

#[test]
fn the_second_gets_the_first_ones_answer() {
    let (origin, gateway) = keyed("");
    let first = post(&mut gateway.client(), "\"k1\"", "amount=5");
    assert_eq!((first.status, first.text().as_str()), (201, "payment 1"));
    assert!(!is_replayed(&first) && first.field("set-cookie").is_some());
    for key in ["\"k1\"", "k1"] {
        let again = post(&mut gateway.client(), key, "amount=5");
        assert!(is_replayed(&again), "{key} {:?}", again.fields);
        assert_eq!(essence(&again), essence(&first));
        assert_eq!(again.field("set-cookie"), None);
        assert_eq!(again.field("x-internal"), None);
        assert_ne!(again.field("x-request-id"), first.field("x-request-id"));
    }
    assert_eq!(origin.seen().len(), 1);
    assert_eq!(origin.seen()[0].field("idempotency-key"), Some("\"k1\""), "as it came");
    assert_eq!(post(&mut gateway.client(), "k2", "amount=5").text(), "payment 2");
}

#[test]
fn another_request_under_the_key_is_refused() {
    let (origin, gateway) = keyed("");
    let mut client = gateway.client();
    assert_eq!(post(&mut client, "k", "amount=5").status, 201);
    let key = format!("{ALICE}Idempotency-Key: k\r\n");
    let json = format!("{key}Content-Type: application/json\r\n");
    let others = [
        ("/payments", &key, "amount=6"),
        ("/refunds", &key, "amount=5"),
        ("/payments?a", &key, "amount=5"),
        ("/payments", &json, "amount=5"),
        ("/payments", &key, ""),
    ];
    for (target, fields, body) in others {
        let other = ask(&mut client, target, fields, body);
        assert_eq!((other.status, problem(&other)), (422, "idempotency-key-reused".into()));
        assert_eq!(other.field("retry-after"), None);
    }
    assert_eq!(origin.seen().len(), 1);
    assert!(is_replayed(&post(&mut client, "k", "amount=5")), "and nothing was lost");
}
