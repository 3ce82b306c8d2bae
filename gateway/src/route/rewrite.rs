//! The new path of a forwarded request, and the target of a redirect.
//!
//! Values that come from the request are encoded for the part of the URI in which they land: they
//! can neither end that part nor the header field, and what they form together with the template's
//! own text is normalized again. A result with a dot segment is refused instead of resolved, so
//! that no value leads out of the directory that the template names.

use http::{HeaderValue, uri::PathAndQuery};
use weir_config::model::{Piece, Rewrite};

use super::table::Span;
use super::template::{Kind, Origin, RewriteError, Template, TemplateError};
use crate::http::path::normalize;

/// A compiled [`Rewrite`].
#[derive(Debug)]
pub struct PathRewrite(Plan);

#[derive(Debug)]
enum Plan {
    Keep,
    /// Without a final slash, never empty.
    Strip(Box<str>),
    Template(Template),
}

impl PathRewrite {
    /// Compiles a rewrite for a route with these parameters ([`super::Matcher::params`]).
    ///
    /// # Errors
    /// The template is wrong for every request.
    pub fn compile(rewrite: &Rewrite, params: &[Box<str>]) -> Result<Self, TemplateError> {
        let plan = match rewrite {
            Rewrite::Keep => Plan::Keep,
            Rewrite::StripPrefix(prefix) => match prefix.trim_end_matches('/') {
                "" => Plan::Keep,
                prefix => Plan::Strip(normalize(prefix).map_err(RewriteError::Path)?.into()),
            },
            Rewrite::Template(pieces) => {
                Plan::Template(Template::compile(pieces, params, Kind::Rewrite)?)
            }
        };
        Ok(Self(plan))
    }

    /// The new path and query; `None` where the path stays as it is.
    ///
    /// `path` is the normalized one that was matched, `spans` the values found in it. The query is
    /// kept as it came, behind that of the template if it has one.
    ///
    /// # Errors
    /// What the request brought does not fit.
    pub fn apply(
        &self,
        path: &str,
        query: Option<&str>,
        spans: &[Span],
    ) -> Result<Option<PathAndQuery>, RewriteError> {
        match &self.0 {
            Plan::Keep => Ok(None),
            Plan::Strip(prefix) => match path.strip_prefix(&**prefix) {
                Some("") => join("/", query).map(Some),
                Some(rest) if rest.starts_with('/') => join(rest, query).map(Some),
                Some(_) | None => Ok(None),
            },
            Plan::Template(template) => {
                let mut target = String::with_capacity(path.len() + 64);
                let origin = Origin { scheme: "http", host: "", path, query };
                template.render(&mut target, &origin, spans)?;
                finish(target, query).map(Some)
            }
        }
    }
}

/// Puts a normalized path and a query together again, where a [`PathRewrite`] keeps the path but
/// normalizing has changed it.
///
/// # Errors
/// [`RewriteError::Target`] for a query that is not one.
pub fn join(path: &str, query: Option<&str>) -> Result<PathAndQuery, RewriteError> {
    let mut target = String::with_capacity(path.len() + query.map_or(0, |query| query.len() + 1));
    target.push_str(path);
    finish(target, query)
}

fn finish(mut target: String, query: Option<&str>) -> Result<PathAndQuery, RewriteError> {
    if let Some(query) = query {
        // What follows it would be cut off without a word.
        if query.contains('#') {
            return Err(RewriteError::Target);
        }
        // A mark in it is the template's own: in a path it would be encoded.
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(query);
    }
    PathAndQuery::try_from(target).map_err(|_| RewriteError::Target)
}

/// A compiled redirect target.
#[derive(Debug)]
pub struct Location(Template);

impl Location {
    /// Compiles a target for a route with these parameters ([`super::Matcher::params`]).
    ///
    /// The names `scheme`, `host`, `path` and `query` are the request's own, whatever the match
    /// calls its parameters.
    ///
    /// # Errors
    /// The template is wrong for every request, or lets the request choose the host.
    pub fn compile(to: &[Piece], params: &[Box<str>]) -> Result<Self, TemplateError> {
        Template::compile(to, params, Kind::Redirect).map(Self)
    }

    /// The value of the `Location` field. `spans` belong to `origin.path`.
    ///
    /// # Errors
    /// What the request brought does not fit.
    pub fn render(&self, origin: &Origin<'_>, spans: &[Span]) -> Result<HeaderValue, RewriteError> {
        let mut target = String::with_capacity(origin.path.len() + 64);
        self.0.render(&mut target, origin, spans)?;
        HeaderValue::try_from(target).map_err(|_| RewriteError::Target)
    }
}

#[cfg(test)]
mod tests;
