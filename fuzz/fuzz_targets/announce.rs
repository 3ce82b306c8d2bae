//! What a member says of itself: what can be read is valid, and says the same when it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_discovery::announce::Announcement;

fuzz_target!(|data: &[u8]| {
    if let Some(said) = Announcement::decode(data) {
        let meta = said.encode().expect("what was believed can be said");
        assert_eq!(Announcement::decode(&meta), Some(said));
    }
});
