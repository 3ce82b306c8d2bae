//! Hosts: exact names before wildcards, the longer wildcard first, then any.

use std::borrow::Cow;

use weir_config::model::HostMatch;

use super::Map;

/// Brings an authority (`Host` or `:authority`, without user information) into the form that routes
/// are compared with: no port, no final dot, lower case.
pub fn canonical_host(authority: &str) -> Cow<'_, str> {
    let bytes = authority.as_bytes();
    let bracket =
        if bytes.first() == Some(&b'[') { bytes.iter().position(|b| *b == b']') } else { None };
    let end = match bracket {
        Some(bracket) => bracket + 1,
        None => bytes.iter().position(|b| *b == b':').unwrap_or(bytes.len()),
    };
    let host = &authority[..end];
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// Finds the groups of routes whose host condition holds.
#[derive(Debug, Default)]
pub(super) struct HostTable {
    exact: Map<usize>,
    /// By suffix, with its leading dot.
    wildcards: Map<usize>,
    any: Option<usize>,
    /// Bytes of the longest suffix: bounds what a long host in a request costs.
    longest: usize,
    groups: usize,
}

impl HostTable {
    /// The group of a host condition, a new one (the next number) at its first sight.
    pub(super) fn insert(&mut self, host: &HostMatch) -> usize {
        let next = self.groups;
        let group = match host {
            HostMatch::Any => *self.any.get_or_insert(next),
            HostMatch::Exact(name) => *self.exact.entry(name.as_str().into()).or_insert(next),
            HostMatch::Wildcard(suffix) => {
                self.longest = self.longest.max(suffix.len());
                *self.wildcards.entry(suffix.as_str().into()).or_insert(next)
            }
        };
        self.groups = self.groups.max(group + 1);
        group
    }

    /// The groups that a host belongs to, the most specific first.
    pub(super) fn groups<'a>(&'a self, host: &'a str) -> impl Iterator<Item = usize> + 'a {
        let exact = self.exact.get(host).copied();
        // A host is searched for dots only where there is something to find.
        let suffixes = if self.wildcards.is_empty() { "" } else { host };
        let wildcards = suffixes
            .match_indices('.')
            .map(|(dot, _)| dot)
            // At 0 nothing would stand for the star.
            .filter(move |&dot| dot > 0 && host.len() - dot <= self.longest)
            .filter_map(|dot| self.wildcards.get(&host[dot..]).copied());
        exact.into_iter().chain(wildcards).chain(self.any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_brought_into_one_form() {
        let table = [
            ("example.com", "example.com"),
            ("Example.COM:8080", "example.com"),
            ("example.com.", "example.com"),
            ("example.com.:80", "example.com"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("[::1", "["),
            (":80", ""),
            ("", ""),
        ];
        for (authority, host) in table {
            assert_eq!(canonical_host(authority), host, "{authority}");
        }
    }

    #[test]
    fn groups_come_from_exact_to_any() {
        let mut table = HostTable::default();
        let any = table.insert(&HostMatch::Any);
        let short = table.insert(&HostMatch::Wildcard(".example.com".into()));
        let long = table.insert(&HostMatch::Wildcard(".b.example.com".into()));
        let exact = table.insert(&HostMatch::Exact("a.b.example.com".into()));
        assert_eq!(table.insert(&HostMatch::Any), any);
        let groups = |host: &str| table.groups(host).collect::<Vec<_>>();
        assert_eq!(groups("a.b.example.com"), [exact, long, short, any]);
        assert_eq!(groups("x.a.b.example.com"), [long, short, any]);
        assert_eq!(groups("b.example.com"), [short, any]);
        assert_eq!(groups("example.com"), [any]);
        assert_eq!(groups(".example.com"), [any]);
        assert_eq!(groups("notexample.com"), [any]);
        assert_eq!(groups(""), [any]);
    }
}
