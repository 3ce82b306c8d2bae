//! What comes from strangers: without the secret nothing opens, and what was sealed opens once,
//! whatever came before it.
//!
//! The input is packets of a byte of length each.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_discovery::seal::{Refused, Seal, Use};

const SECRETS: [&[u8]; 2] = [b"a secret of sixteen or more", b"another secret of that size"];

fuzz_target!(|data: &[u8]| run(data));

fn run(mut data: &[u8]) {
    let mut receiver = Seal::new(&SECRETS, "label").expect("they are long enough");
    while let Some((length, rest)) = data.split_first() {
        let (packet, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        data = rest;
        assert_eq!(receiver.open(Use::Packet, &mut packet.to_vec()), Err(Refused::Unsealed));
        let mut sealed = Vec::new();
        let mut sender = Seal::new(&SECRETS[1..], "label").expect("it is long enough");
        sender.seal(Use::Packet, packet, &mut sealed).expect("it is short");
        assert_eq!(receiver.open(Use::Packet, &mut sealed.clone()), Ok(packet));
        assert_eq!(receiver.open(Use::Packet, &mut sealed), Err(Refused::Replayed));
    }
}
