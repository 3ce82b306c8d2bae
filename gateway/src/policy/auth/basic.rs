//! Names and passwords (RFC 7617), checked beside the worker: a hash takes tens of milliseconds, in
//! which nothing else would move.

use std::{net::IpAddr, sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use http::HeaderValue;

use super::{
    credential::{self, Found},
    identity::Identity,
    memory::Memory,
    password::{Login, Users},
    recent::Digest,
    turns::{Crowded, Turns},
    verdict::{Verdict, Why},
};
use crate::{clock, policy::Asked, task};

/// Hashes that are computed at a time, for one way of one route: attempts at passwords take so many
/// cores at the most.
const AT_A_TIME: usize = 2;
/// Requests that wait for theirs; more are answered 503, first those of the address that has the
/// most of them.
const WAITING: usize = 256;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a good password is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Basic {
    users: Arc<Users>,
    pub(crate) challenge: HeaderValue,
    turns: Arc<Turns>,
    /// What is remembered of a password is worth nothing without it.
    secret: hmac::Key,
}

impl Basic {
    pub(crate) fn new(users: Users, realm: &str) -> Self {
        let mut secret = [0; 32];
        // Without randomness from the system nothing of TLS works either.
        let _ = aws_lc_rs::rand::fill(&mut secret);
        let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
        Self {
            users: Arc::new(users),
            challenge: HeaderValue::try_from(challenge)
                .unwrap_or(HeaderValue::from_static("Basic realm=\"weir\"")),
            turns: Turns::new(AT_A_TIME, WAITING),
            secret: hmac::Key::new(hmac::HMAC_SHA256, &secret),
        }
    }

    /// How many users there are.
    pub(crate) fn users(&self) -> usize {
        self.users.len()
    }

    fn login(&self, asked: &Asked<'_>) -> Result<(Login, Digest), Verdict> {
        let credentials = match credential::scheme(asked.headers, b"basic") {
            Found::Nothing => return Err(Verdict::Absent),
            Found::Several => {
                return Err(Verdict::Bad(Why::Other("there are several credentials")));
            }
            Found::One(credentials) => credentials,
        };
        let malformed = Verdict::Bad(Why::Other("the name and the password are malformed"));
        let login = Login::read(&credentials).ok_or(malformed)?;
        let mut digest = [0; 32];
        digest.copy_from_slice(hmac::sign(&self.secret, &credentials).as_ref());
        Ok((login, digest))
    }

    /// Whose the password is, if it was checked of late.
    pub(crate) fn look(&self, asked: &Asked<'_>, memory: &Memory) -> Verdict {
        match self.login(asked) {
            Err(verdict) => verdict,
            Ok((_, digest)) => {
                let now = clock::unix_time().as_secs_f64();
                memory.find(&digest, 0, now).map_or(Verdict::Later, Verdict::Good)
            }
        }
    }

    /// Checks the password that a `client` sent, when its turn has come.
    pub(crate) async fn wait(
        &self,
        client: Option<IpAddr>,
        asked: &Asked<'_>,
        memory: &Memory,
    ) -> Verdict {
        let (login, digest) = match self.login(asked) {
            Err(verdict) => return verdict,
            Ok(login) => login,
        };
        let turn = match self.turns.take(client, PATIENCE).await {
            Ok(turn) => turn,
            Err(Crowded) => return Verdict::Busy("too many passwords are being checked"),
        };
        let users = self.users.clone();
        let name = login.name.clone();
        let checked = task::aside(move || {
            // Held until it is done, even if nobody waits for it any more.
            let _turn = turn;
            users.verify(&login)
        });
        match checked.await {
            Ok(true) => {
                let identity = std::rc::Rc::new(Identity::named(&name));
                let until = (clock::unix_time() + REMEMBERED).as_secs_f64();
                memory.insert(digest, identity.clone(), 0, Some(until));
                Verdict::Good(identity)
            }
            Ok(false) => Verdict::Bad(Why::Other("the name or the password is wrong")),
            Err(_) => Verdict::Down("the password could not be checked"),
        }
    }
}
