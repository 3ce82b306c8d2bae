//! What a response did cost, read out of its body as it passes: a number in a JSON document, or in
//! the last such event of an event stream.
//!
//! Nothing of a body is kept but where the reader stands in it, however long it is and however its
//! pieces are cut. What is no JSON, or has no such number, names no cost.

use http::{HeaderMap, header};
use smallvec::SmallVec;

use super::{
    route::{Costs, RouteLimits},
    verdict::Limited,
};

/// Bytes of one document or event that are looked through.
const LOOKED_THROUGH: u64 = 16 << 20;

/// Reads costs for the limits of one request.
#[derive(Debug)]
pub(crate) struct Meter {
    /// By place among the limits that were asked.
    readers: SmallVec<[(usize, Reader); 1]>,
    framing: Framing,
    left: u64,
}

/// How documents lie in the body.
#[derive(Debug)]
enum Framing {
    /// It is one.
    Whole,
    /// Events (HTML Living Standard, section 9.2.6), each with one in its data; within a line.
    Events(Line),
}

/// Where in a line of an event stream the next byte lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// So many bytes of `data:` have been seen, and nothing else.
    Field(usize),
    /// In the data.
    Data,
    /// In a line that is of no interest.
    Other,
}

impl Meter {
    /// A meter for the limits at `places` of those that were asked, if the response is of a kind
    /// that can be read.
    pub(super) fn of(headers: &HeaderMap, places: impl Iterator<Item = usize>) -> Option<Self> {
        let encoded = headers.get_all(header::CONTENT_ENCODING).iter();
        if encoded.into_iter().any(|coding| coding != "identity") {
            return None;
        }
        let media = headers.get(header::CONTENT_TYPE)?.as_bytes();
        let media = media.split(|byte| *byte == b';').next()?.trim_ascii().to_ascii_lowercase();
        let framing = match &*media {
            b"text/event-stream" => Framing::Events(Line::Field(0)),
            b"application/json" => Framing::Whole,
            other if other.starts_with(b"application/") && other.ends_with(b"+json") => {
                Framing::Whole
            }
            _ => return None,
        };
        let readers: SmallVec<_> = places.map(|place| (place, Reader::default())).collect();
        (!readers.is_empty()).then_some(Self { readers, framing, left: LOOKED_THROUGH })
    }

    /// A piece of the body. `path` tells where the number lies, by the limit's place.
    pub(super) fn read<'a>(&mut self, piece: &[u8], path: impl Fn(usize) -> &'a [String]) {
        match self.framing {
            Framing::Whole => self.feed(piece, &path),
            Framing::Events(line) => {
                let line = self.read_events(piece, line, &path);
                self.framing = Framing::Events(line);
            }
        }
    }

    /// A piece of the body of a request that is under these limits.
    pub(super) fn pass(&mut self, piece: &[u8], limits: &RouteLimits, limited: &Limited) {
        let rule = |place: usize| limited.asked.get(place).map_or(usize::MAX, |asked| asked.rule);
        self.read(piece, |place| limits.json_path(rule(place)));
    }

    /// What was found, by place.
    pub(super) fn costs(&self) -> Costs {
        self.readers.iter().filter_map(|(place, reader)| Some((*place, reader.last()?))).collect()
    }

    fn feed<'a>(&mut self, piece: &[u8], path: &impl Fn(usize) -> &'a [String]) {
        let taken = piece.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= taken as u64;
        for (place, reader) in &mut self.readers {
            reader.read(&piece[..taken], path(*place));
        }
    }

    fn read_events<'a>(
        &mut self,
        mut piece: &[u8],
        mut line: Line,
        path: &impl Fn(usize) -> &'a [String],
    ) -> Line {
        const DATA: &[u8] = b"data:";
        while let Some(first) = piece.first() {
            if let Line::Field(seen) = line {
                line = match () {
                    // An empty line ends an event.
                    () if *first == b'\n' && seen == 0 => {
                        self.next_document();
                        line
                    }
                    () if *first == b'\r' && seen == 0 => line,
                    () if *first == b'\n' => Line::Field(0),
                    () if *first == DATA[seen] && seen + 1 == DATA.len() => Line::Data,
                    () if *first == DATA[seen] => Line::Field(seen + 1),
                    () => Line::Other,
                };
                piece = &piece[1..];
                continue;
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
            let (rest, after) = match end {
                Some(end) => (&piece[..end], &piece[end + 1..]),
                None => (piece, &piece[piece.len()..]),
            };
            if line == Line::Data {
                self.feed(rest, path);
            }
            if end.is_some() {
                line = Line::Field(0);
            }
            piece = after;
        }
        line
    }

    fn next_document(&mut self) {
        self.left = LOOKED_THROUGH;
        for (_, reader) in &mut self.readers {
            *reader = Reader { found: reader.last(), ..Reader::default() };
        }
    }
}

impl RouteLimits {
    /// Where the limit that was asked in this place finds its cost.
    pub(super) fn json_path(&self, rule: usize) -> &[String] {
        let cost = self.rules.get(rule).map(|rule| &rule.config.cost);
        cost.and_then(|cost| cost.response_json.as_deref()).unwrap_or_default()
    }
}

/// Reads one number out of JSON, a byte at a time. It trusts that the text is JSON: of another it
/// may find anything, which is a number all the same.
#[derive(Debug, Default)]
struct Reader {
    state: State,
    /// Objects and lists that are open.
    depth: u32,
    /// How many of them, from the outermost, are objects on the way to the number.
    on_way: u32,
    /// The number, once there is one.
    found: Option<u64>,
    /// This document has named it: the first time counts.
    done: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Where a value may begin, or what follows one.
    #[default]
    Between,
    /// Where a name of an object on the way may begin.
    Name,
    /// In such a name, so many bytes of which are those that are looked for.
    InName(usize),
    /// In such a name, which is another.
    InOther,
    /// After the backslash of one.
    NameEscape,
    /// After the name that was looked for: before its colon, and before its value.
    Wanted,
    /// In the number.
    Number(u64),
    /// In any other text.
    Text,
    /// After its backslash.
    Escape,
}

impl Reader {
    fn last(&self) -> Option<u64> {
        match self.state {
            // Nothing more will come.
            State::Number(number) if !self.done => Some(number),
            _ => self.found,
        }
    }

    fn read(&mut self, piece: &[u8], path: &[String]) {
        for byte in piece {
            if self.done {
                return;
            }
            self.step(*byte, path);
        }
    }

    fn step(&mut self, byte: u8, path: &[String]) {
        let name = || path.get(self.on_way.saturating_sub(1) as usize).map(|name| name.as_bytes());
        self.state = match (self.state, byte) {
            (State::Text, b'"') => State::Between,
            (State::Text, b'\\') => State::Escape,
            (State::Text | State::Escape, _) => State::Text,
            (State::InName(seen), b'"') => match name() {
                Some(name) if name.len() == seen => State::Wanted,
                _ => State::Between,
            },
            (State::InOther, b'"') => State::Between,
            (State::InName(_) | State::InOther, b'\\') => State::NameEscape,
            (State::InOther | State::NameEscape, _) => State::InOther,
            (State::InName(seen), byte) => match name().and_then(|name| name.get(seen)) {
                Some(same) if *same == byte => State::InName(seen + 1),
                _ => State::InOther,
            },
            (State::Name, b'"') => State::InName(0),
            (State::Wanted, b':' | b' ' | b'\t' | b'\r' | b'\n') => State::Wanted,
            (State::Wanted, b'0'..=b'9') if self.on_way as usize == path.len() => {
                State::Number(u64::from(byte - b'0'))
            }
            (State::Wanted, b'{') if (self.on_way as usize) < path.len() => {
                self.on_way += 1;
                self.depth += 1;
                State::Name
            }
            (State::Number(number), b'0'..=b'9') => {
                State::Number(number.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
            }
            // It is not a whole one.
            (State::Number(_), b'.' | b'e' | b'E' | b'+' | b'-') => State::Between,
            (State::Number(number), _) => {
                (self.found, self.done) = (Some(number), true);
                State::Between
            }
            (_, byte) => self.between(byte),
        };
    }

    /// Outside of texts, names and the number.
    fn between(&mut self, byte: u8) -> State {
        match byte {
            b'"' => State::Text,
            b'{' | b'[' => {
                let root = self.depth == 0 && byte == b'{';
                self.depth = self.depth.saturating_add(1);
                if root {
                    self.on_way = 1;
                    return State::Name;
                }
                State::Between
            }
            b'}' | b']' => {
                if self.on_way == self.depth {
                    self.on_way = self.on_way.saturating_sub(1);
                }
                self.depth = self.depth.saturating_sub(1);
                State::Between
            }
            b',' if self.depth == self.on_way && self.depth > 0 => State::Name,
            _ if self.state == State::Name => State::Name,
            _ => State::Between,
        }
    }
}

#[cfg(test)]
mod tests;
