//! What a file is, by the end of its name.

use http::HeaderValue;

/// What is said of a file whose name says nothing.
const UNKNOWN: &str = "application/octet-stream";

/// Endings in alphabetical order, what they mean, and whether it is worth to be compressed.
const KINDS: &[(&str, &str, bool)] = &[
    ("7z", "application/x-7z-compressed", false),
    ("aac", "audio/aac", false),
    ("apng", "image/apng", false),
    ("atom", "application/atom+xml", true),
    ("avif", "image/avif", false),
    ("bin", UNKNOWN, false),
    ("bmp", "image/bmp", true),
    ("bz2", "application/x-bzip2", false),
    ("css", "text/css; charset=utf-8", true),
    ("csv", "text/csv; charset=utf-8", true),
    ("eot", "application/vnd.ms-fontobject", true),
    ("epub", "application/epub+zip", false),
    ("flac", "audio/flac", false),
    ("geojson", "application/geo+json", true),
    ("gif", "image/gif", false),
    ("gz", "application/gzip", false),
    ("htm", "text/html; charset=utf-8", true),
    ("html", "text/html; charset=utf-8", true),
    ("ico", "image/vnd.microsoft.icon", true),
    ("ics", "text/calendar; charset=utf-8", true),
    ("jpeg", "image/jpeg", false),
    ("jpg", "image/jpeg", false),
    ("js", "text/javascript; charset=utf-8", true),
    ("json", "application/json", true),
    ("jsonld", "application/ld+json", true),
    ("jxl", "image/jxl", false),
    ("m4a", "audio/mp4", false),
    ("m4v", "video/mp4", false),
    ("map", "application/json", true),
    ("md", "text/markdown; charset=utf-8", true),
    ("mjs", "text/javascript; charset=utf-8", true),
    ("mov", "video/quicktime", false),
    ("mp3", "audio/mpeg", false),
    ("mp4", "video/mp4", false),
    ("mpeg", "video/mpeg", false),
    ("oga", "audio/ogg", false),
    ("ogg", "audio/ogg", false),
    ("ogv", "video/ogg", false),
    ("opus", "audio/ogg", false),
    ("otf", "font/otf", true),
    ("pdf", "application/pdf", false),
    ("png", "image/png", false),
    ("rss", "application/rss+xml", true),
    ("rtf", "application/rtf", true),
    ("svg", "image/svg+xml", true),
    ("tar", "application/x-tar", true),
    ("tif", "image/tiff", false),
    ("tiff", "image/tiff", false),
    ("toml", "application/toml", true),
    ("ts", "video/mp2t", false),
    ("ttf", "font/ttf", true),
    ("txt", "text/plain; charset=utf-8", true),
    ("vtt", "text/vtt; charset=utf-8", true),
    ("wasm", "application/wasm", true),
    ("wav", "audio/wav", false),
    ("weba", "audio/webm", false),
    ("webm", "video/webm", false),
    ("webmanifest", "application/manifest+json", true),
    ("webp", "image/webp", false),
    ("woff", "font/woff", false),
    ("woff2", "font/woff2", false),
    ("xhtml", "application/xhtml+xml", true),
    ("xml", "application/xml", true),
    ("yaml", "application/yaml", true),
    ("yml", "application/yaml", true),
    ("zip", "application/zip", false),
    ("zst", "application/zstd", false),
];

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    text: &'static str,
    /// Whether it gets much shorter when compressed.
    pub(super) is_loose: bool,
}

impl Kind {
    /// By the name of the file, whose case does not matter.
    pub(super) fn of(name: &[u8]) -> Self {
        let unknown = Self { text: UNKNOWN, is_loose: false };
        let Some(dot) = name.iter().rposition(|byte| *byte == b'.') else { return unknown };
        let Ok(end) = std::str::from_utf8(&name[dot + 1..]) else { return unknown };
        let end = end.to_ascii_lowercase();
        let found = KINDS.binary_search_by(|(known, ..)| (*known).cmp(&end));
        found.map_or(unknown, |index| Self { text: KINDS[index].1, is_loose: KINDS[index].2 })
    }

    /// As a field says it.
    pub(super) const fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_in_order_and_found() {
        assert!(KINDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (end, text, is_loose) in KINDS {
            let found = Kind::of(format!("a.b.{}", end.to_uppercase()).as_bytes());
            assert_eq!(found, Kind { text, is_loose: *is_loose });
        }
        for name in [&b"Makefile"[..], b"a.", b"a.qqq", b"a.\xff", b""] {
            assert_eq!(Kind::of(name).value(), UNKNOWN);
        }
    }
}
