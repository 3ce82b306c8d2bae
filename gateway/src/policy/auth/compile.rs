//! From the configuration to ways that requests can be judged by: files are read here.

use std::{fs::File, io::Read as _, path::Path, sync::Arc, time::SystemTime};

use http::HeaderName;
use weir_config::model::{
    self, ApiKeyAuth, At, AuthWay, BasicAuth, ClientTls, JwksUrl, JwtAuth, JwtKeys,
    UpstreamProtocol, Users as Listed,
};

use super::{
    ApiKeys, Auth, Way,
    api_key::{self, KeyRing},
    basic::Basic,
    forward::Forward,
    jwks::Jwks,
    jwt::{Jwt, Keys},
    keys::KeySet,
    password::{self, Users},
    token::Rules,
};
use crate::upstream::{connect::Connector, tls::UpstreamTls};

/// Longest file that is read, in bytes.
const FILE_MOST: u64 = 64 << 20;

/// What is around the routes that are compiled.
#[derive(Debug)]
pub(crate) struct Around<'a> {
    /// Sets of keys of the running configuration.
    pub(crate) before: &'a [Arc<Jwks>],
    /// Those of this one so far.
    pub(crate) jwks: Vec<Arc<Jwks>>,
    pub(crate) now: SystemTime,
}

/// What is wrong, and where the configuration speaks of it.
pub(crate) type Wrong = (At, String);

impl Auth {
    /// The ways of a route; `None` where nobody is asked.
    pub(crate) fn compile(
        route: &model::Route,
        around: &mut Around<'_>,
    ) -> Result<Option<Self>, Vec<Wrong>> {
        if route.auth.is_empty() {
            return Ok(None);
        }
        let (mut ways, mut wrong, mut reserved) = (Vec::new(), Vec::new(), Vec::new());
        for way in &route.auth {
            let compiled = match way {
                AuthWay::Jwt(config) => {
                    reserved.extend(config.headers.iter().map(|(name, _)| name.clone()));
                    jwt(config, around).map(|jwt| Way::Jwt(Box::new(jwt)))
                }
                AuthWay::ApiKey(config) => api_keys(config).map(|keys| Way::ApiKey(Box::new(keys))),
                AuthWay::Basic(config) => basic(config).map(|basic| Way::Basic(Box::new(basic))),
                AuthWay::Mtls(config) => Ok(Way::Mtls(config.subjects.as_slice().into())),
                AuthWay::Forward(config) => Forward::new(&route.name, config)
                    .map(|forward| {
                        reserved.extend(forward.reserved().cloned());
                        Way::Forward(Box::new(forward))
                    })
                    .map_err(|what| (config.at, format!("auth: forward: {what}"))),
            };
            match compiled {
                Ok(way) => ways.push(way),
                Err(one) => wrong.push(one),
            }
        }
        let mut seen: Vec<HeaderName> = Vec::new();
        reserved.retain(|name| {
            let new = !seen.contains(name);
            seen.push(name.clone());
            new
        });
        match wrong.is_empty() {
            true => Ok(Some(Self { ways: ways.into(), reserved: reserved.into() })),
            false => Err(wrong),
        }
    }
}

/// A text file of the configuration.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let fail = |what: String| format!("{}: {what}", path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let bytes = file.take(FILE_MOST + 1).read_to_string(&mut text);
    match bytes {
        Ok(bytes) if bytes as u64 > FILE_MOST => Err(fail("it is larger than 64MiB".to_owned())),
        Ok(_) => Ok(text),
        Err(error) => Err(fail(error.to_string())),
    }
}

/// What a file says, with its name in the error.
fn read_as<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
    parse(&read(path)?).map_err(|what| format!("{}: {what}", path.display()))
}

fn jwt(config: &JwtAuth, around: &mut Around<'_>) -> Result<Jwt, Wrong> {
    let wrong = |at: At, what: String| (at, format!("auth: jwt: {what}"));
    let rules = Rules::new(config);
    let keys = match &config.keys {
        JwtKeys::Inline(keys) => Keys::Fixed(KeySet::listed(keys).map_err(|(place, what)| {
            wrong(keys.get(place).map_or(config.at, |key| key.at), what)
        })?),
        JwtKeys::File(path) => {
            Keys::Fixed(read_as(path, KeySet::from_file).map_err(|what| wrong(config.at, what))?)
        }
        JwtKeys::Url(url) => {
            Keys::Remote(remote(config.at, url, around).map_err(|what| wrong(config.at, what))?)
        }
    };
    if let Keys::Fixed(keys) = &keys
        && !keys.serves(rules.algorithms())
    {
        let what = "no key is for one of the `algorithms`: no token could be good";
        return Err(wrong(config.at, what.to_owned()));
    }
    Ok(Jwt { rules, places: config.token.as_slice().into(), keys })
}

/// The set of before, if it is named as it was: with it go its keys.
fn remote(at: At, url: &JwksUrl, around: &mut Around<'_>) -> Result<Arc<Jwks>, String> {
    let written = url.tls.then(|| ClientTls {
        at,
        server_name: None,
        ca: url.ca.clone(),
        client: None,
        verify: true,
    });
    let files = Connector::stamp_files(written.as_ref());
    let tls = match written {
        None => None,
        Some(written) => {
            let loaded = UpstreamTls::load(&written, UpstreamProtocol::H1, around.now);
            let (tls, _) = loaded.map_err(|problems| {
                problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            })?;
            Some((written, tls))
        }
    };
    let connector = Connector::single(tls, files, url.timeout);
    let known = around.jwks.iter().chain(around.before);
    let same = known.into_iter().find(|jwks| jwks.equals(url, &connector)).cloned();
    let jwks = same.unwrap_or_else(|| Arc::new(Jwks::new(url.clone(), Arc::new(connector))));
    if !around.jwks.iter().any(|one| Arc::ptr_eq(one, &jwks)) {
        around.jwks.push(jwks.clone());
    }
    Ok(jwks)
}

fn api_keys(config: &ApiKeyAuth) -> Result<ApiKeys, Wrong> {
    let wrong = |what: String| (config.at, format!("auth: api_key: {what}"));
    let listed = match &config.file {
        Some(path) => read_as(path, api_key::read_list).map_err(wrong)?,
        None => Vec::new(),
    };
    let ring = KeyRing::new(config.keys.iter().cloned().chain(listed)).map_err(wrong)?;
    Ok(ApiKeys { header: config.header.clone(), query: config.query.clone(), ring })
}

fn basic(config: &BasicAuth) -> Result<Basic, Wrong> {
    let wrong = |what: String| (config.at, format!("auth: basic: {what}"));
    let users = match &config.users {
        Listed::File(path) => read_as(path, password::read_list).map_err(wrong)?,
        Listed::Listed(users) => {
            users.iter().map(|(name, hash)| (name.clone(), hash.0.clone())).collect()
        }
    };
    let users = Users::new(users).map_err(wrong)?;
    Ok(Basic::new(users, &config.realm))
}

/// Files whose change calls for a reload.
pub(crate) fn files(route: &model::Route) -> impl Iterator<Item = &Path> {
    let networks = [&route.allow, &route.deny];
    let networks = networks.into_iter().flatten().filter_map(|one| one.file.as_deref());
    let ways = route.auth.iter().filter_map(|way| match way {
        AuthWay::Jwt(jwt) => match &jwt.keys {
            JwtKeys::File(path) => Some(path.as_path()),
            JwtKeys::Url(url) => url.ca.as_deref(),
            JwtKeys::Inline(_) => None,
        },
        AuthWay::ApiKey(keys) => keys.file.as_deref(),
        AuthWay::Basic(BasicAuth { users: Listed::File(path), .. }) => Some(path.as_path()),
        AuthWay::Basic(_) | AuthWay::Mtls(_) | AuthWay::Forward(_) => None,
    });
    networks.chain(ways)
}
