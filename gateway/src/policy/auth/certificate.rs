//! Names in the certificate that a client has proved to own.

use std::rc::Rc;

use serde_json::{Map, Value};
use weir_config::model::{SubjectField, SubjectMatch, ValueMatch};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::identity::Identity;

/// Most names of a kind that are looked at.
const MOST: usize = 64;

/// A client that has proved to own a certificate.
#[derive(Debug)]
pub(crate) struct Certified {
    pub(crate) subject: Subject,
    pub(crate) identity: Rc<Identity>,
}

impl Certified {
    /// Reads a leaf that was verified.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let subject = Subject::read(der)?;
        let identity = Rc::new(subject.identity());
        Some(Self { subject, identity })
    }
}

/// What a certificate calls its owner.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    whole: String,
    common: Vec<String>,
    dns: Vec<String>,
    uri: Vec<String>,
    email: Vec<String>,
}

impl Subject {
    /// Reads the names of a leaf that was verified.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let (_, leaf) = X509Certificate::from_der(der).ok()?;
        let mut this = Self { whole: leaf.subject().to_string(), ..Self::default() };
        let common = leaf.subject().iter_common_name().take(MOST);
        this.common = common.filter_map(|name| name.as_str().ok().map(str::to_owned)).collect();
        if let Ok(Some(names)) = leaf.subject_alternative_name() {
            for name in names.value.general_names.iter().take(MOST) {
                match name {
                    GeneralName::DNSName(name) => this.dns.push(name.to_ascii_lowercase()),
                    GeneralName::URI(uri) => this.uri.push((*uri).to_owned()),
                    GeneralName::RFC822Name(mail) => this.email.push((*mail).to_owned()),
                    _ => {}
                }
            }
        }
        // A name with a NUL is one thing to who signs it and another to who reads it.
        let lists = [&mut this.common, &mut this.dns, &mut this.uri, &mut this.email];
        for list in lists {
            list.retain(|name| !name.is_empty() && !name.contains(|c: char| c.is_control()));
        }
        Some(this)
    }

    fn names(&self, field: SubjectField) -> &[String] {
        match field {
            SubjectField::CommonName => &self.common,
            SubjectField::Subject => std::slice::from_ref(&self.whole),
            SubjectField::Dns => &self.dns,
            SubjectField::Uri => &self.uri,
            SubjectField::Email => &self.email,
        }
    }

    /// Whether it is one of those that are wanted; all are where none is named.
    pub(crate) fn is_one_of(&self, wanted: &[SubjectMatch]) -> bool {
        let fits = |one: &SubjectMatch| {
            self.names(one.field).iter().any(|name| match &one.value {
                ValueMatch::Exact(exact) if one.field == SubjectField::Dns => {
                    name.eq_ignore_ascii_case(exact)
                }
                ValueMatch::Exact(exact) => name == exact,
                ValueMatch::Present => !name.is_empty(),
                ValueMatch::Regex(regex) => regex.is_match(name),
            })
        };
        wanted.is_empty() || wanted.iter().any(fits)
    }

    /// Who that is: by its URI, else its DNS name, its mail address, its common name, the whole.
    pub(crate) fn identity(&self) -> Identity {
        let lists = [&self.uri, &self.dns, &self.email, &self.common];
        let name = lists.iter().find_map(|list| list.first()).unwrap_or(&self.whole);
        let list = |field| Value::from(self.names(field).to_vec());
        let claims = SubjectField::ALL.iter().map(|(field, word)| {
            let value = match field {
                SubjectField::Subject => Value::from(self.whole.as_str()),
                field => list(*field),
            };
            ((*word).to_owned(), value)
        });
        let empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        let claims: Map<_, _> = claims.filter(|(_, value)| !empty(value)).collect();
        Identity { claims, ..Identity::named(name) }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn subject() -> Subject {
        let mut params = CertificateParams::new(vec!["Client.Example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "client one");
        params.distinguished_name.push(DnType::OrganizationName, "Weir");
        let uri = "spiffe://example/client".try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(uri));
        let key = KeyPair::generate().unwrap();
        Subject::read(params.self_signed(&key).unwrap().der()).unwrap()
    }

    fn wanted(field: SubjectField, value: ValueMatch) -> [SubjectMatch; 1] {
        [SubjectMatch { field, value }]
    }

    #[test]
    fn names_are_compared_by_their_kind() {
        let subject = subject();
        let exact = |text: &str| ValueMatch::Exact(text.to_owned());
        for (field, value, good) in [
            (SubjectField::CommonName, exact("client one"), true),
            (SubjectField::CommonName, exact("client"), false),
            (SubjectField::Dns, exact("client.example"), true),
            (SubjectField::Dns, exact("spiffe://example/client"), false),
            (SubjectField::Uri, exact("spiffe://example/client"), true),
            (SubjectField::Uri, ValueMatch::Present, true),
            (SubjectField::Email, ValueMatch::Present, false),
        ] {
            let wanted = wanted(field, value);
            assert_eq!(subject.is_one_of(&wanted), good, "{wanted:?}");
        }
        assert!(subject.whole.contains("CN=client one"), "{}", subject.whole);
        assert!(subject.is_one_of(&[]));
    }

    #[test]
    fn the_uri_names_the_client_first() {
        let identity = subject().identity();
        assert_eq!(identity.name.as_deref(), Some("spiffe://example/client"));
        assert_eq!(identity.claim("cn").as_deref(), Some("client one"));
        assert_eq!(identity.claim("dns").as_deref(), Some("client.example"));
        assert_eq!(identity.claim("email"), None);
    }

    #[test]
    fn what_is_no_certificate_has_no_names() {
        assert_eq!(Subject::read(b""), None);
        assert_eq!(Subject::read(&[0x30, 0x82, 0xff, 0xff, 1, 2, 3]), None);
    }
}
