//! The peers these tests are made of, against each other.

use bytes::Bytes;
use http::Method;

use crate::support::{certificates::Authority, h3_client, h3_origin::H3Origin, pattern::Pattern};

#[tokio::test]
async fn client_and_origin_agree() {
    let authority = Authority::new();
    let origin = H3Origin::start(authority.issue(&["origin.test"]).server(&[b"h3"]));
    let tls = authority.client(&[b"h3"]);
    let client = h3_client::connect(origin.address, tls, "origin.test").await.unwrap();
    assert_eq!(client.get("/x?q=1").await.unwrap().text(), "GET /x?q=1");
    let body = Pattern::whole(1 << 20);
    let answer = client.request(h3_client::head(Method::POST, "/take"), body).await.unwrap();
    assert_eq!(answer.text(), "1048576 true unknown");
    let answer = client.get("/give/100000/known/trailers").await.unwrap();
    assert_eq!(answer.trailers["x-sum"], "42");
    assert!(answer.body == Pattern::whole(100_000));
    assert_eq!(client.get("/hints").await.unwrap().interim, [103]);
    for place in ["head", "known", "unknown"] {
        let broken = client.get(&format!("/abort/{place}")).await;
        assert!(broken.is_err(), "{place}: {broken:?}");
    }
    let mut upload = client.open(h3_client::head(Method::POST, "/swallow")).await.unwrap();
    upload.send_data(Bytes::from_static(b"half")).await.unwrap();
    origin.ledger.when("/swallow", |record| record.received == 4).await.unwrap();
    upload.stop_stream(h3::error::Code::H3_REQUEST_CANCELLED);
    drop(upload);
    let record = origin.ledger.over("/swallow").await.unwrap();
    assert!(!record.complete && record.cut.is_some(), "{record:?}");
    assert_eq!((origin.connections(), origin.ledger.faults()), (1, Vec::new()));
    assert_eq!((client.ended(), client.dismissed().await), (None, false));
}
