//! Whether a response may be stored at all (RFC 9111 section 3).

use http::{Method, header::SET_COOKIE};

use super::{
    directives::{ResponseDirectives, Scope},
    policy::Policy,
    stored::{Request, Response},
};

/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoStore {
    /// The method's responses are not stored.
    Method,
    /// The status is not final, is partial, or needs an explicit lifetime that is not there.
    Status,
    /// The request forbids it.
    ForbiddenByRequest,
    /// The response forbids it.
    ForbiddenByResponse,
    /// It is for one user.
    Private,
    /// The request was authorized and the response does not say that others may see it.
    Authorization,
    /// It sets a cookie.
    SetCookie,
    /// Its `Vary` is never matched.
    Vary,
    /// It is never fresh and could not be validated.
    Useless,
    /// It carries more tags than are counted.
    Tags,
    /// It is larger than the policy allows.
    TooLarge,
    /// Its body ends where the connection does: one that was cut off looks the same (RFC 9112
    /// section 8), and must not be kept as a whole (RFC 9111 section 3.3).
    OpenEnded,
}

impl NoStore {
    /// A word for logs and for the detail of `Cache-Status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::ForbiddenByRequest => "request-no-store",
            Self::ForbiddenByResponse => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::Vary => "vary",
            Self::Useless => "not-fresh",
            Self::Tags => "tags",
            Self::TooLarge => "too-large",
            Self::OpenEnded => "open-ended",
        }
    }
}

/// What neither depends on freshness nor on the selection (RFC 9111 section 3).
pub(crate) fn permit(
    request: &Request<'_>,
    response: &Response<'_>,
    directives: &ResponseDirectives,
    policy: &Policy,
) -> Result<(), NoStore> {
    let status = response.status.as_u16();
    // RFC 9110 section 9.3.3: what a POST brings is what a GET would, if it says so.
    let is_resource =
        *request.method == Method::POST && response.is_content_location && status == 200;
    if !is_stored_method(request.method) && !is_resource {
        return Err(NoStore::Method);
    }
    if status < 200 || status == 206 || status == 304 {
        return Err(NoStore::Status);
    }
    if request.directives.no_store {
        return Err(NoStore::ForbiddenByRequest);
    }
    // `must-understand` lifts `no-store` for those who know the status (section 5.2.2.3).
    if directives.must_understand && !is_understood(status) {
        return Err(NoStore::Status);
    }
    if directives.no_store && !directives.must_understand {
        return Err(NoStore::ForbiddenByResponse);
    }
    if directives.private == Scope::Whole {
        return Err(NoStore::Private);
    }
    let listed = [&directives.private, &directives.no_cache];
    let listed = listed.iter().any(|scope| scope.fields().contains(&SET_COOKIE));
    if response.headers.contains_key(SET_COOKIE) && !policy.store_cookies && !listed {
        return Err(NoStore::SetCookie);
    }
    Ok(())
}

/// Methods whose answers are stored, and may be without an explicit lifetime.
pub fn is_stored_method(method: &Method) -> bool {
    *method == Method::GET || method.as_str() == "QUERY"
}

/// Statuses that RFC 9110 defines and this cache acts upon as it says.
const fn is_understood(status: u16) -> bool {
    matches!(status, 200..=205 | 300..=303 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

/// Whether the answer to an authorized request may be stored (RFC 9111 section 3.5).
pub(crate) const fn is_shared(directives: &ResponseDirectives) -> bool {
    directives.public || directives.must_revalidate || directives.s_maxage.is_some()
}
