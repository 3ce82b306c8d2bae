use std::io::Read as _;

use super::*;
use crate::policy::scripted::text;

const LEVELS: Levels = Levels { br: 4, zstd: 3, gzip: 5 };
const ALL: [Encoding; 3] = [Encoding::Br, Encoding::Zstd, Encoding::Gzip];

/// What a decoder that knows nothing of ours makes of it, broken off or not.
fn decoded(encoding: Encoding, coded: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match encoding {
        Encoding::Gzip => drop(flate2::read::GzDecoder::new(coded).read_to_end(&mut out)),
        Encoding::Br => drop(brotli::Decompressor::new(coded, 4096).read_to_end(&mut out)),
        Encoding::Zstd => {
            let mut context = zstd_safe::DCtx::create();
            let mut input = InBuffer::around(coded);
            out.reserve(8 << 20);
            let mut output = OutBuffer::around(&mut out);
            while input.pos < coded.len() {
                context.decompress_stream(&mut output, &mut input).unwrap();
            }
        }
    }
    out
}

#[test]
fn what_goes_in_comes_out_whatever_the_pieces() {
    for encoding in ALL {
        for (length, piece) in [(0, 1), (1, 1), (5_000, 7), (200_000, 32 << 10), (300_000, 1 << 20)]
        {
            for known in [None, Some(length as u64)] {
                let text = text(length);
                let mut encoder = Encoder::new(encoding, LEVELS, known).unwrap();
                let mut out = Vec::new();
                for piece in text.chunks(piece) {
                    encoder.push(piece, Then::More, &mut out).unwrap();
                }
                encoder.push(&[], Then::Finish, &mut out).unwrap();
                assert_eq!(decoded(encoding, &out), text, "{encoding:?} {length} by {piece}");
                assert!(out.len() < length / 2 + 40, "{encoding:?} {length}: {}", out.len());
            }
        }
    }
}

#[test]
fn a_flush_brings_out_all_that_was_fed() {
    for encoding in ALL {
        let text = text(100_000);
        let mut encoder = Encoder::new(encoding, LEVELS, None).unwrap();
        let (mut out, mut fed) = (Vec::new(), 0);
        for length in [1, 10, 3_000, 40_000] {
            encoder.push(&text[fed..fed + length], Then::Flush, &mut out).unwrap();
            fed += length;
            assert_eq!(decoded(encoding, &out), text[..fed], "{encoding:?} after {fed}");
        }
        let before = out.len();
        encoder.push(&[], Then::Flush, &mut out).unwrap();
        assert!(out.len() - before < 16, "{encoding:?} has nothing to say");
        encoder.push(&text[fed..], Then::Finish, &mut out).unwrap();
        assert_eq!(decoded(encoding, &out), text, "{encoding:?}");
    }
}

#[test]
fn one_that_is_used_again_remembers_nothing() {
    for encoding in ALL {
        let mut encoder = Encoder::new(encoding, LEVELS, Some(9_000)).unwrap();
        encoder.push(&text(4_000), Then::More, &mut Vec::new()).unwrap();
        if !encoder.reset(Some(3)) {
            assert_eq!(encoding, Encoding::Br);
            continue;
        }
        let mut out = Vec::new();
        encoder.push(b"abc", Then::Finish, &mut out).unwrap();
        assert_eq!(decoded(encoding, &out), b"abc", "{encoding:?}");
    }
}

#[test]
fn every_level_works() {
    let text = text(20_000);
    for encoding in ALL {
        let levels = match encoding {
            Encoding::Br => 0..=11,
            Encoding::Zstd => 1..=19,
            Encoding::Gzip => 1..=9,
        };
        for level in levels {
            let levels = Levels { br: level, zstd: level, gzip: level };
            let mut encoder = Encoder::new(encoding, levels, None).unwrap();
            let mut out = Vec::new();
            encoder.push(&text, Then::Finish, &mut out).unwrap();
            assert_eq!(decoded(encoding, &out), text, "{encoding:?} {level}");
        }
    }
}
