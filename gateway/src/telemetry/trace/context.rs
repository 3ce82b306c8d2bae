//! `traceparent` (W3C Trace Context, section 3.2): `00-<trace>-<parent>-<flags>`.

/// What a client says of its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Context {
    /// The trace; never 0.
    pub(crate) trace: u128,
    /// The client's span; never 0.
    pub(crate) parent: u64,
    /// Whether the client records.
    pub(crate) sampled: bool,
}

impl Context {
    /// Reads the field; `None` for what is to be treated as absent. Versions to come may say more
    /// after the four parts that this one knows.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut parts = text.splitn(5, '-');
        let version = digits(parts.next()?, 2)?;
        let trace = digits(parts.next()?, 32).filter(|trace| *trace != 0)?;
        let parent = digits(parts.next()?, 16).filter(|parent| *parent != 0)?;
        let flags = digits(parts.next()?, 2)?;
        let more = parts.next().is_some();
        if version == 0xff || (version == 0 && more) {
            return None;
        }
        Some(Self { trace, parent: parent as u64, sampled: flags & 1 == 1 })
    }
}

/// A number of so many hexadecimal digits in lower case.
fn digits(text: &str, count: usize) -> Option<u128> {
    let good = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == count && text.bytes().all(good)).then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    fn parse(text: &str) -> Option<Context> {
        Context::parse(text.as_bytes())
    }

    #[test]
    fn the_parts_are_read() {
        let read = parse(&format!("00-{TRACE}-{PARENT}-01")).unwrap();
        assert_eq!(read.trace, u128::from_str_radix(TRACE, 16).unwrap());
        assert_eq!(read.parent, u64::from_str_radix(PARENT, 16).unwrap());
        assert!(read.sampled);
        assert!(!parse(&format!("00-{TRACE}-{PARENT}-00")).unwrap().sampled);
        assert!(parse(&format!("00-{TRACE}-{PARENT}-03")).unwrap().sampled);
    }

    #[test]
    fn versions_to_come_may_say_more() {
        assert!(parse(&format!("cc-{TRACE}-{PARENT}-01-what-comes")).is_some());
        assert!(parse(&format!("00-{TRACE}-{PARENT}-01-more")).is_none());
        assert!(parse(&format!("ff-{TRACE}-{PARENT}-01")).is_none());
    }

    #[test]
    fn what_is_malformed_is_absent() {
        let (zeros, upper) = ("0".repeat(32), TRACE.to_uppercase());
        for text in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{zeros}-{PARENT}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{upper}-{PARENT}-01"),
            format!("00-{TRACE}x-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-+af7651916cd43dd8448eb211c80319c-{PARENT}-01"),
            format!(" 00-{TRACE}-{PARENT}-01"),
        ] {
            assert_eq!(parse(&text), None, "{text}");
        }
    }
}
