//! Paths of one host: a hash map of exact paths, a trie of segments, one set of expressions.

use std::ops::ControlFlow;

use regex::{Regex, RegexSet, RegexSetBuilder};
use smallvec::SmallVec;
use weir_config::model::{PathMatch, Segment};

use super::Map;
use super::matcher::BuildReason;
use crate::http::path::normalize;

/// Most segments of a template; bounds the recursion of a look-up.
const SEGMENTS_MAX: usize = 128;

/// Memory that the expressions of one host may take when compiled into one set, in bytes.
const REGEX_SET_MAX: usize = 256 << 20;

/// A piece of the path that a parameter stands for, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

/// The values of a route's parameters, in the order of their names.
pub type Spans = SmallVec<[Span; 4]>;

impl Span {
    /// Cuts the value out of the path that was matched; empty for a group that took no part.
    pub fn of(self, path: &str) -> &str {
        path.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The last segment of a path.
    pub(super) fn last_of(path: &str) -> Self {
        Self::new(path.rfind('/').map_or(0, |slash| slash + 1), path.len())
    }

    /// Whether this is what `**` stands for where the path ended before the slash: `/a` of `/a/**`.
    pub(super) fn is_absent(self, path: &str) -> bool {
        self.start == self.end && self.start as usize == path.len() && !path.ends_with('/')
    }

    /// Positions in a path that [`PathTable::walk`] has seen to fit.
    fn new(start: usize, end: usize) -> Self {
        let position = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: position(start), end: position(end) }
    }
}

/// The routes of one host by path. Routes are numbers here; where several share a path, they stand
/// in the order in which they were inserted.
#[derive(Debug)]
pub(super) struct PathTable {
    exact: Map<Vec<usize>>,
    nodes: Vec<Node>,
    patterns: Vec<Pattern>,
    /// All patterns in one; `None` without any, as even an empty set is not free.
    set: Option<RegexSet>,
    /// `/**`: takes every path, and so comes last.
    all: Vec<usize>,
}

/// A position in the trie, reached by a sequence of segments.
#[derive(Debug, Default)]
struct Node {
    literals: Map<usize>,
    param: Option<usize>,
    /// Routes whose template ends here.
    here: Vec<usize>,
    /// Routes whose template goes on with `/**`.
    rest: Vec<usize>,
}

#[derive(Debug)]
struct Pattern {
    route: usize,
    regex: Regex,
    /// Indices of the named groups.
    groups: Box<[usize]>,
}

impl PathTable {
    pub(super) fn new() -> Self {
        Self {
            exact: Map::default(),
            nodes: vec![Node::default()],
            patterns: Vec::new(),
            set: None,
            all: Vec::new(),
        }
    }

    /// Adds a route after those that come before it in precedence.
    ///
    /// # Errors
    /// A path that no normalized path could ever equal.
    pub(super) fn insert(&mut self, path: &PathMatch, route: usize) -> Result<(), BuildReason> {
        match path {
            PathMatch::Exact(path) => self.insert_exact(path, route)?,
            PathMatch::Prefix(prefix) => {
                let segments = prefix_segments(prefix)?;
                self.insert_segments(&segments, true, route)?;
            }
            PathMatch::Template { segments, rest } => match whole_literal(segments, *rest) {
                Some(path) => self.insert_exact(&path, route)?,
                None => self.insert_segments(segments, *rest, route)?,
            },
            PathMatch::Regex(regex) => self.patterns.push(Pattern {
                route,
                regex: regex.clone(),
                groups: named_groups(regex).map(|(index, _)| index).collect(),
            }),
        }
        Ok(())
    }

    /// Compiles the expressions; to be called once, after the last insertion.
    ///
    /// # Errors
    /// The expressions, each small enough alone, are too big together.
    pub(super) fn finish(&mut self) -> Result<(), BuildReason> {
        if self.patterns.is_empty() {
            return Ok(());
        }
        let sources = self.patterns.iter().map(|pattern| pattern.regex.as_str());
        let set = RegexSetBuilder::new(sources).size_limit(REGEX_SET_MAX).build();
        self.set = Some(set.map_err(|_| BuildReason::RegexSet)?);
        Ok(())
    }

    fn insert_exact(&mut self, path: &str, route: usize) -> Result<(), BuildReason> {
        let path = normalize(path)?;
        self.exact.entry(path.as_ref().into()).or_default().push(route);
        Ok(())
    }

    fn insert_segments(
        &mut self,
        segments: &[Segment],
        rest: bool,
        route: usize,
    ) -> Result<(), BuildReason> {
        if segments.len() > SEGMENTS_MAX {
            return Err(BuildReason::TooManySegments);
        }
        if rest && segments.is_empty() {
            self.all.push(route);
            return Ok(());
        }
        let mut node = 0;
        for (index, segment) in segments.iter().enumerate() {
            let is_end = !rest && index + 1 == segments.len();
            let next = self.nodes.len();
            node = match segment {
                Segment::Literal(text) => {
                    let text = literal_segment(text, is_end)?;
                    *self.nodes[node].literals.entry(text).or_insert(next)
                }
                Segment::Param(_) => *self.nodes[node].param.get_or_insert(next),
            };
            if node == next {
                self.nodes.push(Node::default());
            }
        }
        let node = &mut self.nodes[node];
        if rest {
            node.rest.push(route)
        } else {
            node.here.push(route)
        }
        Ok(())
    }

    /// Offers the routes whose path condition holds, the most specific first, until one is taken.
    pub(super) fn walk<B, F>(&self, path: &str, offer: &mut F) -> ControlFlow<B>
    where
        F: FnMut(usize, &[Span]) -> ControlFlow<B>,
    {
        if !path.starts_with('/') || u32::try_from(path.len()).is_err() {
            return ControlFlow::Continue(());
        }
        tally();
        for &route in self.exact.get(path).into_iter().flatten() {
            offer(route, &[])?;
        }
        self.descend(&self.nodes[0], path, 0, &mut Spans::new(), offer)?;
        if let Some(set) = &self.set {
            set.matches(path).iter().try_for_each(|index| {
                let pattern = &self.patterns[index];
                offer(pattern.route, &pattern.spans(path))
            })?;
        }
        self.all.iter().try_for_each(|&route| offer(route, &[Span::new(1, path.len())]))
    }

    /// Routes that share a path condition, each list in order of precedence.
    pub(super) fn rivals(&self) -> impl Iterator<Item = Vec<usize>> {
        let mut patterns = Map::<Vec<usize>>::default();
        for Pattern { route, regex, .. } in &self.patterns {
            patterns.entry(regex.as_str().into()).or_default().push(*route);
        }
        let nodes = self.nodes.iter().flat_map(|node| [&node.here, &node.rest]);
        let lists = self.exact.values().chain(nodes).chain([&self.all]).cloned();
        lists.chain(patterns.into_values())
    }

    /// Visits the trie below `node`, where `at` is the slash before the next segment or the end.
    fn descend<B, F>(
        &self,
        node: &Node,
        path: &str,
        at: usize,
        spans: &mut Spans,
        offer: &mut F,
    ) -> ControlFlow<B>
    where
        F: FnMut(usize, &[Span]) -> ControlFlow<B>,
    {
        tally();
        let start = path.len().min(at + 1);
        if at == path.len() {
            node.here.iter().try_for_each(|&route| offer(route, spans))?;
        } else {
            let mut rest = path.as_bytes()[start..].iter();
            let end = rest.position(|b| *b == b'/').map_or(path.len(), |length| start + length);
            if let Some(&child) = node.literals.get(&path[start..end]) {
                self.descend(&self.nodes[child], path, end, spans, offer)?;
            }
            if let Some(child) = node.param
                && end > start
            {
                spans.push(Span::new(start, end));
                self.descend(&self.nodes[child], path, end, spans, offer)?;
                spans.pop();
            }
        }
        if !node.rest.is_empty() {
            spans.push(Span::new(start, path.len()));
            node.rest.iter().try_for_each(|&route| offer(route, spans))?;
            spans.pop();
        }
        ControlFlow::Continue(())
    }
}

impl Pattern {
    fn spans(&self, path: &str) -> Spans {
        if self.groups.is_empty() {
            return Spans::new();
        }
        let mut locations = self.regex.capture_locations();
        if self.regex.captures_read(&mut locations, path).is_none() {
            return Spans::new();
        }
        let span = |&group: &usize| locations.get(group).map_or_else(Span::default, span_of);
        self.groups.iter().map(span).collect()
    }
}

fn span_of((start, end): (usize, usize)) -> Span {
    Span::new(start, end)
}

/// The names of a path's parameters, in the order of their [`Spans`].
pub(super) fn param_names(path: &PathMatch) -> Box<[Box<str>]> {
    match path {
        PathMatch::Exact(_) => Box::default(),
        PathMatch::Prefix(_) => Box::new(["**".into()]),
        PathMatch::Template { segments, rest } => segments
            .iter()
            .filter_map(|segment| match segment {
                Segment::Param(name) => Some(name.as_str().into()),
                Segment::Literal(_) => None,
            })
            .chain(rest.then(|| "**".into()))
            .collect(),
        PathMatch::Regex(regex) => named_groups(regex).map(|(_, name)| name.into()).collect(),
    }
}

fn named_groups(regex: &Regex) -> impl Iterator<Item = (usize, &str)> {
    regex.capture_names().enumerate().filter_map(|(index, name)| Some((index, name?)))
}

/// The path of a template that is no template.
fn whole_literal(segments: &[Segment], rest: bool) -> Option<String> {
    if rest {
        return None;
    }
    let literals = segments.iter().map(|segment| match segment {
        Segment::Literal(text) => Some(format!("/{text}")),
        Segment::Param(_) => None,
    });
    let path: String = literals.collect::<Option<_>>()?;
    Some(if path.is_empty() { "/".to_owned() } else { path })
}

fn prefix_segments(prefix: &str) -> Result<Vec<Segment>, BuildReason> {
    let prefix = prefix.trim_end_matches('/');
    if prefix.is_empty() {
        return Ok(Vec::new());
    }
    let path = normalize(prefix)?;
    Ok(path.split('/').skip(1).map(|text| Segment::Literal(text.to_owned())).collect())
}

/// Brings a literal into the form in which it stands in a normalized path. Only the last segment
/// may be empty: `/a/`.
fn literal_segment(text: &str, is_end: bool) -> Result<Box<str>, BuildReason> {
    if text.is_empty() && is_end {
        return Ok(Box::default());
    }
    let path = normalize(&format!("/{text}"))?.into_owned();
    match path.strip_prefix('/') {
        Some(segment) if !segment.is_empty() && !segment.contains('/') => Ok(segment.into()),
        _ => Err(BuildReason::EmptySegment),
    }
}

#[cfg(test)]
thread_local! {
    /// Hash look-ups and trie nodes visited on this thread, for the test that they stay few.
    pub(super) static VISITS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts a step of a look-up, in tests.
fn tally() {
    #[cfg(test)]
    VISITS.with(|visits| visits.set(visits.get() + 1));
}
