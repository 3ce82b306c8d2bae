use std::{fs, path::Path, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ED25519,
    date_time_ymd,
};

use super::*;
use crate::clock;

/// The present, at which what [`Authority`] issues is valid.
pub(crate) fn today() -> SystemTime {
    SystemTime::UNIX_EPOCH + clock::unix_time()
}

/// A certificate authority that writes PEM files into a directory of its own.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let directory = tempfile::tempdir().unwrap();
        // Unlike that of any other: two authorities of one name would be told apart by keys alone.
        let name = format!("Test Authority {}", directory.path().display());
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Writes `NAME.pem` and `NAME.key` with a certificate for `names`, over what was there.
    pub(crate) fn issue(&self, name: &str, names: &[&str]) -> Certificate {
        self.issue_with(name, names, &KeyPair::generate().unwrap(), |_| {})
    }

    pub(crate) fn issue_ed25519(&self, name: &str, names: &[&str]) -> Certificate {
        self.issue_with(name, names, &KeyPair::generate_for(&PKCS_ED25519).unwrap(), |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        name: &str,
        names: &[&str],
        key: &KeyPair,
        edit: impl FnOnce(&mut CertificateParams),
    ) -> Certificate {
        let names: Vec<String> = names.iter().copied().map(String::from).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        edit(&mut params);
        let leaf = params.signed_by(key, &self.issuer).unwrap();
        let written = Certificate {
            at: At { line: 3, column: 5 },
            cert: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        };
        fs::write(&written.cert, leaf.pem() + &self.issuer.pem()).unwrap();
        fs::write(&written.key, key.serialize_pem()).unwrap();
        written
    }
}

fn load_one(written: &Certificate, now: SystemTime) -> Result<Identity, TlsProblem> {
    load_identity(written, &provider(), now)
}

fn failure(written: &Certificate) -> TlsProblem {
    load_one(written, today()).unwrap_err()
}

#[test]
fn an_identity_has_its_names_in_lower_case() {
    let authority = Authority::new();
    let written = authority.issue("edge", &["A.Example", "*.b.example", "127.0.0.1"]);
    let identity = load_one(&written, today()).unwrap();
    assert_eq!(identity.names, ["a.example", "*.b.example"]);
    assert_eq!(identity.certified.cert.len(), 2);
    assert_eq!(identity.warning, None);
    let text = subject(&identity.certified.cert[0]).unwrap();
    assert!(text.contains("CN=edge"), "{text}");
}

#[test]
fn a_subject_cannot_break_a_line() {
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let written = authority.issue_with("client", &["a.example"], &key, |params| {
        params.distinguished_name.push(DnType::OrganizationName, "evil\r\nx-admin: 1\0");
    });
    let identity = load_one(&written, today()).unwrap();
    let text = subject(&identity.certified.cert[0]).unwrap();
    assert!(text.contains("evil") && !text.contains(char::is_control), "{text:?}");
}

#[test]
fn a_certificate_out_of_its_time_is_a_warning_with_the_date() {
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let written = authority.issue_with("old", &["a.example"], &key, |params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 5, 17);
    });
    let at_days = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
    let warning = load_one(&written, at_days(20_000)).unwrap().warning.unwrap();
    assert_eq!(
        warning.to_string(),
        format!("{}: the certificate expired on 2020-05-17", written.cert.display())
    );
    let warning = load_one(&written, at_days(17_000)).unwrap().warning.unwrap();
    assert_eq!(warning.what, "the certificate is not valid before 2019-01-01");
    assert_eq!(load_one(&written, at_days(18_000)).unwrap().warning, None);
}

#[test]
fn errors_name_the_file_and_the_cause() {
    let authority = Authority::new();
    let good = authority.issue("good", &["a.example"]);
    let other = authority.issue("other", &["b.example"]);
    let bad = |file: &str, content: &[u8]| {
        let path = authority.path(file);
        fs::write(&path, content).unwrap();
        path
    };
    let key_text = fs::read(&good.key).unwrap();
    let chain_text = fs::read_to_string(&good.cert).unwrap();
    let cut = &chain_text[..chain_text.find("-----END").unwrap()];
    let encrypted =
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
    let not_der = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let not_base64 = b"-----BEGIN CERTIFICATE-----\n!?\n-----END CERTIFICATE-----\n";
    let large = vec![b'x'; usize::try_from(FILE_MAX_BYTES).unwrap() + 1];
    for (path, what) in [
        (authority.path("absent.pem"), "no such file"),
        (authority.path("."), "a directory, where a file is expected"),
        (bad("empty.pem", b""), "no certificate in it (no -----BEGIN CERTIFICATE----- section)"),
        (bad("key.pem", &key_text), "no certificate in it"),
        (bad("cut.pem", cut.as_bytes()), "not valid PEM: a section has no -----END line"),
        (bad("base64.pem", not_base64), "not valid PEM: a section is not base64"),
        (bad("der.pem", not_der), "not an X.509 certificate: "),
        (bad("large.pem", &large), "larger than 4 MiB"),
    ] {
        let problem = failure(&Certificate { cert: path.clone(), ..good.clone() });
        assert!(problem.what.starts_with(what), "{}: {}", path.display(), problem.what);
        assert_eq!((problem.path, problem.at), (Some(path), good.at));
    }
    for (path, what) in [
        (authority.path("absent.key"), "no such file"),
        (bad("empty.key", b""), "no private key in it"),
        (good.cert.clone(), "a certificate, where the private key is expected"),
        (bad("encrypted.key", encrypted), "the private key is encrypted; decrypt it"),
        (other.key, "the key does not belong to the first certificate of "),
    ] {
        let problem = failure(&Certificate { key: path.clone(), ..good.clone() });
        assert!(problem.what.starts_with(what), "{}: {}", path.display(), problem.what);
        assert_eq!(problem.path, Some(path));
    }
}

#[test]
fn the_leaf_must_come_first() {
    let authority = Authority::new();
    let written = authority.issue("edge", &["a.example"]);
    let leaf = fs::read_to_string(&written.cert).unwrap();
    let issuer = fs::read_to_string(authority.ca()).unwrap();
    fs::write(&written.cert, issuer + &leaf).unwrap();
    let problem = failure(&written);
    assert!(problem.what.ends_with("(the leaf comes first)"), "{problem}");
}

#[test]
fn authorities_are_certificates() {
    let authority = Authority::new();
    let (store, certificates) = load_authorities(At::default(), &authority.ca()).unwrap();
    assert_eq!((store.len(), certificates.len()), (1, 1));
    let problem = load_authorities(At::default(), Path::new("/nonexistent/ca.pem")).unwrap_err();
    assert_eq!(problem.to_string(), "/nonexistent/ca.pem: no such file");
    let path = authority.path("junk.pem");
    fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let problem = load_authorities(At::default(), &path).unwrap_err();
    assert!(problem.what.starts_with("certificate 1 is not an authority's: "), "{problem}");
}
