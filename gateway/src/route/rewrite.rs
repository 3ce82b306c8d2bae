//! The new path of a forwarded request, and the target of a redirect.
//!
//! Values that come from the request are encoded for the part of the URI in which they land: they
//! can neither end that part nor the header field, and what they form together with the template's
//! own text is normalized again. A result with a dot segment is refused instead of resolved, so
//! that no value leads out of the directory that the template names.

use http::{HeaderValue, uri::PathAndQuery};
use weir_config::model::{Piece, Rewrite};

use super::table::Span;
use super::template::{Kind, Template};
use crate::http::path::{PathError, normalize};

/// What a template may take from the request beside the parameters of the match.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// `http` or `https`; static, so that it never comes from the request.
    pub scheme: &'static str,
    /// From [`super::canonical_host`].
    pub host: &'a str,
    /// From [`crate::http::path::normalize`].
    pub path: &'a str,
    /// What follows the `?`, as it came.
    pub query: Option<&'a str>,
}

/// Why a template of the configuration cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A parameter that the match does not have.
    #[error("no parameter {{{name}}} here; there are: {known}")]
    UnknownParam {
        /// Its name.
        name: String,
        /// Those that could be meant, or `none`.
        known: String,
    },
    /// A rewrite begins with something else than a slash.
    #[error("a rewrite must begin with '/'")]
    NotAbsolute,
    /// A redirect begins with something else than `/`, `{path}` or a scheme.
    #[error("a redirect must begin with '/', '{{path}}' or a scheme and '://'")]
    NoScheme,
    /// What stands between `://` and the path is missing, or no host and port.
    #[error("no valid host and port: {0:?}")]
    Authority(String),
    /// A value of the request would become part of the host.
    #[error("{{{0}}} directly behind the host; only {{host}}, {{path}} or '/' may stand there")]
    ParamInAuthority(String),
    /// `{query}` before the `?`.
    #[error("{{query}} must stand behind a '?'")]
    QueryBeforeMark,
    /// A `#` in a rewrite: fragments never reach a server.
    #[error("a rewrite cannot have a '#'")]
    Fragment,
    /// The literal text cannot stand in a path, or the result could never be one.
    #[error("{0}")]
    Path(#[from] RewriteError),
}

/// Why a template cannot be filled in for a request; every case is a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// The result has no normal form.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Values and literals together form `.` or `..`.
    #[error("dot segment in the new path")]
    DotSegment,
    /// The host of the request is missing, or neither a name nor an address.
    #[error("the request has no valid host")]
    Host,
    /// The result is not a valid URI.
    #[error("the new target is not a valid URI")]
    Target,
}

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
