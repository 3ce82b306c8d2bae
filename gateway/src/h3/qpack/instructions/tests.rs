use super::*;

fn encoder(bytes: &[u8]) -> Result<(), Code> {
    EncoderStream::new().push(bytes)
}

/// Byte by byte: how the stream is cut makes no difference.
fn decoder(bytes: &[u8]) -> Result<(), Code> {
    let whole = DecoderStream::new().push(bytes);
    let mut stream = DecoderStream::new();
    let cut = bytes.iter().try_for_each(|byte| stream.push(&[*byte]));
    assert_eq!(whole, cut, "{bytes:x?}");
    whole
}

#[test]
fn the_encoder_may_only_set_the_capacity_to_zero() {
    assert_eq!(encoder(&[]), Ok(()));
    assert_eq!(encoder(&[0x20, 0x20]), Ok(()));
    let refused: &[&[u8]] = &[
        &[0x21],             // a capacity of 1
        &[0x3f, 0x00],       // a capacity of 31
        &[0x20, 0xc0, 0x00], // insert with the name of a static entry
        &[0x80, 0x00],       // insert with the name of a dynamic entry
        &[0x41, b'a', 0x00], // insert with a literal name
        &[0x00],             // duplicate
    ];
    for bytes in refused {
        assert_eq!(encoder(bytes), Err(Code::QpackEncoderStreamError), "{bytes:x?}");
    }
}

#[test]
fn the_decoder_may_only_cancel_streams() {
    assert_eq!(decoder(&[]), Ok(()));
    assert_eq!(decoder(&[0x44, 0x40, 0x7f, 0x05, 0x7e]), Ok(()));
    // A section acknowledged, an insert count incremented.
    for byte in [0x80, 0xff, 0x00, 0x01, 0x3f] {
        assert_eq!(decoder(&[byte]), Err(Code::QpackDecoderStreamError), "{byte:x}");
        assert_eq!(decoder(&[0x44, byte]), Err(Code::QpackDecoderStreamError), "{byte:x}");
    }
}

#[test]
fn no_stream_id_exceeds_62_bits() {
    let largest = [0x7f, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f];
    assert_eq!(decoder(&largest), Ok(()));
    let mut larger = largest;
    larger[1] = 0xc1;
    assert_eq!(decoder(&larger), Err(Code::QpackDecoderStreamError));
    // Nor is it padded for ever.
    let mut padded = vec![0x7f];
    padded.extend([0x80; 9]);
    assert_eq!(decoder(&padded), Err(Code::QpackDecoderStreamError));
}
