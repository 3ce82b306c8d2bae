//! Tags: the words that tell samples of one metric apart.

use std::sync::Arc;

/// Something that can say what a sample's tags are, without building a set of them: most samples
/// are never asked.
pub trait Tags {
    /// The value of the tag `key`, if there is one.
    fn value(&self, key: &str) -> Option<&str>;

    /// All of them, for an output that wants each sample.
    fn to_set(&self) -> TagSet;
}

/// Key and value.
type Pair = (Box<str>, Box<str>);

/// Tags as a set, sorted by key; a clone shares it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TagSet(Option<Arc<[Pair]>>);

impl TagSet {
    /// A set of these; of a key given twice the later value counts.
    pub fn new<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut sorted: Vec<Pair> = Vec::new();
        for (key, value) in tags {
            put(&mut sorted, key, value);
        }
        Self::of(sorted)
    }

    /// This set and `tags`, which win.
    pub fn with(&self, tags: &[(&str, &str)]) -> Self {
        if tags.is_empty() {
            return self.clone();
        }
        let mut sorted: Vec<Pair> = self.pairs().to_vec();
        for (key, value) in tags {
            put(&mut sorted, key, value);
        }
        Self::of(sorted)
    }

    /// This set without the tag `key`.
    pub fn without(&self, key: &str) -> Self {
        let kept = self.pairs().iter().filter(|(k, _)| **k != *key);
        Self::of(kept.cloned().collect())
    }

    /// The pairs, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs().iter().map(|(key, value)| (&**key, &**value))
    }

    /// Whether it has no tags.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn pairs(&self) -> &[Pair] {
        self.0.as_deref().unwrap_or(&[])
    }

    fn of(sorted: Vec<Pair>) -> Self {
        Self((!sorted.is_empty()).then(|| sorted.into()))
    }
}

impl Tags for TagSet {
    fn value(&self, key: &str) -> Option<&str> {
        let pairs = self.pairs();
        let at = pairs.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        Some(&pairs[at].1)
    }

    fn to_set(&self) -> TagSet {
        self.clone()
    }
}

fn put(sorted: &mut Vec<Pair>, key: &str, value: &str) {
    match sorted.binary_search_by(|(k, _)| (**k).cmp(key)) {
        Ok(at) => sorted[at].1 = value.into(),
        Err(at) => sorted.insert(at, (key.into(), value.into())),
    }
}
