//! Fields that tell browsers what not to do: `security_headers`.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use weir_config::model::{self, FrameOptions};

/// What a route adds, put together once.
#[derive(Debug)]
pub(crate) struct SecurityHeaders {
    fields: Box<[(HeaderName, HeaderValue)]>,
    /// Said over TLS alone: over clear text anybody on the way could have said it (RFC 6797,
    /// section 7.2).
    hsts: Option<HeaderValue>,
    replace: bool,
}

impl SecurityHeaders {
    pub(crate) fn new(config: &model::SecurityHeaders) -> Self {
        let fixed = HeaderValue::from_static;
        let frame = match config.frame_options {
            FrameOptions::Deny => Some(fixed("DENY")),
            FrameOptions::SameOrigin => Some(fixed("SAMEORIGIN")),
            FrameOptions::Off => None,
        };
        let coop = HeaderName::from_static("cross-origin-opener-policy");
        let corp = HeaderName::from_static("cross-origin-resource-policy");
        let permissions = HeaderName::from_static("permissions-policy");
        let all = [
            (header::X_CONTENT_TYPE_OPTIONS, config.nosniff.then(|| fixed("nosniff"))),
            (header::X_FRAME_OPTIONS, frame),
            (header::REFERRER_POLICY, config.referrer_policy.clone()),
            (permissions, config.permissions_policy.clone()),
            (header::CONTENT_SECURITY_POLICY, config.content_security_policy.clone()),
            (coop, config.cross_origin_opener_policy.clone()),
            (corp, config.cross_origin_resource_policy.clone()),
        ];
        let fields = all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Self { fields, hsts: config.hsts.clone(), replace: config.replace }
    }

    /// Adds them to a response that goes out over TLS, or not.
    pub(crate) fn apply(&self, headers: &mut HeaderMap, tls: bool) {
        let hsts = self.hsts.as_ref().filter(|_| tls);
        let hsts = hsts.map(|value| (&header::STRICT_TRANSPORT_SECURITY, value));
        let fields = self.fields.iter().map(|(name, value)| (name, value));
        for (name, value) in fields.chain(hsts) {
            if self.replace || !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> SecurityHeaders {
        let file = format!("listeners: [\":80\"]\nroutes: [{{ respond: 204, {text} }}]\n");
        let loaded = weir_config::load_str("weir.yaml", &file, &|_| None).unwrap();
        SecurityHeaders::new(loaded.config.routes[0].web.security.as_ref().unwrap())
    }

    #[test]
    fn hsts_is_said_over_tls_alone() {
        let preset = config("security_headers: true");
        let (mut clear, mut tls) = (HeaderMap::new(), HeaderMap::new());
        preset.apply(&mut clear, false);
        preset.apply(&mut tls, true);
        assert!(!clear.contains_key(header::STRICT_TRANSPORT_SECURITY));
        assert_eq!(tls[header::STRICT_TRANSPORT_SECURITY], "max-age=31536000");
        assert_eq!(clear.len(), 4);
        assert_eq!(clear["x-content-type-options"], "nosniff");
        assert_eq!(clear["x-frame-options"], "SAMEORIGIN");
    }

    #[test]
    fn what_the_upstream_says_counts_unless_it_is_told_otherwise() {
        let own = || {
            let own = HeaderValue::from_static("no-referrer");
            HeaderMap::from_iter([(header::REFERRER_POLICY, own)])
        };
        let (mut kept, mut replaced) = (own(), own());
        config("security_headers: true").apply(&mut kept, false);
        config("security_headers: { replace: true }").apply(&mut replaced, false);
        assert_eq!(kept[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(replaced[header::REFERRER_POLICY], "strict-origin-when-cross-origin");
    }

    #[test]
    fn each_can_be_off() {
        let mut headers = HeaderMap::new();
        let off = "hsts: off, nosniff: off, frame_options: off, referrer_policy: off, \
                   permissions_policy: off";
        config(&format!("security_headers: {{ {off} }}")).apply(&mut headers, true);
        assert!(headers.is_empty(), "{headers:?}");
    }
}
