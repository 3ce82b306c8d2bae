use bytes::BytesMut;

use super::*;

fn payload(pairs: &[(u64, u64)]) -> BytesMut {
    let mut out = BytesMut::new();
    for (id, value) in pairs {
        varint::encode(*id, &mut out);
        varint::encode(*value, &mut out);
    }
    out
}

fn check(pairs: &[(u64, u64)], expected: Result<Settings, Code>) {
    assert_eq!(decode(&payload(pairs)), expected, "{pairs:?}");
}

#[test]
fn reads_what_is_known_and_ignores_the_rest() {
    let none = Settings::default();
    check(&[], Ok(none));
    check(&[(0x01, 4096), (0x07, 100), (0x33, 1), (0x21, 9), (0x40, 7)], Ok(none));
    check(&[(0x06, 65_536)], Ok(Settings { max_field_section: Some(65_536), ..none }));
    check(&[(0x08, 1)], Ok(Settings { connect_protocol: true, ..none }));
    check(&[(0x08, 0)], Ok(none));
}

#[test]
fn refuses_what_must_not_be_there() {
    for id in 0x02..=0x05 {
        check(&[(id, 0)], Err(Code::SettingsError));
    }
    check(&[(0x08, 2)], Err(Code::SettingsError));
    check(&[(0x06, 1), (0x06, 1)], Err(Code::SettingsError));
    check(&[(0x21, 1), (0x06, 1), (0x21, 2)], Err(Code::SettingsError));
}

#[test]
fn refuses_half_a_setting() {
    let whole = payload(&[(0x06, 65_536)]);
    for cut in 1..whole.len() {
        assert_eq!(decode(&whole[..cut]), Err(Code::FrameError));
    }
}

#[test]
fn writes_a_frame_that_it_can_read() {
    for settings in [
        Settings::default(),
        Settings { max_field_section: Some(65_536), connect_protocol: true },
        Settings { max_field_section: Some(0), connect_protocol: false },
    ] {
        let mut out = BytesMut::new();
        encode(&settings, &mut out);
        assert_eq!(out[0], 0x04);
        assert_eq!(usize::from(out[1]), out.len() - 2);
        assert_eq!(decode(&out[2..]), Ok(settings));
    }
}
