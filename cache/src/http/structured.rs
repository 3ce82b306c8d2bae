//! Dictionaries of structured fields (RFC 9651 section 3.2), as targeted cache control uses them
//! (RFC 9213): whatever breaks the syntax anywhere makes the whole field void.

/// The value of a member, as far as cache directives care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A member that is only a key, or `?1`.
    True,
    Integer(i64),
    String(String),
    /// Of any other type.
    Other,
}

/// The members, the last of each key; nothing if the text is no dictionary.
pub(crate) fn parse_dictionary(text: &[u8]) -> Option<Vec<(String, Value)>> {
    let mut members: Vec<(String, Value)> = Vec::new();
    let mut input = Input { rest: text };
    input.skip(b" ");
    while !input.rest.is_empty() {
        let key = input.key()?;
        let value = if input.take(b'=') {
            input.item_or_list()?
        } else {
            input.parameters()?;
            Value::True
        };
        members.retain(|(other, _)| *other != key);
        members.push((key, value));
        input.skip(b" \t");
        if input.rest.is_empty() {
            break;
        }
        input.take(b',').then_some(())?;
        input.skip(b" \t");
        // A comma at the end.
        (!input.rest.is_empty()).then_some(())?;
    }
    Some(members)
}

struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn skip(&mut self, bytes: &[u8]) {
        self.take_while(|byte| bytes.contains(&byte));
    }

    fn take_while(&mut self, good: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !good(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn key(&mut self) -> Option<String> {
        self.peek().filter(|byte| byte.is_ascii_lowercase() || *byte == b'*')?;
        let key = self.take_while(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
        });
        String::from_utf8(key.to_vec()).ok()
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.skip(b" ");
            self.key()?;
            if self.take(b'=') {
                self.bare_item()?;
            }
        }
        Some(())
    }

    fn item_or_list(&mut self) -> Option<Value> {
        if !self.take(b'(') {
            let value = self.bare_item()?;
            self.parameters()?;
            return Some(value);
        }
        loop {
            self.skip(b" ");
            if self.take(b')') {
                self.parameters()?;
                return Some(Value::Other);
            }
            self.bare_item()?;
            self.parameters()?;
            self.peek().filter(|byte| b" )".contains(byte))?;
        }
    }

    fn bare_item(&mut self) -> Option<Value> {
        match self.peek()? {
            b'"' => self.string(),
            b'?' => {
                self.rest = &self.rest[1..];
                if self.take(b'1') {
                    return Some(Value::True);
                }
                self.take(b'0').then_some(Value::Other)
            }
            b':' => {
                self.rest = &self.rest[1..];
                self.take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
                self.take(b':').then_some(Value::Other)
            }
            b'@' => {
                self.rest = &self.rest[1..];
                matches!(self.number()?, Value::Integer(_)).then_some(Value::Other)
            }
            b'%' => {
                self.rest = &self.rest[1..];
                self.take(b'"').then_some(())?;
                self.take_while(|byte| (0x20..0x7f).contains(&byte) && byte != b'"');
                self.take(b'"').then_some(Value::Other)
            }
            b'-' | b'0'..=b'9' => self.number(),
            byte if byte.is_ascii_alphabetic() || byte == b'*' => {
                self.take_while(|byte| {
                    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte)
                });
                Some(Value::Other)
            }
            _ => None,
        }
    }

    fn string(&mut self) -> Option<Value> {
        self.take(b'"').then_some(())?;
        let mut text = String::new();
        loop {
            let byte = self.peek()?;
            self.rest = &self.rest[1..];
            match byte {
                b'"' => return Some(Value::String(text)),
                b'\\' => {
                    let escaped = self.peek().filter(|byte| b"\"\\".contains(byte))?;
                    self.rest = &self.rest[1..];
                    text.push(char::from(escaped));
                }
                0x20..0x7f => text.push(char::from(byte)),
                _ => return None,
            }
        }
    }

    /// An integer of up to 15 digits, or a decimal of up to 12 and 3.
    fn number(&mut self) -> Option<Value> {
        let negative = self.take(b'-');
        let whole = self.take_while(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 15 {
            return None;
        }
        if self.take(b'.') {
            let fraction = self.take_while(|byte| byte.is_ascii_digit());
            let good = whole.len() <= 12 && (1..=3).contains(&fraction.len());
            return good.then_some(Value::Other);
        }
        let magnitude = whole.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        Some(Value::Integer(if negative { -magnitude } else { magnitude }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_members() {
        let parsed = parse_dictionary(
            b"max-age=60;x=1;y, no-cache=\"a, \\\"b\", private,\t s-maxage=-5, \
              l=(1 \"a\";q tok);z, d=1.5, t=tok/en, b=:aGk=:, f=?0, w=@12",
        );
        let members = parsed.unwrap();
        let value = |key: &str| &members.iter().find(|(other, _)| other == key).unwrap().1;
        assert_eq!(*value("max-age"), Value::Integer(60));
        assert_eq!(*value("no-cache"), Value::String("a, \"b".into()));
        assert_eq!(*value("private"), Value::True);
        assert_eq!(*value("s-maxage"), Value::Integer(-5));
        assert!(["l", "d", "t", "b", "f", "w"].iter().all(|key| *value(key) == Value::Other));
        assert_eq!(parse_dictionary(b"a=1, a=2"), Some(vec![("a".into(), Value::Integer(2))]));
        assert_eq!(parse_dictionary(b"  "), Some(Vec::new()));
    }

    #[test]
    fn refuses_the_whole() {
        for text in [
            "max-age=10000, &&&&&",
            "MaX-aGe=3600",
            "max-age =100",
            "max-age= 100",
            "a,",
            "a, ,b",
            "a b",
            "a=\"x",
            "a=\"x\\y\"",
            "a=1234567890123456",
            "a=1.",
            "a=-",
            "a=(1 2",
            "a=(1,2)",
            "a;=1",
            "a=\u{e4}",
        ] {
            assert_eq!(parse_dictionary(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in prop::collection::vec(any::<u8>(), 0..60)) {
            parse_dictionary(&text);
        }

        #[test]
        fn never_panics_on_what_looks_like_one(text in "[a-z0-9=;,\"()?:@% .*\\\\-]{0,40}") {
            parse_dictionary(text.as_bytes());
        }
    }
}
