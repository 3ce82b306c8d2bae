//! The dashboard: one page that holds no data and asks the other paths for it.

use std::sync::LazyLock;

use http::{HeaderValue, StatusCode, header::CONTENT_SECURITY_POLICY};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;

use super::answer::{Answer, reply};
use crate::base64;

const PAGE: &str = include_str!("dashboard.html");

/// Only the script and the style of the page itself, by hash; data from this address alone.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let (script, style) = (hash(between(PAGE, "script")?)?, hash(between(PAGE, "style")?)?);
    let policy = format!(
        "default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).ok()
});

pub(super) fn page() -> Answer {
    let mut answer = reply(StatusCode::OK, "text/html; charset=utf-8", PAGE);
    let none = || HeaderValue::from_static("default-src 'none'");
    let policy = POLICY.clone().unwrap_or_else(none);
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    answer
}

/// The text of the page's only element of this name.
fn between(page: &'static str, element: &str) -> Option<&'static str> {
    let (_, rest) = page.split_once(&format!("<{element}>"))?;
    let (text, _) = rest.split_once(&format!("</{element}>"))?;
    Some(text)
}

/// A hash source of a Content-Security-Policy (CSP level 3, 2.3.1).
fn hash(text: &str) -> Option<String> {
    let sha256 = TLS13_AES_128_GCM_SHA256.tls13()?.common.hash_provider;
    Some(format!("sha256-{}", base64::encode(sha256.hash(text.as_bytes()).as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_browsers_do() {
        let empty = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(hash("").as_deref(), Some(empty));
    }

    #[test]
    fn the_page_is_small_and_asks_nobody_else() {
        assert!(PAGE.len() < 20 * 1024, "{} bytes", PAGE.len());
        assert_eq!(PAGE.matches("<script").count(), 1);
        assert_eq!(PAGE.matches("<style").count(), 1);
        for way_out in ["src=", "http:", "https:", "@import", "url(", " style=", " on"] {
            let found = PAGE
                .lines()
                .find(|line| line.trim_start().starts_with('<') && line.contains(way_out));
            assert_eq!(found, None, "{way_out}");
        }
        for way_in in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("] {
            assert!(!PAGE.contains(way_in), "{way_in}");
        }
        let policy = POLICY.as_ref().unwrap().to_str().unwrap();
        assert_eq!(policy.matches("'sha256-").count(), 2, "{policy}");
    }
}
