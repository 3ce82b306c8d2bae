//! The Date field (RFC 9110 section 6.6.1), rendered once a second.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;

/// The field's value for one second.
#[derive(Debug)]
pub(crate) struct Cache {
    second: u64,
    value: HeaderValue,
}

impl Default for Cache {
    fn default() -> Self {
        Self { second: 0, value: render(0) }
    }
}

impl Cache {
    /// Renders anew when the second is another.
    pub(crate) fn update(&mut self, second: u64) {
        if self.second != second {
            *self = Self { second, value: render(second) };
        }
    }

    pub(crate) const fn value(&self) -> &HeaderValue {
        &self.value
    }
}

fn render(second: u64) -> HeaderValue {
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}
