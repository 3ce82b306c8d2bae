//! `weir.base64`, `weir.hmac` and `weir.time`.

use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::hmac::{self, Algorithm};
use mlua::{Error, Lua, LuaString, Result, Table};
use subtle::ConstantTimeEq as _;

use crate::{base64, clock};

pub(super) fn base64(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    table.raw_set(
        "encode",
        lua.create_function(|_, bytes: LuaString| Ok(base64::encode(&bytes.as_bytes())))?,
    )?;
    table.raw_set(
        "encode_url",
        lua.create_function(|_, bytes: LuaString| {
            let text = base64::encode(&bytes.as_bytes());
            Ok(text.trim_end_matches('=').replace('+', "-").replace('/', "_"))
        })?,
    )?;
    // Either alphabet, with padding or without: what others wrote is theirs to choose.
    table.raw_set(
        "decode",
        lua.create_function(|lua, text: LuaString| {
            decode(&text.as_bytes()).map(|bytes| lua.create_string(bytes)).transpose()
        })?,
    )?;
    Ok(table)
}

/// The bytes of a text in base64; `None` where it is none.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let (text, padding) = text.split_at(end);
    if padding.len() > 2 || (!padding.is_empty() && (text.len() + padding.len()) % 4 != 0) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut word = 0_u32;
        for byte in group {
            word = word << 6 | u32::from(sextet(*byte)?);
        }
        let bits = 6 * group.len() as u32;
        // What is left over is no byte, and says nothing.
        let rest = bits % 8;
        if group.len() == 1 || word & ((1 << rest) - 1) != 0 {
            return None;
        }
        let word = word >> rest;
        bytes.extend_from_slice(&word.to_be_bytes()[4 - (bits / 8) as usize..]);
    }
    Some(bytes)
}

const fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

pub(super) fn hmac(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    for (name, algorithm) in [("sha256", hmac::HMAC_SHA256), ("sha512", hmac::HMAC_SHA512)] {
        let sign = move |_: &Lua, (key, text): (LuaString, LuaString)| {
            Ok(sign(algorithm, &key.as_bytes(), &text.as_bytes()))
        };
        table.raw_set(name, lua.create_function(sign)?)?;
    }
    // How long it takes tells nothing of where two differ.
    table.raw_set(
        "equal",
        lua.create_function(|_, (one, other): (LuaString, LuaString)| {
            Ok(bool::from(one.as_bytes().ct_eq(&*other.as_bytes())))
        })?,
    )?;
    Ok(table)
}

fn sign(algorithm: Algorithm, key: &[u8], text: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(algorithm, key), text);
    tag.as_ref().iter().fold(String::with_capacity(128), |mut hex, byte| {
        for half in [byte >> 4, byte & 15] {
            hex.push(char::from(b"0123456789abcdef"[usize::from(half)]));
        }
        hex
    })
}

pub(super) fn time(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("now", lua.create_function(|_, ()| Ok(clock::unix_time().as_secs_f64()))?)?;
    table.raw_set(
        "http",
        lua.create_function(|_, seconds: Option<f64>| {
            /// The last second of the year 9999.
            const LAST: f64 = 253_402_300_799.0;
            let seconds = seconds.unwrap_or_else(|| clock::unix_time().as_secs_f64());
            if !(0.0..=LAST).contains(&seconds) {
                return Err(Error::runtime("a date lies between the years 1970 and 9999"));
            }
            let moment = UNIX_EPOCH + Duration::from_secs(seconds as u64);
            Ok(httpdate::fmt_http_date(moment))
        })?,
    )?;
    table.raw_set(
        "parse",
        lua.create_function(|_, text: LuaString| {
            let text = text.to_string_lossy();
            let moment = httpdate::parse_http_date(&text).ok();
            let since = moment.and_then(|moment| moment.duration_since(UNIX_EPOCH).ok());
            Ok(since.map(|since| since.as_secs_f64()))
        })?,
    )?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_in_either_alphabet() {
        for (text, bytes) in [
            ("", Some("")),
            ("Zg==", Some("f")),
            ("Zg", Some("f")),
            ("Zm9vYmE=", Some("fooba")),
            ("Zm9vYmFy", Some("foobar")),
            ("Zg=", None),
            ("Zg===", None),
            ("Z", None),
            ("Zh==", None),
            ("Zm9v Ym", None),
            ("====", None),
        ] {
            assert_eq!(decode(text.as_bytes()), bytes.map(|b| b.as_bytes().to_vec()), "{text}");
        }
        assert_eq!(decode(b"-_-_"), decode(b"+/+/"));
    }

    #[test]
    fn tags_are_those_of_rfc_4231() {
        let tag = sign(hmac::HMAC_SHA256, b"Jefe", b"what do ya want for nothing?");
        assert_eq!(tag, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let tag = sign(hmac::HMAC_SHA512, b"Jefe", b"what do ya want for nothing?");
        assert!(
            tag.starts_with("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554")
        );
    }
}
