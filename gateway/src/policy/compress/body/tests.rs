use http::HeaderValue;
use weir_config::model::{Encoding, Levels};

use super::*;
use crate::policy::{
    decompress::decoder::{Coding, Decoder},
    scripted::{Step, body, read, text},
};

const LEVELS: Levels = Levels { br: 4, zstd: 3, gzip: 5 };

fn coded(encoding: Encoding, steps: Vec<Step>) -> (Body, Plain) {
    let plain = Plain::default();
    let lease = Lease::take(encoding, LEVELS, None).unwrap();
    (Body::follow(Coded::new(body(steps), lease, plain.clone())), plain)
}

fn decoded(encoding: Encoding, coded: &[u8]) -> (Vec<u8>, bool) {
    let coding = Coding::named(encoding.name().as_bytes()).unwrap();
    let (mut decoder, mut out, mut at) = (Decoder::new(coding).unwrap(), Vec::new(), 0);
    loop {
        let before = out.len();
        at += decoder.push(&coded[at..], &mut out, 1 << 20).unwrap();
        if out.len() - before < 1 << 20 && at == coded.len() {
            return (out, decoder.is_complete());
        }
    }
}

const ALL: [Encoding; 3] = [Encoding::Br, Encoding::Zstd, Encoding::Gzip];

#[test]
fn what_was_sent_is_not_held_back() {
    for encoding in ALL {
        let steps = vec![
            Step::Data(b"data: one\n\n".to_vec()),
            Step::Pause,
            Step::Pause,
            Step::Data(b"data: two\n\n".to_vec()),
            Step::Pause,
        ];
        let (body, plain) = coded(encoding, steps);
        let read = read(body);
        assert_eq!(decoded(encoding, &read.parts[0]).0, b"data: one\n\n", "{encoding:?}");
        let (all, complete) = decoded(encoding, &read.whole());
        assert_eq!((&all[..], complete), (&b"data: one\n\ndata: two\n\n"[..], true));
        assert_eq!(plain.get(), 22);
    }
}

#[test]
fn trailers_follow_the_last_byte() {
    let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("\"a\""))]);
    for encoding in ALL {
        let steps = vec![Step::Data(text(5_000)), Step::Trailers(trailers.clone())];
        let read = read(coded(encoding, steps).0);
        assert_eq!(decoded(encoding, &read.whole()), (text(5_000), true));
        assert_eq!(read.trailers.as_ref(), Some(&trailers));
    }
}

#[test]
fn a_turn_has_an_end() {
    for encoding in ALL {
        let read = read(coded(encoding, vec![Step::Data(text(1 << 20))]).0);
        // 64 KiB of input each, whatever comes out of them.
        assert!(read.parts.len() >= 16, "{encoding:?}: {}", read.parts.len());
        assert!(read.longest < 80 << 10, "{encoding:?}: {}", read.longest);
        assert_eq!(decoded(encoding, &read.whole()), (text(1 << 20), true));
    }
}

#[test]
fn what_fails_does_not_end_well() {
    for encoding in ALL {
        let steps = vec![Step::Data(text(100)), Step::Fail(Error::UpstreamBodyBroken)];
        let read = read(coded(encoding, steps).0);
        assert_eq!(read.failed, Some(Error::UpstreamBodyBroken));
        assert!(!read.whole().is_empty() || read.failed.is_some());
    }
    // What is left of an encoder is no part of the next body.
    let read = read(coded(Encoding::Zstd, vec![Step::Data(b"next".to_vec())]).0);
    assert_eq!(decoded(Encoding::Zstd, &read.whole()), (b"next".to_vec(), true));
}

#[test]
fn of_nothing_comes_a_whole_body() {
    for encoding in ALL {
        let read = read(coded(encoding, vec![Step::Pause, Step::Data(Vec::new())]).0);
        assert_eq!(decoded(encoding, &read.whole()), (Vec::new(), true), "{encoding:?}");
    }
}
