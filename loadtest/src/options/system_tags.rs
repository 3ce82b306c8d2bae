//! Which of a sample's own properties become tags.

/// Which of a sample's own properties become tags: a set of [`SystemTag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemTags(u32);

macro_rules! system_tags {
    ($($tag:ident = $name:literal),* $(,)?) => {
        /// A property of a sample that can be a tag.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the words of the option")]
        pub enum SystemTag { $($tag),* }

        impl SystemTag {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$tag),*];

            /// The tag's key.
            pub fn name(self) -> &'static str {
                match self { $(Self::$tag => $name),* }
            }
        }
    };
}

system_tags! {
    Proto = "proto",
    Subproto = "subproto",
    Status = "status",
    Method = "method",
    Url = "url",
    Name = "name",
    Group = "group",
    Check = "check",
    Error = "error",
    ErrorCode = "error_code",
    TlsVersion = "tls_version",
    Scenario = "scenario",
    Service = "service",
    ExpectedResponse = "expected_response",
    Iter = "iter",
    Vu = "vu",
    OcspStatus = "ocsp_status",
    Ip = "ip",
}

impl SystemTags {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// All but `iter`, `vu`, `ocsp_status` and `ip`.
    pub const DEFAULT: Self = Self((1 << SystemTag::Iter as u32) - 1);

    /// Whether `tag` is one of them.
    pub fn has(self, tag: SystemTag) -> bool {
        self.0 & (1 << tag as u32) != 0
    }

    /// The set of the tags with these names; names of none are left out, as in k6.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let tags = names
            .into_iter()
            .filter_map(|name| SystemTag::ALL.iter().find(|tag| tag.name() == name.trim()));
        tags.fold(Self::NONE, |set, tag| set.with(*tag))
    }

    /// These and `tag`.
    pub fn with(self, tag: SystemTag) -> Self {
        Self(self.0 | (1 << tag as u32))
    }
}
