//! A verdict on the start of a connection never panics, stays within bounds, and never changes
//! when more bytes arrive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_gateway::listen::proxy_protocol::{Parsed, V2_MAX_BYTES, parse};

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    match whole {
        Ok(Parsed::Complete(_, length)) => {
            assert!(length <= bytes.len() && length <= V2_MAX_BYTES);
            assert_eq!(parse(&bytes[..length]), whole);
            assert_eq!(parse(&bytes[..length - 1]), Ok(Parsed::Incomplete));
        }
        Ok(Parsed::Incomplete) => assert!(bytes.len() < V2_MAX_BYTES),
        Err(_) => assert_eq!(parse(&[bytes, b"\r\n"].concat()), whole),
    }
});
