//! The licences and bans of deny.toml, checked against `cargo tree` without a network.

use std::{collections::BTreeSet, fs};

use crate::process::{cargo, output, root};

/// What Weir is built for, as `targets` of deny.toml has it: crates for others are not linked.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// What deny.toml says, as far as it is checked here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rules {
    licences: Vec<String>,
    bans: Vec<Ban>,
}

/// A crate that must not be in the tree, or not below a version.
#[derive(Debug, PartialEq, Eq)]
struct Ban {
    name: String,
    below: Option<[u64; 3]>,
    reason: String,
}

/// A crate of the tree.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    licence: String,
}

/// Every crate that a build can use has an allowed licence and is not banned.
pub(crate) fn check() -> Result<(), String> {
    let text =
        fs::read_to_string(root().join("deny.toml")).map_err(|e| format!("deny.toml: {e}"))?;
    let rules = Rules::parse(&text)?;
    // Not Cargo.lock and not `cargo metadata`: both name crates of features that nobody turned on.
    let mut tree = cargo(["tree", "--workspace", "--locked", "--prefix=none"]);
    tree.args(TARGETS.map(|target| format!("--target={target}")));
    tree.args(["--edges=normal,build,dev", "--format={p}\t{l}"]);
    let packages = packages(&output(&mut tree)?)?;
    let complaints: Vec<String> = packages.iter().flat_map(|p| rules.complaints(p)).collect();
    if complaints.is_empty() {
        println!("{} crates, {} bans: nothing to complain about", packages.len(), rules.bans.len());
        return Ok(());
    }
    Err(format!("deny.toml forbids:\n  {}", complaints.join("\n  ")))
}

/// Reads lines of `NAME vVERSION (...)<tab>LICENCE`, each crate once.
fn packages(tree: &str) -> Result<BTreeSet<Package>, String> {
    let package = |line: &str| {
        let (package, licence) = line.trim_end_matches(" (*)").split_once('\t')?;
        let mut words = package.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        let [name, version, licence] = [name, version, licence].map(str::to_owned);
        Some(Package { name, version, licence })
    };
    let lines = tree.lines().filter(|line| !line.is_empty());
    lines.map(|line| package(line).ok_or_else(|| format!("cargo tree: `{line}`"))).collect()
}

impl Rules {
    /// Reads `allow` of `[licenses]` and `deny` of `[bans]`: one entry a line, nothing else in
    /// them. A line it cannot read is an error, so that no rule is lost in silence.
    fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Self::default();
        let (mut section, mut list) = ("", "");
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            } else if list.is_empty() && line.starts_with('[') {
                section = line;
            } else if let Some(name) = line.strip_suffix(" = [") {
                list = name;
            } else if line == "]" {
                list = "";
            } else {
                let entry = match (section, list) {
                    ("[licenses]", "allow") => quoted(line).map(|l| rules.licences.push(l.into())),
                    ("[bans]", "deny") => Ban::parse(line).map(|ban| rules.bans.push(ban)),
                    _ => Some(()),
                };
                entry.ok_or_else(|| format!("deny.toml: cannot read `{line}`"))?;
            }
        }
        if rules.licences.is_empty() || rules.bans.is_empty() {
            return Err("deny.toml: no licences or no bans found".into());
        }
        Ok(rules)
    }

    fn complaints(&self, package: &Package) -> Vec<String> {
        let Package { name, version, licence } = package;
        let mut complaints = Vec::new();
        if !self.allows(licence) {
            complaints.push(format!("{name} {version}: licence `{licence}` is not on the list"));
        }
        for ban in self.bans.iter().filter(|ban| ban.name == *name) {
            if ban.below.is_none_or(|below| triple(version).is_none_or(|found| found < below)) {
                complaints.push(format!("{name} {version}: {}", ban.reason));
            }
        }
        complaints
    }

    /// Whether an SPDX expression can be met with the allowed licences alone.
    fn allows(&self, expression: &str) -> bool {
        // `/` is how older crates wrote OR.
        let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let mut rest = words.as_slice();
        let allowed = self.any_of(&mut rest);
        allowed && rest.is_empty()
    }

    fn any_of(&self, words: &mut &[&str]) -> bool {
        let mut allowed = self.all_of(words);
        while let Some(("OR", rest)) = words.split_first().map(|(w, rest)| (*w, rest)) {
            *words = rest;
            allowed |= self.all_of(words);
        }
        allowed
    }

    fn all_of(&self, words: &mut &[&str]) -> bool {
        let mut allowed = self.term(words);
        while let Some(("AND", rest)) = words.split_first().map(|(w, rest)| (*w, rest)) {
            *words = rest;
            allowed &= self.term(words);
        }
        allowed
    }

    fn term(&self, words: &mut &[&str]) -> bool {
        match **words {
            ["(", ref rest @ ..] => {
                *words = rest;
                let allowed = self.any_of(words);
                let closed = words.first() == Some(&")");
                *words = words.get(1..).unwrap_or_default();
                allowed && closed
            }
            [licence, "WITH", exception, ref rest @ ..] => {
                *words = rest;
                self.names(&format!("{licence} WITH {exception}"))
            }
            [licence, ref rest @ ..] => {
                *words = rest;
                self.names(licence)
            }
            [] => false,
        }
    }

    fn names(&self, licence: &str) -> bool {
        self.licences.iter().any(|allowed| allowed == licence)
    }
}

impl Ban {
    /// `{ crate = "NAME" or "NAME:<VERSION", reason = "..." },`
    fn parse(line: &str) -> Option<Self> {
        let inner = line.strip_prefix("{ crate = ")?.strip_suffix(" },")?;
        let (krate, reason) = inner.split_once(", reason = ")?;
        let (krate, reason) = (quoted(krate)?, quoted(reason)?.to_owned());
        let (name, below) = match krate.split_once(":<") {
            Some((name, version)) => (name, Some(triple(version)?)),
            None if krate.contains([':', '@']) => return None,
            None => (krate, None),
        };
        Some(Self { name: name.to_owned(), below, reason })
    }
}

fn quoted(text: &str) -> Option<&str> {
    text.trim_end_matches(',').strip_prefix('"')?.strip_suffix('"')
}

/// The three numbers of a version; what follows `-` or `+` does not matter here.
fn triple(version: &str) -> Option<[u64; 3]> {
    let numbers = version.split(['-', '+']).next()?;
    let mut parts = numbers.split('.').map(|part| part.parse().ok());
    let triple = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(triple)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"
# a comment
[licenses]
allow = [
    "MIT",
    "Apache-2.0 WITH LLVM-exception",
]
[bans]
multiple-versions = "warn"
deny = [
    { crate = "ring", reason = "one provider" },
    { crate = "h2:<0.4.16", reason = "empty frames" },
]
"#;

    fn complaints(name: &str, version: &str, licence: &str) -> Vec<String> {
        let [name, version, licence] = [name, version, licence].map(str::to_owned);
        Rules::parse(SAMPLE).unwrap().complaints(&Package { name, version, licence })
    }

    #[test]
    fn banned_crates_and_old_versions_are_named() {
        assert_eq!(complaints("ring", "0.17.14", "MIT"), ["ring 0.17.14: one provider"]);
        assert_eq!(complaints("h2", "0.4.15", "MIT"), ["h2 0.4.15: empty frames"]);
        assert_eq!(complaints("h2", "0.3.99", "MIT").len(), 1);
        assert_eq!(complaints("h2", "nonsense", "MIT").len(), 1);
        for (name, version) in [("h2", "0.4.16"), ("h2", "0.10.0"), ("ring-buffer", "0.1.0")] {
            assert!(complaints(name, version, "MIT").is_empty(), "{name} {version}");
        }
    }

    #[test]
    fn a_tree_is_read_and_each_crate_counted_once() {
        let tree = "a v1.0.0 (/a/path)\tMIT\n\nb v0.2.0-rc.1 (proc-macro)\tMIT OR Zlib\n\
                    b v0.2.0-rc.1 (proc-macro)\tMIT OR Zlib (*)\n";
        let packages = packages(tree).unwrap();
        let shown: Vec<_> =
            packages.iter().map(|p| format!("{} {} {}", p.name, p.version, p.licence)).collect();
        assert_eq!(shown, ["a 1.0.0 MIT", "b 0.2.0-rc.1 MIT OR Zlib"]);
        assert!(super::packages("a 1.0.0 MIT").is_err());
    }

    #[test]
    fn licence_expressions_are_understood() {
        let rules = Rules::parse(SAMPLE).unwrap();
        for good in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "GPL-3.0-only/MIT",
            "Apache-2.0 WITH LLVM-exception",
            "(GPL-3.0-only OR MIT) AND MIT",
            "MIT AND (Zlib OR Apache-2.0 WITH LLVM-exception)",
        ] {
            assert!(rules.allows(good), "{good}");
        }
        for bad in ["", "GPL-3.0-only", "MIT AND Zlib", "Apache-2.0", "(MIT", "MIT MIT", "MIT AND"]
        {
            assert!(!rules.allows(bad), "{bad}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_an_error() {
        for line in ["{ crate = \"h2:>1.0.0\", reason = \"x\" },", "\"h2\",", "{ name = \"h2\" },"]
        {
            let broken = SAMPLE.replace("deny = [", &format!("deny = [\n    {line}"));
            assert!(Rules::parse(&broken).is_err(), "{line}");
        }
        assert!(Rules::parse("[licenses]\n").is_err());
    }

    #[test]
    fn the_rules_of_this_repository_are_read() {
        let text = fs::read_to_string(root().join("deny.toml")).unwrap();
        let rules = Rules::parse(&text).unwrap();
        assert!(rules.bans.iter().any(|b| b.name == "h2" && b.below == Some([0, 4, 16])));
        assert!(rules.licences.iter().any(|l| l == "Apache-2.0"));
    }
}
