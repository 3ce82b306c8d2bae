//! Many clients at once with many requests each, some of which are taken back: every answer is the
//! one to its own question.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use h3::error::Code;
use http::Method;

use super::Edge;
use crate::{
    streams::integrity::{body_of, mirror},
    support::{
        gateway::Setup,
        h3_client::{H3Client, answer, head},
        origin::Origin,
        scaled,
    },
};

/// Requests of one client that are under way together.
const LANES: u64 = 5;

/// One request after the other; each third with a length, each seventh broken off.
async fn lane(client: Arc<H3Client>, me: u64, turns: u64) -> Result<(), String> {
    for turn in 0..turns {
        let (number, body) = body_of(me, turn);
        let path = format!("/{me}/{turn}");
        let mut request = head(Method::POST, &path);
        if number % 3 == 0 {
            request.headers_mut().insert("content-length", body.len().into());
        }
        let mut stream = client.open(request).await?;
        let give_up = number % 7 == 0;
        let sent = if give_up { body.len() * 2 / 3 } else { body.len() };
        for piece in body[..sent].chunks(5000) {
            let piece = Bytes::copy_from_slice(piece);
            stream.send_data(piece).await.map_err(|why| format!("{path}: {why}"))?;
        }
        if give_up {
            stream.stop_stream(Code::H3_REQUEST_CANCELLED);
            continue;
        }
        stream.finish().await.map_err(|why| format!("{path}: {why}"))?;
        let reply = answer(&mut stream).await.map_err(|why| format!("{path}: {why}"))?;
        let expected = [path.as_bytes(), b" ", &body].concat();
        if reply.status() != 200 || reply.body != expected {
            return Err(format!("{path}: {} with {} bytes", reply.status(), reply.body.len()));
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_answer_belongs_to_its_question() {
    let origin = Origin::start(mirror);
    let edge = Edge::start(Setup::to(&[origin.address]));
    let turns = scaled("TURNS", 20);
    let mut lanes = Vec::new();
    for n in 0..6 {
        let client = Arc::new(edge.client().await);
        lanes.extend((0..LANES).map(|m| lane(Arc::clone(&client), n * LANES + m, turns)));
    }
    for done in join_all(lanes).await {
        done.unwrap();
    }
    edge.stop().await;
}
