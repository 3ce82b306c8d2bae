//! Reads selectors.

use super::{Combinator, Complex, Selector, Simple, Test};

/// How deep `:not(:has(...))` may go.
const DEPTH_MAX: usize = 16;
/// How many elements around it a selector may name.
const PARTS_MAX: usize = 64;

impl Selector {
    /// Reads a selector, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { text, at: 0, depth: 0 };
        let selector =
            reader.selector().map_err(|why| format!("invalid selector '{text}': {why}"))?;
        if reader.at < text.len() {
            return Err(format!("invalid selector '{text}': unexpected '{}'", reader.rest()));
        }
        Ok(selector)
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, wanted: &str) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len();
        }
        found
    }

    fn need(&mut self, wanted: &str) -> Result<(), String> {
        if self.eat(wanted) { Ok(()) } else { Err(format!("'{wanted}' is missing")) }
    }

    fn blanks(&mut self) -> bool {
        let rest = self.rest();
        let count = rest.len() - rest.trim_start().len();
        self.at += count;
        count > 0
    }

    fn selector(&mut self) -> Result<Selector, String> {
        let mut all = Vec::new();
        loop {
            self.blanks();
            all.push(self.complex()?);
            self.blanks();
            if !self.eat(",") {
                return Ok(Selector(all));
            }
        }
    }

    fn complex(&mut self) -> Result<Complex, String> {
        let mut last = self.compound()?;
        let mut before = Vec::new();
        loop {
            let is_spaced = self.blanks();
            let combinator = match self.peek() {
                Some('>') => Combinator::Child,
                Some('+') => Combinator::Next,
                Some('~') => Combinator::Later,
                Some(',' | ')') | None => break,
                Some(_) if is_spaced => Combinator::Inside,
                Some(other) => return Err(format!("unexpected '{other}'")),
            };
            if combinator != Combinator::Inside {
                self.at += 1;
                self.blanks();
            }
            if before.len() >= PARTS_MAX {
                return Err("too many parts".into());
            }
            let left = std::mem::replace(&mut last, self.compound()?);
            before.insert(0, (combinator, left));
        }
        Ok(Complex { last, before })
    }

    fn compound(&mut self) -> Result<Vec<Simple>, String> {
        let mut all = Vec::new();
        loop {
            let simple = match self.peek() {
                Some('*') if all.is_empty() => {
                    self.at += 1;
                    Simple::Any
                }
                Some('#') => {
                    self.at += 1;
                    Simple::Attribute("id".into(), Test::Equals, self.name()?)
                }
                Some('.') => {
                    self.at += 1;
                    Simple::Attribute("class".into(), Test::Word, self.name()?)
                }
                Some('[') => self.attribute()?,
                Some(':') => self.pseudo()?,
                Some(c) if all.is_empty() && is_name(c) => {
                    Simple::Tag(self.name()?.to_ascii_lowercase())
                }
                _ if all.is_empty() => return Err("a name is missing".into()),
                _ => return Ok(all),
            };
            all.push(simple);
        }
    }

    fn name(&mut self) -> Result<String, String> {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if c == '\\' {
                self.at += 1;
                let Some(escaped) = self.peek() else { break };
                name.push(escaped);
                self.at += escaped.len_utf8();
            } else if is_name(c) {
                name.push(c);
                self.at += c.len_utf8();
            } else {
                break;
            }
        }
        if name.is_empty() { Err("a name is missing".into()) } else { Ok(name) }
    }

    /// A name, or a text in quotes.
    fn value(&mut self) -> Result<String, String> {
        let Some(quote) = self.peek().filter(|c| *c == '"' || *c == '\'') else {
            return self.name();
        };
        self.at += 1;
        let mut value = String::new();
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            match c {
                c if c == quote => return Ok(value),
                '\\' => {
                    let Some(escaped) = self.peek() else { break };
                    value.push(escaped);
                    self.at += escaped.len_utf8();
                }
                c => value.push(c),
            }
        }
        Err("a quote is missing".into())
    }

    fn attribute(&mut self) -> Result<Simple, String> {
        self.need("[")?;
        self.blanks();
        let name = self.name()?.to_ascii_lowercase();
        self.blanks();
        let tests = [
            ("!=", Test::Differs),
            ("~=", Test::Word),
            ("|=", Test::Dash),
            ("^=", Test::Starts),
            ("$=", Test::Ends),
            ("*=", Test::Holds),
            ("=", Test::Equals),
        ];
        let found = tests.into_iter().find(|(sign, _)| self.eat(sign));
        let (test, value) = match found {
            Some((_, test)) => {
                self.blanks();
                (test, self.value()?)
            }
            None => (Test::Exists, String::new()),
        };
        self.blanks();
        self.need("]")?;
        Ok(Simple::Attribute(name, test, value))
    }

    fn pseudo(&mut self) -> Result<Simple, String> {
        self.need(":")?;
        let name = self.name()?.to_ascii_lowercase();
        let nth = |offset, by_tag, from_end| Simple::Nth { step: 0, offset, by_tag, from_end };
        Ok(match &*name {
            "first-child" => nth(1, false, false),
            "last-child" => nth(1, false, true),
            "first-of-type" => nth(1, true, false),
            "last-of-type" => nth(1, true, true),
            "only-child" => Simple::Only { by_tag: false },
            "only-of-type" => Simple::Only { by_tag: true },
            "nth-child" => self.nth(false, false)?,
            "nth-last-child" => self.nth(false, true)?,
            "nth-of-type" => self.nth(true, false)?,
            "nth-last-of-type" => self.nth(true, true)?,
            "empty" => Simple::Empty,
            "root" => Simple::Root,
            "checked" | "selected" => Simple::Checked,
            "enabled" => Simple::Enabled(true),
            "disabled" => Simple::Enabled(false),
            "input" => Simple::Input,
            "not" => Simple::Not(self.inner()?),
            "is" | "where" => Simple::Is(self.inner()?),
            "has" => Simple::Has(self.inner()?),
            "contains" => Simple::Contains(self.argument()?),
            "containsown" => Simple::ContainsOwn(self.argument()?),
            _ => return Err(format!("':{name}' is not supported by weir-load")),
        })
    }

    fn inner(&mut self) -> Result<Selector, String> {
        self.need("(")?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("nested too deep".into());
        }
        let selector = self.selector()?;
        self.depth -= 1;
        self.need(")")?;
        Ok(selector)
    }

    fn argument(&mut self) -> Result<String, String> {
        self.need("(")?;
        self.blanks();
        let value = match self.peek() {
            Some('"' | '\'') => self.value()?,
            _ => {
                let end = self.rest().find(')').ok_or("')' is missing")?;
                let value = self.rest()[..end].trim().to_string();
                self.at += end;
                value
            }
        };
        self.blanks();
        self.need(")")?;
        Ok(value)
    }

    /// `odd`, `even`, `3`, `2n+1`, `-n + 3`.
    fn nth(&mut self, by_tag: bool, from_end: bool) -> Result<Simple, String> {
        let text: String = self.argument()?.to_ascii_lowercase().split_whitespace().collect();
        let wrong = || format!("'{text}' is no place");
        let (step, offset) = match &*text {
            "odd" => (2, 1),
            "even" => (2, 0),
            text => match text.split_once('n') {
                None => (0, text.parse().map_err(|_| wrong())?),
                Some((step, offset)) => {
                    let step = match step {
                        "" | "+" => 1,
                        "-" => -1,
                        step => step.parse().map_err(|_| wrong())?,
                    };
                    let offset = match offset {
                        "" => 0,
                        offset => offset.parse().map_err(|_| wrong())?,
                    };
                    (step, offset)
                }
            },
        };
        Ok(Simple::Nth { step, offset, by_tag, from_end })
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_' || !c.is_ascii()
}
