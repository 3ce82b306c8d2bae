//! What is in a directory, as a page.

use std::fmt::Write as _;

/// Most entries of a directory that are looked at.
pub(super) const ENTRIES: usize = 10_000;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) is_folder: bool,
}

/// The page about the directory at a path. Names may be anything: none becomes a tag.
pub(super) fn page(path: &str, entries: &[Entry]) -> String {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by_key(|entry| (!entry.is_folder, &entry.name));
    let title = escaped(path.as_bytes());
    let mut page = format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<h1>{title}</h1>\n<ul>\n"
    );
    if path != "/" {
        page.push_str("<li><a href=\"../\">../</a></li>\n");
    }
    for entry in sorted {
        let slash = if entry.is_folder { "/" } else { "" };
        let (href, name) = (encoded(&entry.name), escaped(&entry.name));
        // Writing to a String cannot fail. The dot keeps a colon from making it a scheme.
        let _ = writeln!(page, "<li><a href=\"./{href}{slash}\">{name}{slash}</a></li>");
    }
    page.push_str("</ul>\n");
    page
}

/// A name as text.
fn escaped(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for character in String::from_utf8_lossy(name).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A name as a segment of a path.
fn encoded(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(*byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_and_stay_text() {
        let entry = |name: &[u8], is_folder| Entry { name: name.to_vec(), is_folder };
        let entries = [
            entry(b"b.txt", false),
            entry(b"<script>alert(1)</script>", false),
            entry(b"a\"b c", false),
            entry(b"javascript:x", false),
            entry(b"z", true),
            entry(b"\xff", false),
        ];
        let page = page("/a&b/", &entries);
        assert!(page.contains("<title>/a&amp;b/</title>"));
        assert!(!page.contains("<script>"));
        assert!(page.contains("<a href=\"./z/\">z/</a>"));
        assert!(page.contains("<a href=\"./a%22b%20c\">a&quot;b c</a>"));
        assert!(page.contains("<a href=\"./javascript%3Ax\">"));
        assert!(page.contains("<a href=\"./%FF\">\u{fffd}</a>"));
        assert!(page.find("./z/").unwrap() < page.find("./b.txt").unwrap(), "folders come first");
        assert!(page.contains("../") && !super::page("/", &[]).contains("../"));
    }
}
