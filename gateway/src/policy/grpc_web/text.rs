//! Base64 as it comes and goes in pieces (RFC 4648, section 4): each piece may be padded, and
//! another follow it.

/// What is left of a group of four.
#[derive(Debug, Default)]
pub(super) struct Text {
    group: [u8; 4],
    held: usize,
}

/// It is no base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl Text {
    /// Appends what the characters stand for.
    pub(super) fn decode(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.reserve(text.len() / 4 * 3 + 3);
        for character in text {
            self.group[self.held] = *character;
            self.held += 1;
            if self.held == 4 {
                self.held = 0;
                group(self.group, out)?;
            }
        }
        Ok(())
    }

    /// Whether no group is broken off.
    pub(super) const fn is_complete(&self) -> bool {
        self.held == 0
    }
}

fn group(group: [u8; 4], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let padding = match group {
        [_, _, b'=', b'='] => 2,
        [_, _, _, b'='] => 1,
        _ => 0,
    };
    let mut bits = 0_u32;
    for character in &group[..4 - padding] {
        bits = (bits << 6) | u32::from(value(*character).ok_or(Malformed)?);
    }
    bits <<= 6 * padding;
    let [_, bytes @ ..] = bits.to_be_bytes();
    out.extend_from_slice(&bytes[..3 - padding]);
    Ok(())
}

const fn value(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(pieces: &[&str]) -> Result<Vec<u8>, Malformed> {
        let (mut text, mut out) = (Text::default(), Vec::new());
        for piece in pieces {
            text.decode(piece.as_bytes(), &mut out)?;
        }
        if text.is_complete() { Ok(out) } else { Err(Malformed) }
    }

    #[test]
    fn pieces_are_cut_anywhere() {
        assert_eq!(decoded(&["aGVsbG8="]).unwrap(), b"hello");
        assert_eq!(decoded(&["aG", "V", "sbG8", "="]).unwrap(), b"hello");
        assert_eq!(decoded(&["aGVsbG8=", "d29ybGQ="]).unwrap(), b"helloworld");
        assert_eq!(decoded(&["/+8=", "YQ=="]).unwrap(), b"\xff\xefa");
        assert_eq!(decoded(&[""]).unwrap(), b"");
    }

    #[test]
    fn what_is_none_is_refused() {
        for wrong in ["aGVsbG8", "====", "a===", "aG=s", "aGV\n", "_-==", "=aaa"] {
            assert!(decoded(&[wrong]).is_err(), "{wrong}");
        }
    }
}
