//! Names with hashes of passwords.
//!
//! A hash of bcrypt or argon2id takes tens of milliseconds on purpose: whoever calls
//! [`Users::verify`] does it where nothing else waits.

use std::collections::HashMap;

use argon2::{Argon2, Params, PasswordVerifier as _, password_hash::phc::PasswordHash};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use foldhash::fast::RandomState;

/// Most users of a file.
const MOST: usize = 100_000;
/// Longest name with its password, in bytes.
const LONGEST: usize = 1024;
/// Costliest hash of bcrypt: each step takes twice the time, and this one some seconds.
const BCRYPT_MOST: u32 = 16;
/// Memory and passes of the costliest hash of argon2id.
const ARGON2_MOST: (u32, u32) = (1 << 18, 32);
/// Most bad lines of a file that are told.
const TOLD: usize = 5;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Users {
    hashes: HashMap<Box<str>, Box<str>, RandomState>,
    /// What the passwords of names that nobody has are compared with.
    decoy: Box<str>,
}

/// What a client says that it is called, and how it proves it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) name: Box<str>,
    pub(crate) password: Box<[u8]>,
}

impl Login {
    /// Reads what follows `Basic` (RFC 7617 section 2).
    pub(crate) fn read(credentials: &[u8]) -> Option<Self> {
        if credentials.len() > LONGEST * 4 / 3 {
            return None;
        }
        let plain = BASE64.decode(credentials).ok()?;
        let end = plain.iter().position(|byte| *byte == b':')?;
        let (name, password) = (&plain[..end], &plain[end + 1..]);
        let name = std::str::from_utf8(name).ok()?;
        let good = !name.is_empty() && !name.chars().any(char::is_control);
        good.then(|| Self { name: name.into(), password: password.into() })
    }
}

impl Users {
    /// # Errors
    /// Whose hash cannot be used, and why.
    pub(crate) fn new(users: impl IntoIterator<Item = (String, String)>) -> Result<Self, String> {
        let mut hashes: HashMap<Box<str>, Box<str>, RandomState> = HashMap::default();
        let mut decoy: Box<str> = "".into();
        for (name, hash) in users {
            check(&hash).map_err(|what| format!("the hash of `{name}`: {what}"))?;
            if decoy.is_empty() {
                decoy = hash.as_str().into();
            }
            if hashes.insert(name.as_str().into(), hash.into()).is_some() {
                return Err(format!("`{name}` stands there twice"));
            }
        }
        Ok(Self { hashes, decoy })
    }

    /// Whether a password is that of a name. Takes as long for a name that nobody has.
    pub(crate) fn verify(&self, login: &Login) -> bool {
        let hash = self.hashes.get(&login.name);
        let same = matches(hash.unwrap_or(&self.decoy), &login.password);
        same && hash.is_some()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }
}

fn matches(hash: &str, password: &[u8]) -> bool {
    if hash.starts_with("$argon2id$") {
        return PasswordHash::new(hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok());
    }
    bcrypt::verify(password, hash).unwrap_or(false)
}

/// Whether a hash can be compared with in bearable time.
fn check(hash: &str) -> Result<(), String> {
    if hash.starts_with("$argon2id$") {
        let hash = PasswordHash::new(hash).map_err(|_| "it is malformed")?;
        let params = Params::try_from(&hash).map_err(|_| "its parameters are malformed")?;
        if hash.hash.is_none() || hash.salt.is_none() {
            return Err("it has no salt or no hash".to_owned());
        }
        let (memory, passes) = ARGON2_MOST;
        return match params.m_cost() <= memory && params.t_cost() <= passes {
            true => Ok(()),
            false => Err(format!("it costs more than m={memory},t={passes}")),
        };
    }
    if !["$2a$", "$2b$", "$2y$"].iter().any(|kind| hash.starts_with(kind)) {
        return Err("it is none of bcrypt (`$2y$...`) or argon2id (`$argon2id$...`)".to_owned());
    }
    let parts: bcrypt::HashParts = hash.parse().map_err(|_| "it is malformed")?;
    match parts.get_cost() {
        4..=BCRYPT_MOST => Ok(()),
        cost => Err(format!("its cost is {cost}; from 4 to {BCRYPT_MOST} are taken")),
    }
}

/// Reads an htpasswd file: a name, a colon and a hash a line.
///
/// # Errors
/// What is wrong with which lines. They are not repeated: they may hold passwords by mistake.
pub(crate) fn read_list(text: &str) -> Result<Vec<(String, String)>, String> {
    let (mut users, mut wrong, mut more) = (Vec::new(), Vec::new(), 0);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let read = line.split_once(':').filter(|(name, _)| !name.is_empty()).map(|(name, rest)| {
            // What old files have behind another colon is no part of the hash.
            (name, rest.split(':').next().unwrap_or_default())
        });
        let read = read.ok_or_else(|| "no name and no colon".to_owned());
        match read.and_then(|(name, hash)| check(hash).map(|()| (name, hash))) {
            Ok((name, hash)) => users.push((name.to_owned(), hash.to_owned())),
            Err(_) if wrong.len() == TOLD => more += 1,
            Err(what) => wrong.push(format!("line {}: {what}", index + 1)),
        }
    }
    if more > 0 {
        wrong.push(format!("and {more} more"));
    }
    match users.len() {
        _ if !wrong.is_empty() => Err(wrong.join("; ")),
        0 => Err("it has no user".to_owned()),
        count if count > MOST => Err(format!("{count} users; at most {MOST} are")),
        _ => Ok(users),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `secret`, by bcrypt at its lowest cost.
    fn bcrypt_hash() -> String {
        let salt = *b"0123456789abcdef";
        bcrypt::hash_with_salt("secret", 4, salt).unwrap().to_string()
    }

    /// `secret`, by argon2id with as little memory as there can be.
    const ARGON2: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$";

    fn argon2_hash() -> String {
        let params = Params::new(8, 1, 1, Some(16)).unwrap();
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let mut out = [0; 16];
        argon2.hash_password_into(b"secret", b"somesaltsomesalt", &mut out).unwrap();
        format!("{ARGON2}{}", BASE64.encode(out).trim_end_matches('='))
    }

    fn login(text: &str) -> Login {
        Login::read(BASE64.encode(text).as_bytes()).unwrap()
    }

    #[test]
    fn passwords_of_both_kinds_are_compared() {
        let users = [("ann".to_owned(), bcrypt_hash()), ("bob".to_owned(), argon2_hash())];
        let users = Users::new(users).unwrap();
        for (text, good) in [
            ("ann:secret", true),
            ("bob:secret", true),
            ("ann:Secret", false),
            ("bob:", false),
            ("cyd:secret", false),
            ("ann:secret:", false),
            ("Ann:secret", false),
        ] {
            assert_eq!(users.verify(&login(text)), good, "{text}");
        }
    }

    #[test]
    fn a_login_is_a_name_a_colon_and_the_rest() {
        assert_eq!(login("a:b:c").password[..], *b"b:c");
        assert_eq!(login("a:").password.len(), 0);
        let read = |bytes: &[u8]| Login::read(bytes);
        assert_eq!(read(b"!!!"), None);
        assert_eq!(read(BASE64.encode("no colon").as_bytes()), None);
        assert_eq!(read(BASE64.encode(":x").as_bytes()), None);
        assert_eq!(read(BASE64.encode("a\nb:x").as_bytes()), None);
        assert_eq!(read(BASE64.encode(b"\xff:x").as_bytes()), None);
        assert_eq!(read(BASE64.encode("a".repeat(2000) + ":x").as_bytes()), None);
    }

    #[test]
    fn a_file_names_its_bad_lines_and_repeats_none() {
        let good = format!("# users\nann:{}\nbob:{}:extra\n", bcrypt_hash(), argon2_hash());
        assert_eq!(read_list(&good).unwrap().len(), 2);
        let wrong = read_list("ann:hunter2\nbob\ncyd:$apr1$x$y\ndan:{SHA}x\n").unwrap_err();
        assert!(wrong.contains("line 1: it is none of bcrypt"), "{wrong}");
        assert!(wrong.contains("line 2: no name") && !wrong.contains("hunter2"), "{wrong}");
        let costly = bcrypt_hash().replace("$04$", "$20$");
        assert!(read_list(&format!("a:{costly}")).unwrap_err().contains("cost is 20"));
        let huge = argon2_hash().replace("m=8", "m=4000000");
        assert!(read_list(&format!("a:{huge}")).unwrap_err().contains("costs more"));
        assert!(read_list("# nobody\n").unwrap_err().contains("no user"));
        let twice = format!("a:{0}\na:{0}\n", bcrypt_hash());
        assert!(Users::new(read_list(&twice).unwrap()).unwrap_err().contains("twice"));
    }
}
