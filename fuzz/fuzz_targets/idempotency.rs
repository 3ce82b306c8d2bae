//! Whatever a shared store answers: no panic, and a recording that is read is written again with
//! the same content. Whatever a client calls its request: a key within bounds, or none.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use weir_gateway::idempotency::{
    key::{self, LENGTH_MAX},
    record::Recording,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(recording) = Recording::decode(&Bytes::copy_from_slice(bytes)) {
        assert_eq!(Recording::decode(&recording.encode()), Ok(recording));
    }
    if let Ok(key) = key::parse(bytes) {
        assert!((1..=LENGTH_MAX).contains(&key.len()));
        assert!(key.iter().all(|byte| matches!(byte, b' '..=b'~')));
    }
});
