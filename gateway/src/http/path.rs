//! Path hygiene: one spelling for every path, before anything looks at it.
//!
//! Routing, access rules, cache keys and the upstream must all see the same path; where they read
//! it differently, a rule for `/admin/**` is passed by `/x/../admin`, `/%61dmin` or `//admin`. So
//! the path is brought into its normal form (RFC 3986 section 6.2.2) once, at the door, and only
//! that form goes further in and upstream.
//!
//! | written | becomes | why |
//! |---|---|---|
//! | `/./`, `/../`, also as `%2e` | removed | RFC 3986 section 5.2.4 |
//! | `..` above the root | refused | no honest client sends it; to clamp it hides an attack |
//! | `//` | `/` | servers that map paths to files read them alike |
//! | `%41`, `%7e` | `A`, `~` | unreserved characters mean the same in both spellings |
//! | `%2c`, `%c3%a9` | `%2C`, `%C3%A9` | reserved ones do not: kept, with upper-case digits |
//! | space, `"<>[]^{}`, backtick, bar, not ASCII | percent-encoded | not legal in a path |
//! | `%2F`, `%5C`, `\` | `%2F`, `%5C`, `%5C` | data, no separator: APIs carry names with slashes |
//! | `..%2f`, `%5c..`, `..;x` | refused | a dot segment to every upstream that decodes once more |
//! | `%zz`, `%4`, `%00`, control bytes | refused | no meaning, or one that ends strings early |
//! | `?`, `#` | refused | a path ends before them: the target was split wrongly |
//!
//! Nothing is decoded twice: `%252e` is the text `%2e` and stays `%252e`. Slashes are merged before
//! dot segments are removed, so that `/a//../b` is `/b`, as a file system would have it.

use std::borrow::Cow;

/// Why a path is refused; every case is a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("path does not begin with '/'")]
    NotAbsolute,
    /// A `%` is not followed by two hexadecimal digits.
    #[error("invalid percent escape in path")]
    Escape,
    /// A control character, NUL among them, plain or percent-encoded.
    #[error("control character in path")]
    Control,
    /// A `?` or `#`, which ends a path.
    #[error("'?' or '#' inside a path")]
    Delimiter,
    /// `..` leads above the root.
    #[error("path leads above the root")]
    AboveRoot,
    /// A dot segment behind an encoded slash, a backslash or a `;`.
    #[error("hidden dot segment in path")]
    HiddenDotSegment,
}

/// Brings a path (no query) into normal form, or says why it has none.
///
/// A path that is in normal form already is borrowed. The result begins with `/`, has no empty
/// segment but perhaps the last, no dot segment, and only characters that RFC 3986 allows in a
/// path; normalizing it once more changes nothing.
///
/// # Errors
/// See [`PathError`].
pub fn normalize(raw: &str) -> Result<Cow<'_, str>, PathError> {
    if !raw.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    if is_normal(raw.as_bytes()) {
        return Ok(Cow::Borrowed(raw));
    }
    rebuild(raw).map(Cow::Owned)
}

/// Appends text to a path so that it stays data: whatever is not legal in a path, `?` and `#`
/// included, is percent-encoded; escapes and slashes are kept.
///
/// # Errors
/// [`PathError::Escape`] and [`PathError::Control`].
pub(crate) fn push_encoded(out: &mut String, text: &str) -> Result<(), PathError> {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match CLASSES[usize::from(byte)] {
            Class::Plain | Class::Slash => out.push(char::from(byte)),
            Class::Encode | Class::Delimiter => push_escape(out, byte),
            Class::Control => return Err(PathError::Control),
            Class::Percent => match escaped(bytes.next(), bytes.next())? {
                byte if is_control(byte) => return Err(PathError::Control),
                byte if is_unreserved(byte) => out.push(char::from(byte)),
                byte => push_escape(out, byte),
            },
        }
    }
    Ok(())
}

/// Whether a path has a segment `.` or `..`, plain or hidden behind an encoded slash or a `;`.
pub(crate) fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| dots(segment) != Dots::None)
}

/// The byte that a percent escape stands for.
pub(crate) fn escaped(high: Option<u8>, low: Option<u8>) -> Result<u8, PathError> {
    let digit = |byte: Option<u8>| {
        byte.and_then(|byte| char::from(byte).to_digit(16))
            .and_then(|digit| u8::try_from(digit).ok())
            .ok_or(PathError::Escape)
    };
    Ok(digit(high)? << 4 | digit(low)?)
}

/// Writes `%XX`.
pub(crate) fn push_escape(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// RFC 3986 section 2.3.
pub(crate) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// What a byte of a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// May stand in a segment as it is: `pchar` of RFC 3986 section 3.3 without `%`.
    Plain,
    /// `/`.
    Slash,
    /// `%`.
    Percent,
    /// Must be percent-encoded.
    Encode,
    /// Must not be there at all.
    Control,
    /// Ends a path.
    Delimiter,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Encode; 256];
    let mut byte = u8::MIN;
    loop {
        classes[byte as usize] = class_of(byte);
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

const fn class_of(byte: u8) -> Class {
    match byte {
        b'/' => Class::Slash,
        b'%' => Class::Percent,
        b'?' | b'#' => Class::Delimiter,
        b'!' | b'$' | b'&'..=b'.' | b':' | b';' | b'=' | b'@' => Class::Plain,
        _ if is_unreserved(byte) => Class::Plain,
        _ if is_control(byte) => Class::Control,
        _ => Class::Encode,
    }
}

/// Whether a path that begins with a slash is in normal form.
fn is_normal(path: &[u8]) -> bool {
    let mut segment = 0;
    let mut has_dots = false;
    for (index, &byte) in path.iter().enumerate() {
        match CLASSES[usize::from(byte)] {
            Class::Plain => {}
            Class::Slash => {
                if has_dots && bytes_have_dots(&path[segment..index]) {
                    return false;
                }
                segment = index + 1;
                let next = path.get(segment);
                if next == Some(&b'/') {
                    return false;
                }
                has_dots = next == Some(&b'.');
            }
            Class::Percent => match kept_escape(&path[index + 1..]) {
                Some(escaped) => has_dots |= matches!(escaped, b'/' | b'\\'),
                None => return false,
            },
            Class::Encode | Class::Control | Class::Delimiter => return false,
        }
    }
    !(has_dots && bytes_have_dots(&path[segment..]))
}

fn bytes_have_dots(segment: &[u8]) -> bool {
    std::str::from_utf8(segment).map_or(true, |segment| dots(segment) != Dots::None)
}

/// The byte of an escape that stays as it is written, given what follows the `%`.
fn kept_escape(rest: &[u8]) -> Option<u8> {
    let byte = escaped(rest.first().copied(), rest.get(1).copied()).ok()?;
    let is_upper = !rest[..2].iter().any(u8::is_ascii_lowercase);
    (is_upper && !is_unreserved(byte) && !is_control(byte)).then_some(byte)
}

fn rebuild(raw: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(raw.len());
    // A path that ends in a slash or in a dot segment names a directory, and goes on to do so.
    let mut ends_open = true;
    for segment in raw.split('/').skip(1) {
        ends_open = true;
        if segment.is_empty() {
            continue;
        }
        let start = out.len();
        out.push('/');
        push_segment(&mut out, segment)?;
        match dots(&out[start + 1..]) {
            Dots::None => ends_open = false,
            Dots::Here => out.truncate(start),
            Dots::Up => {
                out.truncate(start);
                let parent = out.rfind('/').ok_or(PathError::AboveRoot)?;
                out.truncate(parent);
            }
            Dots::Hidden => return Err(PathError::HiddenDotSegment),
        }
    }
    if ends_open {
        out.push('/');
    }
    Ok(out)
}

fn push_segment(out: &mut String, segment: &str) -> Result<(), PathError> {
    if segment.contains(['?', '#']) {
        return Err(PathError::Delimiter);
    }
    push_encoded(out, segment)
}

/// What a normalized segment does to the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dots {
    /// It is a name.
    None,
    /// `.`
    Here,
    /// `..`
    Up,
    /// A name to us, a dot segment to a laxer reader.
    Hidden,
}

fn dots(segment: &str) -> Dots {
    match segment {
        "." => return Dots::Here,
        ".." => return Dots::Up,
        _ if !segment.contains('.') => return Dots::None,
        _ => {}
    }
    let mut rest = segment;
    loop {
        let end = rest.match_indices('%').find(|(at, _)| is_encoded_slash(&rest[*at..]));
        let piece = end.map_or(rest, |(at, _)| &rest[..at]);
        // Servlet containers drop `;` and what follows before they look for dot segments.
        let name = piece.split(';').next().unwrap_or(piece);
        let name = name.split("%3B").next().unwrap_or(name);
        if matches!(name, "." | "..") {
            return Dots::Hidden;
        }
        match end {
            Some((at, escape)) => rest = &rest[at + escape.len() + 2..],
            None => return Dots::None,
        }
    }
}

fn is_encoded_slash(text: &str) -> bool {
    text.starts_with("%2F") || text.starts_with("%5C")
}

#[cfg(test)]
mod tests;
