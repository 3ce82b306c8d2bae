//! YAML text to a tree in which every key and value knows its line and column.
//!
//! Bounded in depth and in nodes (an alias counts as all that it stands for), free of recursion,
//! and strict: no duplicate keys, no tags, one document.

use std::{collections::HashMap, rc::Rc};

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::{
    environment,
    report::Report,
    source::{Source, Span, clamp},
};

/// Deepest nesting; the deepest key of the file stands at 7.
const DEPTH: usize = 32;
/// Most nodes, those behind aliases counted each time.
const NODES: u32 = 2_000_000;

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
    /// Nodes in it, itself included.
    size: u32,
}

/// What a node holds.
#[derive(Debug)]
pub(crate) enum Value {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// A scalar after substitution.
    Text(String),
    /// `- a`, `[a]`.
    List(Vec<Rc<Node>>),
    /// `a: b`, `{ a: b }`, in file order.
    Map(Vec<Entry>),
    /// Something that an error was reported for already.
    Bad,
}

/// A key with its value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Word,
    pub(crate) value: Rc<Node>,
}

/// A text and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) span: Span,
}

impl Node {
    /// What stands for a value that is not written.
    pub(crate) fn nothing() -> Self {
        Self { span: Span::default(), value: Value::Null, size: 1 }
    }

    /// An empty value or an empty mapping, as an empty file is.
    pub(crate) fn is_nothing(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Map(entries) => entries.is_empty(),
            Value::Text(_) | Value::List(_) | Value::Bad => false,
        }
    }

    /// `off` or `false`.
    pub(crate) fn is_off(&self) -> bool {
        matches!(&self.value, Value::Text(text) if text == "off" || text == "false")
    }

    /// `on` or `true`.
    pub(crate) fn is_on(&self) -> bool {
        matches!(&self.value, Value::Text(text) if text == "on" || text == "true")
    }

    /// `[]`.
    pub(crate) fn is_empty_list(&self) -> bool {
        matches!(&self.value, Value::List(items) if items.is_empty())
    }

    /// What it is, for "found a list".
    pub(crate) fn found(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Text(text) => format!("`{}`", shorten(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
            Value::Bad => "something unreadable".to_owned(),
        }
    }
}

/// The beginning of a text that is too long to repeat.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let clean: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() { format!("{clean}...") } else { clean }
}

/// The tree of a text; `None` when errors leave none. An empty text is an empty mapping.
pub(crate) fn parse(
    source: &Source<'_>,
    variables: &dyn Fn(&str) -> Option<String>,
    report: &mut Report<'_>,
) -> Option<Rc<Node>> {
    let mut builder = Builder {
        variables,
        report,
        stack: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
    };
    let mut parser = Parser::new_from_str(source.text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => builder.take(event, place(span)).ok()?,
            Err(error) => {
                let span = place(saphyr_parser::Span::empty(*error.marker()));
                syntax(source, span, error.info(), builder.report);
                return None;
            }
        }
    }
    let empty = || Node {
        span: Span { line: 1, column: 1, length: 1 },
        value: Value::Map(Vec::new()),
        size: 1,
    };
    Some(builder.root.unwrap_or_else(|| Rc::new(empty())))
}

/// An error was reported that nothing sensible can be read after.
struct Stop;

enum Frame {
    List {
        span: Span,
        anchor: usize,
        size: u32,
        items: Vec<Rc<Node>>,
    },
    Map {
        span: Span,
        anchor: usize,
        size: u32,
        entries: Vec<Entry>,
        seen: HashMap<String, u32>,
        key: Option<(Word, bool)>,
    },
}

struct Builder<'a, 's> {
    variables: &'a dyn Fn(&str) -> Option<String>,
    report: &'a mut Report<'s>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Rc<Node>>,
    nodes: u32,
    root: Option<Rc<Node>>,
}

impl Builder<'_, '_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => match self.root {
                None => Ok(()),
                Some(_) => self.stop(
                    span,
                    "a second document begins here",
                    "one file is one document: remove the `---`",
                ),
            },
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    return self.tagged(span);
                }
                self.scalar(&text, style, anchor, span)
            }
            Event::SequenceStart(anchor, tag) => {
                let frame = Frame::List { span: first(span), anchor, size: 1, items: Vec::new() };
                self.open(frame, span, tag.is_some())
            }
            Event::MappingStart(anchor, tag) => {
                let frame = Frame::Map {
                    span: first(span),
                    anchor,
                    size: 1,
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: None,
                };
                self.open(frame, span, tag.is_some())
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn open(&mut self, frame: Frame, span: Span, tagged: bool) -> Result<(), Stop> {
        if tagged {
            return self.tagged(span);
        }
        if matches!(self.stack.last(), Some(Frame::Map { key: None, .. })) {
            return self.stop(
                first(span),
                "a key must be a word, not a list or a mapping",
                "quote it if it is a text",
            );
        }
        if self.stack.len() >= DEPTH {
            return self.stop(
                first(span),
                "nested too deeply",
                "no key of the file needs more than 7 levels",
            );
        }
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Stop> {
        let (span, anchor, size, value) = match self.stack.pop() {
            Some(Frame::List { span, anchor, size, items }) => {
                (span, anchor, size, Value::List(items))
            }
            Some(Frame::Map { span, anchor, size, entries, .. }) => {
                (span, anchor, size, Value::Map(entries))
            }
            None => return Ok(()),
        };
        let node = Rc::new(Node { span, value, size });
        self.name(anchor, &node);
        self.place(node)
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        span: Span,
    ) -> Result<(), Stop> {
        if let Some(Frame::Map { key: key @ None, seen, .. }) = self.stack.last_mut() {
            let before = seen.insert(text.to_owned(), span.line);
            *key = Some((Word { text: text.to_owned(), span }, before.is_some()));
            if let Some(line) = before {
                let what = format!("the key `{}` stands here twice", shorten(text));
                self.report.error(span, what).hint = Some(format!("first on line {line}"));
            }
            return Ok(());
        }
        let plain = style == ScalarStyle::Plain;
        let value = if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            Value::Null
        } else {
            environment::substitute(text, span, self.variables, self.report)
                .map_or(Value::Bad, Value::Text)
        };
        // Nothing stands nowhere: its key is what can be pointed at.
        let span = match self.stack.last() {
            Some(Frame::Map { key: Some((word, _)), .. }) if text.is_empty() && plain => word.span,
            _ => span,
        };
        let node = Rc::new(Node { span, value, size: 1 });
        self.name(anchor, &node);
        self.place(node)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        if matches!(self.stack.last(), Some(Frame::Map { key: None, .. })) {
            return self.stop(span, "an alias cannot be a key", "write the key out");
        }
        match self.anchors.get(&anchor).map(Rc::clone) {
            Some(node) => self.place(node),
            None => self.stop(span, "the alias stands inside of what it means", "move it out"),
        }
    }

    /// Remembers what an anchor names.
    fn name(&mut self, anchor: usize, node: &Rc<Node>) {
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(node));
        }
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, node: Rc<Node>) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(node.size);
        if self.nodes > NODES {
            let what = format!("more than {NODES} values, those behind aliases counted each time");
            return self.stop(node.span, &what, "split the file or use fewer aliases");
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, size, .. }) => {
                *size = size.saturating_add(node.size);
                items.push(node);
            }
            Some(Frame::Map { entries, size, key, .. }) => {
                *size = size.saturating_add(node.size);
                // Of two equal keys the second is dropped: an error was reported for it.
                if let Some((key, false)) = key.take() {
                    entries.push(Entry { key, value: node });
                }
            }
        }
        Ok(())
    }

    fn tagged(&mut self, span: Span) -> Result<(), Stop> {
        self.stop(
            first(span),
            "tags (`!...`) have no meaning here",
            "remove the tag, or quote the text",
        )
    }

    fn stop(&mut self, span: Span, what: &str, hint: &str) -> Result<(), Stop> {
        self.report.error(span, what).hint = Some(hint.to_owned());
        Err(Stop)
    }
}

fn syntax(source: &Source<'_>, span: Span, info: &str, report: &mut Report<'_>) {
    let line = source.line(span.line);
    let hint = if line.contains("${") && line.contains(['{', '[']) {
        Some("inside of `{ }` and `[ ]` a `${NAME}` must be quoted: \"${NAME}\"")
    } else if line.starts_with('\t') || line.trim_start_matches(' ').starts_with('\t') {
        Some("YAML indents with spaces, not with tabs")
    } else {
        None
    };
    let what = match info {
        "recursion limit exceeded" => "nested too deeply".to_owned(),
        _ => format!("this is not YAML: {info}"),
    };
    report.error(span, what).hint = hint.map(str::to_owned);
}

fn place(span: saphyr_parser::Span) -> Span {
    let length = if span.end.line() == span.start.line() {
        span.end.col().saturating_sub(span.start.col())
    } else {
        1
    };
    Span {
        line: clamp(span.start.line().max(1)),
        column: clamp(span.start.col()).saturating_add(1),
        length: clamp(length).max(1),
    }
}

/// The first character of a list or mapping.
fn first(span: Span) -> Span {
    Span { length: 1, ..span }
}
