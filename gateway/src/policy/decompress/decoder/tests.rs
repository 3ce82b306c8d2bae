use std::io::Write as _;

use proptest::prelude::*;
use weir_config::model::{Encoding, Levels};

use super::*;
use crate::policy::{
    compress::encoder::{Encoder, Then},
    scripted::text,
};

const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Br, Coding::Zstd];

pub(in crate::policy) fn coded(coding: Coding, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let encoding = match coding {
        Coding::Gzip => Encoding::Gzip,
        Coding::Br => Encoding::Br,
        Coding::Zstd => Encoding::Zstd,
        Coding::Deflate => {
            let level = flate2::Compression::new(5);
            let mut writer = flate2::write::ZlibEncoder::new(out, level);
            writer.write_all(plain).unwrap();
            return writer.finish().unwrap();
        }
    };
    let levels = Levels { br: 4, zstd: 3, gzip: 5 };
    let mut encoder = Encoder::new(encoding, levels, None).unwrap();
    encoder.push(plain, Then::Finish, &mut out).unwrap();
    out
}

fn decoded(coding: Coding, pieces: &[&[u8]], room: usize) -> Result<Vec<u8>, Malformed> {
    let (mut decoder, mut out) = (Decoder::new(coding).unwrap(), Vec::new());
    for piece in pieces {
        let mut at = 0;
        loop {
            let before = out.len();
            let taken = decoder.push(&piece[at..], &mut out, room)?;
            at += taken;
            let made = out.len() - before;
            if at == piece.len() && made < room {
                break;
            }
            assert!(taken + made > 0, "{coding:?} stands still");
        }
    }
    if decoder.is_complete() { Ok(out) } else { Err(Malformed) }
}

#[test]
fn what_was_coded_is_read_whatever_the_pieces() {
    for coding in ALL {
        for length in [0, 1, 1_000, 100_000] {
            let (plain, whole) = (text(length), coded(coding, &text(length)));
            for piece in [1, 7, 4096, whole.len()] {
                for room in [64, 32 << 10] {
                    let pieces: Vec<_> = whole.chunks(piece).collect();
                    let read = decoded(coding, &pieces, room);
                    assert_eq!(read.as_ref(), Ok(&plain), "{coding:?} {length} by {piece}");
                }
            }
        }
    }
}

#[test]
fn what_is_broken_off_is_no_whole() {
    for coding in ALL {
        let whole = coded(coding, &text(10_000));
        for cut in [0, 1, 10, whole.len() / 2, whole.len() - 1] {
            let read = decoded(coding, &[&whole[..cut]], 4096);
            assert_eq!(read, Err(Malformed), "{coding:?} up to {cut}");
        }
    }
}

#[test]
fn what_follows_the_end_must_be_of_the_coding() {
    for coding in ALL {
        let whole = coded(coding, b"one");
        let behind = [&whole[..], b"rest"].concat();
        assert_eq!(decoded(coding, &[&behind], 4096), Err(Malformed), "{coding:?}");
        assert_eq!(decoded(coding, &[&whole, b"rest"], 4096), Err(Malformed), "{coding:?}");
        let twice = decoded(coding, &[&whole, &whole], 4096);
        match coding {
            Coding::Gzip | Coding::Zstd => assert_eq!(twice.unwrap(), b"oneone", "{coding:?}"),
            Coding::Br | Coding::Deflate => assert_eq!(twice, Err(Malformed), "{coding:?}"),
        }
    }
}

#[test]
fn members_are_counted() {
    let one = coded(Coding::Gzip, b"");
    let many = one.repeat(MEMBERS as usize);
    assert_eq!(decoded(Coding::Gzip, &[&many], 4096).unwrap(), b"");
    assert_eq!(decoded(Coding::Gzip, &[&many, &one], 4096), Err(Malformed));
}

#[test]
fn a_window_that_no_decoder_needs_to_have_is_refused() {
    // A frame of Zstandard whose header names a window of 2 GiB.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
    assert_eq!(decoded(Coding::Zstd, &[&frame], 4096), Err(Malformed));
    // Brotli's large windows are no part of `br`.
    assert_eq!(decoded(Coding::Br, &[&[0x11, 0x1e, 0x03]], 4096), Err(Malformed));
}

proptest! {
    #[test]
    fn nothing_breaks_it(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        cut in 0_usize..400,
        coding in prop::sample::select(&ALL[..]),
    ) {
        let mut bytes = coded(coding, &text(500));
        bytes.truncate(cut);
        bytes.extend_from_slice(&noise);
        let _ = decoded(coding, &[&bytes], 64);
        let _ = decoded(coding, &[&noise], 4096);
    }
}
