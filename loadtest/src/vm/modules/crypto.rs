//! The modules `k6/crypto` and `k6/encoding`.

use aws_lc_rs::{digest, hmac, rand};
use md5::{Digest as _, Md5};
use rquickjs::{Ctx, Exception, Function, Object, Result, Value};

use super::bytes;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const MD5_BLOCK_BYTES: usize = 64;

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("digest", Function::new(ctx.clone(), digest_of)?)?;
    native.set("randomBytes", Function::new(ctx.clone(), random_bytes)?)?;
    native.set("b64encode", Function::new(ctx.clone(), b64encode)?)?;
    native.set("b64decode", Function::new(ctx.clone(), b64decode)?)
}

fn input(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<Vec<u8>> {
    bytes::of(value)?
        .ok_or_else(|| Exception::throw_type(ctx, "expected a string or an ArrayBuffer"))
}

fn digest_of<'js>(
    ctx: Ctx<'js>,
    algorithm: String,
    key: Value<'js>,
    parts: Vec<Value<'js>>,
    encoding: String,
) -> Result<Value<'js>> {
    let mut data = Vec::new();
    for part in &parts {
        data.extend(input(&ctx, part)?);
    }
    let key = if key.is_undefined() { None } else { Some(input(&ctx, &key)?) };
    let hashed = match &*algorithm {
        "md5" => Some(md5(key.as_deref(), &data)),
        name => hashes(name).map(|(plain, keyed)| match key {
            Some(key) => hmac::sign(&hmac::Key::new(keyed, &key), &data).as_ref().to_vec(),
            None => digest::digest(plain, &data).as_ref().to_vec(),
        }),
    };
    let Some(hashed) = hashed else {
        let text = format!("the hash algorithm '{algorithm}' is not supported by weir-load");
        return Err(Exception::throw_message(&ctx, &text));
    };
    let text = match &*encoding {
        "binary" => return bytes::buffer(&ctx, &hashed),
        "hex" => hashed.iter().map(|byte| format!("{byte:02x}")).collect(),
        "base64" => base64(&hashed, STANDARD, true),
        "base64url" => base64(&hashed, URL, true),
        "base64rawurl" => base64(&hashed, URL, false),
        other => {
            let text = format!("invalid output encoding: {other}");
            return Err(Exception::throw_message(&ctx, &text));
        }
    };
    rquickjs::String::from_str(ctx, &text).map(rquickjs::String::into_value)
}

fn hashes(name: &str) -> Option<(&'static digest::Algorithm, hmac::Algorithm)> {
    Some(match name {
        "sha1" => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        "sha256" => (&digest::SHA256, hmac::HMAC_SHA256),
        "sha384" => (&digest::SHA384, hmac::HMAC_SHA384),
        "sha512" => (&digest::SHA512, hmac::HMAC_SHA512),
        _ => return None,
    })
}

/// RFC 1321, and RFC 2104 with a key.
fn md5(key: Option<&[u8]>, data: &[u8]) -> Vec<u8> {
    let Some(key) = key else { return Md5::digest(data).to_vec() };
    let mut block = [0; MD5_BLOCK_BYTES];
    if key.len() > MD5_BLOCK_BYTES {
        block[..16].copy_from_slice(&Md5::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Md5::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(data);
    let outer = Md5::new().chain_update(block.map(|byte| byte ^ 0x5c));
    outer.chain_update(inner.finalize()).finalize().to_vec()
}

fn random_bytes<'js>(ctx: Ctx<'js>, size: f64) -> Result<Value<'js>> {
    if !(1.0..=1e9).contains(&size) {
        return Err(Exception::throw_range(&ctx, "invalid size"));
    }
    let mut random = vec![0; size as usize];
    // Scripts make keys and tokens of it: never the generator that `randomSeed()` sets.
    rand::fill(&mut random)
        .map_err(|_| Exception::throw_message(&ctx, "the system has no random bytes"))?;
    bytes::buffer(&ctx, &random)
}

/// The letters, and whether texts are padded; a word that k6 does not know is its usual variant.
fn alphabet(variant: &str) -> (&'static [u8; 64], bool) {
    match variant {
        "rawstd" => (STANDARD, false),
        "url" => (URL, true),
        "rawurl" => (URL, false),
        _ => (STANDARD, true),
    }
}

fn b64encode(ctx: Ctx<'_>, data: Value<'_>, variant: String) -> Result<String> {
    let (alphabet, pads) = alphabet(&variant);
    Ok(base64(&input(&ctx, &data)?, alphabet, pads))
}

fn b64decode<'js>(
    ctx: Ctx<'js>,
    text: String,
    variant: String,
    as_text: bool,
) -> Result<Value<'js>> {
    let (alphabet, pads) = alphabet(&variant);
    let Some(decoded) = unbase64(&text, alphabet, pads) else {
        return Err(Exception::throw_message(&ctx, "illegal base64 data"));
    };
    if as_text {
        let text = String::from_utf8_lossy(&decoded);
        return rquickjs::String::from_str(ctx, &text).map(rquickjs::String::into_value);
    }
    bytes::buffer(&ctx, &decoded)
}

/// RFC 4648, 4 and 5.
pub(super) fn base64(bytes: &[u8], alphabet: &[u8; 64], pads: bool) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut word = 0;
        for (at, byte) in chunk.iter().enumerate() {
            word |= u32::from(*byte) << (16 - 8 * at);
        }
        for at in 0..=chunk.len() {
            text.push(alphabet[(word >> (18 - 6 * at)) as usize & 63] as char);
        }
        if pads {
            text.extend(std::iter::repeat_n('=', 3 - chunk.len()));
        }
    }
    text
}

/// `user:password` as basic authentication sends it.
pub(super) fn basic(userinfo: &str) -> String {
    format!("Basic {}", base64(userinfo.as_bytes(), STANDARD, true))
}

fn unbase64(text: &str, alphabet: &[u8; 64], pads: bool) -> Option<Vec<u8>> {
    let (mut bytes, mut word, mut bits) = (Vec::with_capacity(text.len() / 4 * 3), 0u32, 0);
    let text = text.replace(['\r', '\n'], "");
    let digits = text.trim_end_matches('=');
    let padding = if pads { digits.len().next_multiple_of(4) - digits.len() } else { 0 };
    if digits.len() % 4 == 1 || text.len() - digits.len() != padding {
        return None;
    }
    for byte in digits.bytes() {
        let digit = alphabet.iter().position(|other| *other == byte)?;
        word = word << 6 | digit as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_base64() {
        for text in ["", "f", "fo", "foo", "foob", "fooba", "foobar"] {
            let coded = base64(text.as_bytes(), STANDARD, true);
            assert_eq!(unbase64(&coded, STANDARD, true).unwrap(), text.as_bytes());
        }
        assert_eq!(base64(b"fo", STANDARD, true), "Zm8=");
        assert_eq!(base64(&[0xfb, 0xff], URL, false), "-_8");
        for bad in ["a*b=", "YQ", "YQ=", "YQ===", "Y", "Y==="] {
            assert_eq!(unbase64(bad, STANDARD, true), None, "{bad}");
        }
        assert_eq!(unbase64("YQ==", STANDARD, false), None);
        assert_eq!(unbase64("YQ", STANDARD, false).unwrap(), b"a");
    }

    #[test]
    fn signs_with_md5() {
        let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        // RFC 2202, 2.
        let signed = md5(Some(b"Jefe"), b"what do ya want for nothing?");
        assert_eq!(hex(signed), "750c783e6ab0b503eaa86e310a5db738");
    }
}
