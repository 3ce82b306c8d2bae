//! Templates of rewrites and redirects: cut into the parts of a URI when the configuration is
//! compiled, so that every value is encoded for the place where it lands.

use std::{borrow::Cow, net::Ipv6Addr};

use weir_config::model::Piece;

use super::rewrite::{Origin, RewriteError, TemplateError};
use super::table::Span;
use crate::http::path::{
    escaped, has_dot_segment, is_unreserved, normalize, push_encoded, push_escape,
};

/// A compiled template: what to write, part by part.
#[derive(Debug, Default)]
pub(super) struct Template {
    scheme: Vec<Step>,
    authority: Vec<Step>,
    path: Vec<Step>,
    query: Vec<Step>,
    fragment: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    /// Encoded when it was compiled.
    Literal(String),
    /// The value at this place of the spans.
    Param(usize),
    /// The same, of `**`.
    Rest(usize),
    Scheme,
    Host,
    Path,
    Query,
}

/// Part of a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Scheme,
    Authority,
    Path,
    Query,
    Fragment,
}

/// Which names a template knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Parameters of the match.
    Rewrite,
    /// Those, and before them `{scheme}`, `{host}`, `{path}` and `{query}`.
    Redirect,
}

impl Template {
    pub(super) fn compile(
        pieces: &[Piece],
        params: &[Box<str>],
        kind: Kind,
    ) -> Result<Self, TemplateError> {
        let mut template = Self::default();
        let mut part = first_part(pieces, kind)?;
        for piece in pieces {
            part = match piece {
                Piece::Literal(text) => template.add_literal(part, text)?,
                Piece::Param(name) => template.add_param(part, name, params, kind)?,
            };
        }
        if kind == Kind::Rewrite && !template.fragment.is_empty() {
            return Err(TemplateError::Fragment);
        }
        if template.scheme.is_empty() && !template.authority.is_empty() {
            return Err(TemplateError::NoScheme);
        }
        if !template.scheme.is_empty() && template.authority.is_empty() {
            return Err(TemplateError::Authority(String::new()));
        }
        template.rehearse(params.len())?;
        Ok(template)
    }

    /// Fills the template in once, so that one which always fails is an error of the file.
    fn rehearse(&self, params: usize) -> Result<(), TemplateError> {
        let path = "/x";
        let origin = Origin { scheme: "http", host: "x", path, query: Some("x") };
        let spans = vec![Span::last_of(path); params];
        let mut target = String::new();
        self.render(&mut target, &origin, &spans)?;
        if http::Uri::try_from(&target).is_err() {
            return Err(TemplateError::Authority(target));
        }
        Ok(())
    }

    fn steps(&mut self, part: Part) -> &mut Vec<Step> {
        match part {
            Part::Scheme => &mut self.scheme,
            Part::Authority => &mut self.authority,
            Part::Path => &mut self.path,
            Part::Query => &mut self.query,
            Part::Fragment => &mut self.fragment,
        }
    }

    /// Adds text, which may go through several parts; returns the one in which it ends.
    fn add_literal(&mut self, mut part: Part, text: &str) -> Result<Part, TemplateError> {
        let mut rest = text;
        loop {
            let (text, next) = match part {
                Part::Scheme => {
                    let (text, after) = rest.split_once("://").ok_or(TemplateError::NoScheme)?;
                    (text, Some((Part::Authority, after)))
                }
                Part::Authority => split_part(rest, &['/', '?', '#']),
                Part::Path => split_part(rest, &['?', '#']),
                Part::Query => split_part(rest, &['#']),
                Part::Fragment => (rest, None),
            };
            self.add_text(part, text)?;
            let Some((following, after)) = next else { return Ok(part) };
            (part, rest) = (following, after);
        }
    }

    fn add_text(&mut self, part: Part, text: &str) -> Result<(), TemplateError> {
        if text.is_empty() {
            return Ok(());
        }
        let mut encoded = String::new();
        match part {
            Part::Scheme if self.scheme.is_empty() && is_scheme(text) => encoded.push_str(text),
            Part::Scheme => return Err(TemplateError::NoScheme),
            Part::Authority if is_authority(text) => encoded.push_str(text),
            Part::Authority => return Err(TemplateError::Authority(text.to_owned())),
            Part::Path => push_encoded(&mut encoded, text).map_err(RewriteError::Path)?,
            Part::Query | Part::Fragment => push_query(&mut encoded, text),
        }
        self.steps(part).push(Step::Literal(encoded));
        Ok(())
    }

    fn add_param(
        &mut self,
        part: Part,
        name: &str,
        params: &[Box<str>],
        kind: Kind,
    ) -> Result<Part, TemplateError> {
        let step = match (kind, name) {
            (Kind::Redirect, "scheme") => Step::Scheme,
            (Kind::Redirect, "host") => Step::Host,
            (Kind::Redirect, "path") => Step::Path,
            (Kind::Redirect, "query") => Step::Query,
            _ => match params.iter().position(|param| **param == *name) {
                Some(index) if name == "**" => Step::Rest(index),
                Some(index) => Step::Param(index),
                None => return Err(unknown_param(name, params, kind)),
            },
        };
        let part = match (part, &step) {
            (Part::Scheme, Step::Scheme) if self.scheme.is_empty() => part,
            (Part::Scheme, _) => return Err(TemplateError::NoScheme),
            (Part::Authority, Step::Host) => part,
            (Part::Authority, Step::Path) => Part::Path,
            (Part::Authority, _) => return Err(TemplateError::ParamInAuthority(name.to_owned())),
            (Part::Path | Part::Fragment, Step::Query) => {
                return Err(TemplateError::QueryBeforeMark);
            }
            _ => part,
        };
        self.steps(part).push(step);
        Ok(part)
    }

    /// Appends the result. `spans` belong to `origin.path`.
    pub(super) fn render(
        &self,
        out: &mut String,
        origin: &Origin<'_>,
        spans: &[Span],
    ) -> Result<(), RewriteError> {
        if !self.scheme.is_empty() {
            self.scheme.iter().try_for_each(|step| step.write_component(out, origin, spans))?;
            out.push_str("://");
            self.authority.iter().try_for_each(|step| step.write_component(out, origin, spans))?;
        }
        self.render_path(out, origin, spans)?;
        self.render_query(out, origin, spans)?;
        if !self.fragment.is_empty() {
            out.push('#');
            self.fragment.iter().try_for_each(|step| step.write_component(out, origin, spans))?;
        }
        Ok(())
    }

    fn render_path(
        &self,
        out: &mut String,
        origin: &Origin<'_>,
        spans: &[Span],
    ) -> Result<(), RewriteError> {
        let start = out.len();
        for step in &self.path {
            match step.value(origin, spans) {
                Some(value) => push_encoded(out, value)?,
                None => step.write_component(out, origin, spans)?,
            }
        }
        // `/old` of `/old/**` becomes `/new`, not `/new/`, by `/new/{**}`.
        if let Some(Step::Rest(index)) = self.path.last()
            && spans.get(*index).is_some_and(|span| span.is_absent(origin.path))
            && out[start..].len() > 1
            && out.ends_with('/')
        {
            out.pop();
        }
        if out.len() == start {
            out.push('/');
        }
        let path = &out[start..];
        if let Cow::Owned(normal) = normalize(path)? {
            if has_dot_segment(path) {
                return Err(RewriteError::DotSegment);
            }
            out.truncate(start);
            out.push_str(&normal);
        }
        Ok(())
    }

    fn render_query(
        &self,
        out: &mut String,
        origin: &Origin<'_>,
        spans: &[Span],
    ) -> Result<(), RewriteError> {
        let start = out.len();
        self.query.iter().try_for_each(|step| step.write_component(out, origin, spans))?;
        // What joined an empty `{query}` to its neighbours goes with it.
        if origin.query.is_none_or(str::is_empty) && self.query.iter().any(Step::is_query) {
            let trimmed = out[start..].trim_matches('&').to_owned();
            out.truncate(start);
            out.push_str(&trimmed);
        }
        if out.len() > start {
            out.insert(start, '?');
        }
        Ok(())
    }
}

impl Step {
    fn is_query(&self) -> bool {
        matches!(self, Self::Query)
    }

    /// What a step stands for if that is a path or a piece of one.
    fn value<'a>(&self, origin: &Origin<'a>, spans: &[Span]) -> Option<&'a str> {
        match self {
            Self::Param(index) | Self::Rest(index) => {
                Some(spans.get(*index).copied().unwrap_or_default().of(origin.path))
            }
            Self::Path => Some(origin.path),
            Self::Literal(_) | Self::Scheme | Self::Host | Self::Query => None,
        }
    }

    /// Writes a step anywhere but into a path, where slashes stay slashes.
    fn write_component(
        &self,
        out: &mut String,
        origin: &Origin<'_>,
        spans: &[Span],
    ) -> Result<(), RewriteError> {
        match self {
            Self::Literal(text) => out.push_str(text),
            Self::Scheme => out.push_str(origin.scheme),
            Self::Host if is_host(origin.host) => out.push_str(origin.host),
            Self::Host => return Err(RewriteError::Host),
            Self::Query => push_query(out, origin.query.unwrap_or_default()),
            Self::Param(_) | Self::Rest(_) | Self::Path => {
                push_component(out, self.value(origin, spans).unwrap_or_default());
            }
        }
        Ok(())
    }
}

fn first_part(pieces: &[Piece], kind: Kind) -> Result<Part, TemplateError> {
    match (kind, pieces.first()) {
        (_, Some(Piece::Literal(text))) if text.starts_with('/') && !text.starts_with("//") => {
            Ok(Part::Path)
        }
        (Kind::Rewrite, _) => Err(TemplateError::NotAbsolute),
        (Kind::Redirect, Some(Piece::Param(name))) if name == "path" => Ok(Part::Path),
        (Kind::Redirect, Some(_)) => Ok(Part::Scheme),
        (Kind::Redirect, None) => Err(TemplateError::NoScheme),
    }
}

/// Cuts text where the next part of a URI begins; a slash belongs to the path that it begins.
fn split_part<'a>(text: &'a str, marks: &[char]) -> (&'a str, Option<(Part, &'a str)>) {
    let Some(at) = text.find(marks) else { return (text, None) };
    let next = match text.as_bytes()[at] {
        b'/' => (Part::Path, &text[at..]),
        b'?' => (Part::Query, &text[at + 1..]),
        _ => (Part::Fragment, &text[at + 1..]),
    };
    (&text[..at], Some(next))
}

fn unknown_param(name: &str, params: &[Box<str>], kind: Kind) -> TemplateError {
    let builtin: &[&str] = match kind {
        Kind::Rewrite => &[],
        Kind::Redirect => &["scheme", "host", "path", "query"],
    };
    let known = builtin.iter().copied().chain(params.iter().map(|param| &**param));
    let known: Vec<String> = known.map(|name| format!("{{{name}}}")).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    TemplateError::UnknownParam { name: name.to_owned(), known }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Whether literal text may be a piece of host and port; the whole is tried by the rehearsal.
fn is_authority(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
}

/// Whether the host of a request is a name or an address, without anything around it.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// Appends a whole query or a piece of one: its structure is kept, what is not legal is encoded.
fn push_query(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if is_unreserved(byte) || b"%!$&'()*+,;=:@/?".contains(&byte) {
            out.push(char::from(byte));
        } else {
            push_escape(out, byte);
        }
    }
}

/// Appends a piece of a path as one value: all but unreserved characters and escapes is encoded.
fn push_component(out: &mut String, text: &str) {
    let bytes = text.as_bytes();
    for (index, &byte) in bytes.iter().enumerate() {
        let is_escape = byte == b'%'
            && escaped(bytes.get(index + 1).copied(), bytes.get(index + 2).copied()).is_ok();
        if is_unreserved(byte) || is_escape {
            out.push(char::from(byte));
        } else {
            push_escape(out, byte);
        }
    }
}
