use http::HeaderValue;

use super::*;
use crate::policy::{
    decompress::decoder::{Coding, tests::coded},
    scripted::{Step, body, read, text},
};

const WIDE: Bounds = Bounds { coded: 1 << 30, plain: 1 << 30, ratio: 1_000_000 };
const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Br, Coding::Zstd];

fn decoded(coding: Coding, steps: Vec<Step>, bounds: Bounds) -> Body {
    Body::follow(Decoded::new(body(steps), Decoder::new(coding).unwrap(), bounds))
}

#[test]
fn a_body_comes_out_in_pieces_of_bounded_length() {
    for coding in ALL {
        let whole = coded(coding, &vec![b'a'; 1 << 20]);
        let read = read(decoded(coding, vec![Step::Data(whole)], WIDE));
        assert_eq!((read.failed, read.whole().len()), (None, 1 << 20), "{coding:?}");
        assert!(read.longest <= SLICE * 2, "{coding:?}: {}", read.longest);
        assert!(read.parts.len() >= 15, "{coding:?} lets others have their turn");
    }
}

#[test]
fn a_slow_body_comes_out_as_it_comes_and_keeps_its_trailers() {
    let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("a"))]);
    for coding in ALL {
        let whole = coded(coding, &text(3_000));
        let mut steps: Vec<_> =
            whole.chunks(100).flat_map(|piece| [Step::Pause, Step::Data(piece.to_vec())]).collect();
        steps.push(Step::Trailers(trailers.clone()));
        let read = read(decoded(coding, steps, WIDE));
        assert_eq!((read.failed, read.whole()), (None, text(3_000)), "{coding:?}");
        assert_eq!(read.trailers.as_ref(), Some(&trailers));
    }
}

#[test]
fn bombs_do_not_go_off() {
    for coding in ALL {
        let bomb = coded(coding, &vec![0; 8 << 20]);
        let go = |bounds| read(decoded(coding, vec![Step::Data(bomb.clone())], bounds));
        let sized = go(Bounds { plain: 100_000, ..WIDE });
        assert_eq!(sized.failed, Some(Error::BodyTooLarge), "{coding:?}");
        assert!(sized.whole().len() <= 100_000, "{coding:?}");
        let dense = go(Bounds { ratio: 20, ..WIDE });
        assert_eq!(dense.failed, Some(Error::BodyTooLarge), "{coding:?}");
        assert!(dense.whole().len() as u64 <= FREE + bomb.len() as u64 * 20, "{coding:?}");
    }
}

#[test]
fn what_yields_nothing_is_bounded_as_well() {
    // Blocks of deflate that hold nothing: five bytes each, of which any number may follow.
    let empty = [0x00, 0x00, 0x00, 0xff, 0xff];
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let steps = std::iter::once(Step::Data(head.to_vec()))
        .chain((0..100).map(|_| Step::Data(empty.repeat(1000))))
        .collect();
    let read = read(decoded(Coding::Gzip, steps, Bounds { coded: 100_000, ..WIDE }));
    assert_eq!(read.failed, Some(Error::BodyTooLarge));
}

#[test]
fn what_is_broken_does_not_pass_for_a_whole() {
    for coding in ALL {
        let whole = coded(coding, &text(3_000));
        let cut = whole[..whole.len() - 3].to_vec();
        let failed = |step| read(decoded(coding, vec![Step::Data(step)], WIDE)).failed;
        assert_eq!(failed(cut), Some(Error::BadRequest(Reason::Body)), "{coding:?}");
        assert_eq!(failed(b"no such thing at all".to_vec()), Some(Error::BadRequest(Reason::Body)));
        let steps = vec![Step::Data(whole[..10].to_vec()), Step::Fail(Error::ClientGone)];
        assert_eq!(read(decoded(coding, steps, WIDE)).failed, Some(Error::ClientGone));
    }
}
