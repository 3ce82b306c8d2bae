use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

fn encoded(value: u64) -> BytesMut {
    let mut out = BytesMut::new();
    encode(value, &mut out);
    out
}

#[test]
fn reads_the_examples_of_the_rfc() {
    // RFC 9000 appendix A.1.
    let table: &[(&[u8], u64)] = &[
        (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
        (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
        (&[0x7b, 0xbd], 15_293),
        (&[0x25], 37),
    ];
    for (bytes, value) in table {
        assert_eq!(decode(bytes), Some((*value, bytes.len())));
        assert_eq!(encoded(*value), *bytes);
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
    }
    // Not the shortest form, but allowed.
    assert_eq!(decode(&[0x40, 0x25, 9]), Some((37, 2)));
}

#[test]
fn writes_no_more_than_fits() {
    assert_eq!(encoded(u64::MAX), encoded(MAX));
    assert_eq!(encoded(MAX), [0xff; 8][..]);
}

proptest! {
    #[test]
    fn reads_what_it_wrote(value in 0..=MAX, shift in 0..62) {
        let value = value >> shift;
        let bytes = encoded(value);
        prop_assert_eq!(bytes.len(), size(value));
        prop_assert_eq!(decode(&bytes), Some((value, bytes.len())));
    }
}
