use super::*;

const OLD: &[u8] = b"a secret of sixteen or more";
const NEW: &[u8] = b"another secret of that size";

fn sealed(seal: &mut Seal, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    seal.seal(Use::Packet, message, &mut out).unwrap();
    out
}

#[test]
fn what_is_sealed_opens_once() {
    let (mut a, mut b) = (Seal::new(&[OLD], "x").unwrap(), Seal::new(&[OLD], "x").unwrap());
    let bytes = sealed(&mut a, b"news");
    assert_eq!(bytes.len(), 4 + OVERHEAD_BYTES);
    assert_eq!(b.open(Use::Packet, &mut bytes.clone()), Ok(&b"news"[..]));
    assert_eq!(b.open(Use::Packet, &mut bytes.clone()), Err(Refused::Replayed));
}

#[test]
fn other_keys_labels_uses_and_bytes_are_refused() {
    let bytes = sealed(&mut Seal::new(&[OLD], "x").unwrap(), b"news");
    let refused = Err(Refused::Unsealed);
    let mut other = Seal::new(&[NEW], "x").unwrap();
    assert_eq!(other.open(Use::Packet, &mut bytes.clone()), refused);
    let mut other = Seal::new(&[OLD], "y").unwrap();
    assert_eq!(other.open(Use::Packet, &mut bytes.clone()), refused);
    let mut same = Seal::new(&[OLD], "x").unwrap();
    assert_eq!(same.open(Use::Request, &mut bytes.clone()), refused);
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        assert_eq!(same.open(Use::Packet, &mut bytes), refused, "byte {at}");
        assert_eq!(same.open(Use::Packet, &mut bytes[..at]), refused);
    }
    assert!(same.open(Use::Packet, &mut bytes.clone()).is_ok());
}

#[test]
fn keys_rotate_without_a_pause() {
    let (mut a, mut b) = (Seal::new(&[OLD], "").unwrap(), Seal::new(&[OLD], "").unwrap());
    let steps: [(&[&[u8]], &[&[u8]]); 6] = [
        (&[OLD, NEW], &[OLD]),
        (&[OLD, NEW], &[OLD, NEW]),
        (&[NEW, OLD], &[OLD, NEW]),
        (&[NEW, OLD], &[NEW, OLD]),
        (&[NEW], &[NEW, OLD]),
        (&[NEW], &[NEW]),
    ];
    for (of_a, of_b) in steps {
        a.rekey(of_a).unwrap();
        b.rekey(of_b).unwrap();
        assert!(b.open(Use::Packet, &mut sealed(&mut a, b"a")).is_ok());
        assert!(a.open(Use::Packet, &mut sealed(&mut b, b"b")).is_ok());
    }
}

#[test]
fn what_is_late_opens_and_what_is_too_late_does_not() {
    let (mut a, mut b) = (Seal::new(&[OLD], "").unwrap(), Seal::new(&[OLD], "").unwrap());
    let packets: Vec<_> = (0..400).map(|_| sealed(&mut a, b"x")).collect();
    for at in [5, 3, 4, 100, 99, 200] {
        assert!(b.open(Use::Packet, &mut packets[at].clone()).is_ok(), "{at}");
    }
    for at in [5, 3, 99, 100, 72, 0] {
        let mut again = packets[at].clone();
        assert_eq!(b.open(Use::Packet, &mut again), Err(Refused::Replayed), "{at}");
    }
    assert!(b.open(Use::Packet, &mut packets[73].clone()).is_ok());
    assert!(b.open(Use::Packet, &mut packets[399].clone()).is_ok());
    assert_eq!(b.open(Use::Packet, &mut packets[201].clone()), Err(Refused::Replayed));
}

#[test]
fn secrets_and_labels_have_sizes() {
    assert!(Seal::new(&[b"short"], "").is_err());
    assert!(Seal::new::<&[u8]>(&[], "").is_err());
    assert!(Seal::new(&[OLD; 9], "").is_err());
    assert!(Seal::new(&[OLD], &"l".repeat(129)).is_err());
}
