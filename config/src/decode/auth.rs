//! `routes[].auth`.

use http::HeaderName;

use super::{Complaint, Decoder, Names, condition, header, key, route};
use crate::{
    defaults::{CREDENTIAL, SHA256, SUBJECT},
    fields::Fields,
    model::{
        ApiKey, ApiKeyAuth, AuthWay, BasicAuth, Concurrency, CredentialPlace, ForwardAuth,
        MtlsAuth, RateLimit, RouteIdempotency, Secret, SubjectField, SubjectMatch, Users,
    },
    pattern,
    yaml::{Node, Value, Word, shorten},
};

mod jwt;

/// Most ways of a route.
const WAYS: usize = 8;
/// Most entries of other lists.
const ENTRIES: usize = 256;
/// Most keys or users in the configuration; a file of their own holds more.
const HOLDERS: usize = 10_000;

const KINDS: [&str; 5] = ["jwt", "api_key", "basic", "mtls", "forward"];

/// What ways need to know of the rest of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) upstreams: &'a Names,
    /// Whether a listener asks for certificates of clients.
    pub(super) certificates: bool,
}

/// How clients say who they are; none where nobody is asked.
pub(super) fn of_route(
    d: &mut Decoder<'_>,
    route: &Fields<'_>,
    around: Around<'_>,
) -> Vec<AuthWay> {
    let read = |d: &mut Decoder<'_>, node: &Node| {
        if node.is_off() {
            return Vec::new();
        }
        if node.is_empty_list() {
            d.report.error(node.span, "`auth` is empty: nobody could pass").hint =
                Some("write `auth: off` for a route that asks nobody".to_owned());
        }
        d.each(node, WAYS, |d, node| way(d, node, around))
    };
    route.at(d, "auth", read).unwrap_or_default()
}

fn way(d: &mut Decoder<'_>, node: &Node, around: Around<'_>) -> Option<AuthWay> {
    let fields = Fields::open(d, node, "routes[].auth[]");
    if fields.is_broken() {
        return None;
    }
    let jwt = fields.at(d, "jwt", jwt::read);
    let api_key = fields.at(d, "api_key", api_key);
    let basic = fields.at(d, "basic", basic);
    let mtls = fields.at(d, "mtls", |d, node| mtls(d, node, around.certificates));
    let forward = forward(d, &fields, around.upstreams);
    fields.finish();
    let written: Vec<_> = KINDS.iter().filter_map(|kind| fields.entry(kind)).collect();
    if let [first, second, ..] = written.as_slice() {
        let what = format!(
            "`{}` and `{}` are two ways: write a list of them",
            first.key.text, second.key.text
        );
        d.report.error(second.key.span, what).hint =
            Some("such as `auth: [{ jwt: {...} }, { api_key: {...} }]`".to_owned());
        return None;
    }
    if written.is_empty() {
        let one = d.report.error(node.span, "no kind of `auth` is named");
        one.legal = KINDS.map(str::to_owned).to_vec();
        return None;
    }
    jwt.flatten()
        .map(|jwt| AuthWay::Jwt(Box::new(jwt)))
        .or_else(|| api_key.flatten().map(AuthWay::ApiKey))
        .or_else(|| basic.flatten().map(AuthWay::Basic))
        .or_else(|| mtls.flatten().map(AuthWay::Mtls))
        .or_else(|| forward.map(AuthWay::Forward))
}

/// Refuses keys of an identity that nobody is asked for.
pub(super) fn needed(
    d: &mut Decoder<'_>,
    route: &Fields<'_>,
    (limits, concurrency, idempotency): (
        &[RateLimit],
        Option<&Concurrency>,
        Option<&RouteIdempotency>,
    ),
) {
    if route.node("auth").is_some_and(|node| !node.is_off()) {
        return;
    }
    let limits = limits.iter().map(|limit| ("rate_limit", &limit.key));
    let concurrency = concurrency.map(|bound| ("concurrency", &bound.key));
    let idempotency = idempotency.map(|one| ("idempotency", &one.scope));
    for (policy, parts) in limits.chain(concurrency).chain(idempotency) {
        let Some(part) = parts.iter().find(|part| part.is_of_identity()) else { continue };
        let span = route.node(policy).map(|node| node.span).unwrap_or_default();
        let what = format!("`{part}` has no meaning here: the route asks nobody who they are");
        d.report.error(span, what).hint = Some("give the route an `auth`".to_owned());
    }
}

/// A header that goes further than one hop.
fn end_to_end(text: &str) -> Result<HeaderName, Complaint> {
    let name = header::name(text)?;
    if header::is_hop_by_hop(&name) || name == http::header::HOST {
        let what = format!("`{name}` belongs to the connection: nothing else can be in it");
        return Err(Complaint::new(what));
    }
    Ok(name)
}

/// Headers that are written, or those of the default.
fn names(d: &mut Decoder<'_>, fields: &Fields<'_>, key: &str) -> Vec<HeaderName> {
    let read = |d: &mut Decoder<'_>, node: &Node| {
        d.each(node, ENTRIES, |d, node| d.parsed(node, "a header name", end_to_end))
    };
    let default = || fields.default_text(key).split(", ").filter(|name| !name.is_empty());
    fields.at(d, key, read).unwrap_or_else(|| default().flat_map(end_to_end).collect())
}

/// A text that says something.
fn filled(text: &str) -> Result<String, Complaint> {
    match text.trim() {
        "" => Err(Complaint::new("expected a text, found an empty one")),
        _ if text.chars().any(char::is_control) => {
            Err(Complaint::new("control characters have no place here"))
        }
        _ => Ok(text.to_owned()),
    }
}

fn credential(text: &str) -> Result<CredentialPlace, Complaint> {
    let unknown = || Complaint::new(format!("expected {CREDENTIAL}, found `{}`", shorten(text)));
    let (kind, name) = text.split_once(':').ok_or_else(unknown)?;
    if name.is_empty() {
        return Err(unknown());
    }
    match kind {
        "header" => end_to_end(name).map(CredentialPlace::Header),
        "cookie" => key::cookie(name).map(CredentialPlace::Cookie),
        "query" => key::query(name).map(CredentialPlace::Query),
        _ => Err(unknown()),
    }
}

fn api_key(d: &mut Decoder<'_>, node: &Node) -> Option<ApiKeyAuth> {
    let fields = Fields::open(d, node, "routes[].auth[].api_key");
    let mut header = fields.parsed(d, "header", end_to_end);
    let query = fields.parsed(d, "query", |text| filled(text).and_then(|text| key::query(&text)));
    let keys = fields.at(d, "keys", |d, node| d.each(node, HOLDERS, one_key)).unwrap_or_default();
    let file = fields.path(d, "file");
    fields.finish();
    if fields.node("header").is_none() && fields.node("query").is_none() {
        header = Some(HeaderName::from_static("x-api-key"));
    }
    if fields.node("keys").is_none() && fields.node("file").is_none() {
        fields.missing(d, "keys", "write `keys: [{ name: ..., sha256: ... }]`, or `file: path`");
    }
    if let Some(node) = fields.node("keys").filter(|node| node.is_empty_list() && file.is_none()) {
        d.report.error(node.span, "`keys` is empty: nobody could pass");
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = keys.iter().find(|key| !seen.insert(key.sha256)) {
        let span = fields.node("keys").map(|node| node.span).unwrap_or_default();
        let what = format!("a key of `{}` stands there twice", shorten(&twice.name));
        d.report.error(span, what);
    }
    Some(ApiKeyAuth { at: node.span.at(), header, query, keys, file })
}

fn one_key(d: &mut Decoder<'_>, node: &Node) -> Option<ApiKey> {
    let fields = Fields::open(d, node, "routes[].auth[].api_key.keys[]");
    let name = fields.parsed(d, "name", filled);
    let sha256 = fields.parsed(d, "sha256", sha256);
    fields.finish();
    for (key, hint) in [("name", "whose key is it?"), ("sha256", "as `sha256sum` prints it")] {
        if fields.node(key).is_none() {
            fields.missing(d, key, hint);
        }
    }
    Some(ApiKey { name: name?, sha256: sha256? })
}

/// A hash in hexadecimal digits. What is none is not repeated: it may be the key itself.
fn sha256(text: &str) -> Result<[u8; 32], Complaint> {
    ApiKey::hash(text).ok_or_else(|| {
        let what = format!("expected {SHA256}, found {} characters", text.chars().count());
        Complaint::new(what).hint("`printf %s KEY | sha256sum` prints them")
    })
}

fn basic(d: &mut Decoder<'_>, node: &Node) -> Option<BasicAuth> {
    let fields = Fields::open(d, node, "routes[].auth[].basic");
    let realm = fields.parsed(d, "realm", realm);
    let file = matches!(fields.node("users").map(|node| &node.value), Some(Value::Text(_)));
    let users = if file {
        fields.path(d, "users").map(Users::File)
    } else {
        let listed = fields.pairs(d, "users", HOLDERS, user);
        Some(Users::Listed(listed))
    };
    fields.finish();
    match (fields.node("users"), &users) {
        (None, _) => {
            fields.missing(d, "users", "an htpasswd file, or a mapping from names to hashes");
        }
        (Some(node), Some(Users::Listed(users))) if users.is_empty() && node.is_nothing() => {
            d.report.error(node.span, "`users` is empty: nobody could pass");
        }
        _ => {}
    }
    Some(BasicAuth { at: node.span.at(), realm: realm?, users: users? })
}

/// What stands between quotes in a field.
fn realm(text: &str) -> Result<String, Complaint> {
    let text = filled(text)?;
    match text.char_indices().find(|(_, c)| !matches!(c, ' '..='~') || "\"\\".contains(*c)) {
        Some((offset, c)) => {
            let what = "a realm has printable ASCII, without quotes and backslashes";
            Err(Complaint::new(what).part(offset, c.len_utf8()))
        }
        None => Ok(text),
    }
}

fn user(d: &mut Decoder<'_>, word: &Word, node: &Node) -> Option<(String, Secret)> {
    if word.text.is_empty() || word.text.contains(':') || word.text.chars().any(char::is_control) {
        d.report.error(word.span, "a user's name is not empty and has no colon (RFC 7617)");
    }
    let expects = "a hash of bcrypt (`$2y$...`) or argon2id (`$argon2id$...`)";
    let Value::Text(hash) = &node.value else {
        d.mismatch(node, expects);
        return None;
    };
    if hash == crate::fields::REDACTED {
        let what = "this hash was redacted: nobody can log in by it";
        d.report.warn(node.span, what).hint = Some("write the hash in".to_owned());
    } else if !["$2a$", "$2b$", "$2y$", "$argon2id$"].iter().any(|kind| hash.starts_with(kind)) {
        // Told of the name: what is no hash may be the password.
        let what = format!("expected {expects} for `{}`", shorten(&word.text));
        d.report.error(word.span, what).hint =
            Some("`htpasswd -nB NAME` prints one; `$` is written `$$` in this file".to_owned());
    }
    Some((word.text.clone(), Secret(hash.clone())))
}

fn mtls(d: &mut Decoder<'_>, node: &Node, certificates: bool) -> Option<MtlsAuth> {
    if !certificates {
        let what = "no listener asks clients for certificates: nobody could pass";
        d.report.error(node.span, what).hint =
            Some("a listener with `tls: { ..., client_ca: ca.pem }` does".to_owned());
    }
    let at = node.span.at();
    if node.is_on() {
        return Some(MtlsAuth { at, subjects: Vec::new() });
    }
    let subjects = match &node.value {
        Value::List(_) => subjects(d, node),
        _ => {
            let fields = Fields::open(d, node, "routes[].auth[].mtls");
            let subjects = fields.at(d, "subjects", subjects).unwrap_or_default();
            fields.finish();
            subjects
        }
    };
    Some(MtlsAuth { at, subjects })
}

fn subjects(d: &mut Decoder<'_>, node: &Node) -> Vec<SubjectMatch> {
    if node.is_empty_list() {
        d.report.error(node.span, "`subjects` is empty: nobody could pass").hint =
            Some("write `mtls: true` for every certificate that is verified".to_owned());
    }
    d.each(node, ENTRIES, |d, node| d.parsed(node, SUBJECT, subject))
}

fn subject(text: &str) -> Result<SubjectMatch, Complaint> {
    let unknown = || Complaint::new(format!("expected {SUBJECT}, found `{}`", shorten(text)));
    let (kind, value) = text.split_once(':').ok_or_else(unknown)?;
    let field = SubjectField::ALL.iter().find(|(_, word)| *word == kind);
    let (field, _) = field.ok_or_else(unknown)?;
    if value.trim().is_empty() {
        return Err(unknown());
    }
    let value = pattern::value(value.trim_start())?;
    Ok(SubjectMatch { field: *field, value })
}

fn forward(d: &mut Decoder<'_>, way: &Fields<'_>, upstreams: &Names) -> Option<ForwardAuth> {
    let fields = way.policy(d, "forward", "routes[].auth[].forward")?;
    let at = way.node("forward").map(|node| node.span.at()).unwrap_or_default();
    let named = |d: &mut Decoder<'_>, node: &Node| {
        let name = d.text(node, "the name of an upstream")?;
        route::index(d, node.span, name, upstreams)
    };
    let to = fields.at(d, "to", named);
    if to.is_none() {
        fields.missing(d, "to", "the upstream that decides");
    }
    let path = fields.parsed(d, "path", |text| match text.parse::<http::uri::PathAndQuery>() {
        Ok(path) if text.starts_with('/') => Ok(path.to_string()),
        _ => Err(Complaint::new(format!("expected a path, found `{}`", shorten(text)))),
    });
    let request_headers = names(d, &fields, "request_headers");
    let response_headers = names(d, &fields, "response_headers");
    let identity = fields.parsed(d, "identity", end_to_end);
    let read = ForwardAuth {
        at,
        to: to.flatten().unwrap_or_default(),
        path: path.unwrap_or_default(),
        request_headers,
        response_headers,
        identity: identity.unwrap_or(HeaderName::from_static("remote-user")),
        timeout: fields.duration(d, "timeout"),
        max_body: fields.size32(d, "max_body"),
        allow_on_failure: fields.choice(d, "on_failure") == "allow",
    };
    fields.finish();
    to.flatten().map(|_| read)
}

/// Claims that must hold.
fn conditions(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<(String, crate::model::ValueMatch)> {
    let read = |d: &mut Decoder<'_>, word: &Word, node: &Node| {
        let name = filled(&word.text);
        let name = name.map_err(|wrong| d.complain(word.span, &word.text, wrong)).ok();
        let values = d.each(node, ENTRIES, condition::value);
        let name = name?;
        Some(values.into_iter().map(move |value| (name.clone(), value)))
    };
    fields.pairs(d, "claims", ENTRIES, read).into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
