//! Content codings: gzip and deflate.

use std::io::{Read, Write};

use flate2::{
    Compression,
    read::{DeflateDecoder, GzDecoder, ZlibDecoder},
    write::{GzEncoder, ZlibEncoder},
};

use super::HttpError;

/// The largest decompressed body.
const BODY_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Undoes the codings of `Content-Encoding`, last applied first.
///
/// # Errors
/// 1701 for a body that is not what the header says, and for codings that are not supported.
pub fn decode(body: &[u8], codings: &str) -> Result<Vec<u8>, HttpError> {
    let failed = |error: &dyn std::fmt::Display| {
        HttpError::new(
            HttpError::DECOMPRESSION,
            format!("error decompressing response body ({error})"),
        )
    };
    let mut body = body.to_vec();
    for coding in codings.rsplit(',').map(str::trim) {
        let mut out = Vec::new();
        let read = match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => GzDecoder::new(&*body).take(BODY_BYTES_MAX).read_to_end(&mut out),
            // RFC 9110 means zlib; some servers send the bare stream.
            "deflate" if body.first().is_some_and(|byte| byte & 0x0f == 8) => {
                ZlibDecoder::new(&*body).take(BODY_BYTES_MAX).read_to_end(&mut out)
            }
            "deflate" => DeflateDecoder::new(&*body).take(BODY_BYTES_MAX).read_to_end(&mut out),
            "identity" | "" => continue,
            // Left as it is, as k6 leaves codings it does not know.
            _ => return Ok(body),
        };
        read.map_err(|error| failed(&error))?;
        body = out;
    }
    Ok(body)
}

/// Applies the codings that a request's `compression` names, in order.
///
/// # Errors
/// The name of a coding that is not supported.
pub fn encode(body: &[u8], codings: &str) -> Result<Vec<u8>, String> {
    let mut body = body.to_vec();
    for coding in codings.split(',').map(str::trim) {
        let out = match coding {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&body).and_then(|()| encoder.finish())
            }
            "deflate" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&body).and_then(|()| encoder.finish())
            }
            other => return Err(format!("unsupported compression algorithm '{other}'")),
        };
        body = out.map_err(|error| error.to_string())?;
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoes_what_it_does() {
        let coded = encode(b"hello hello hello", "gzip, deflate").unwrap();
        assert_eq!(decode(&coded, "gzip, deflate").unwrap(), b"hello hello hello");
        assert_eq!(decode(b"nonsense", "gzip").unwrap_err().code, HttpError::DECOMPRESSION);
        assert!(encode(b"", "br").is_err());
    }
}
