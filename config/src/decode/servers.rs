//! `redis`: the servers that gateways share.

use super::{Complaint, Decoder};
use crate::{
    defaults::REDIS,
    fields::Fields,
    model::{Redis, RedisUrl},
    yaml::shorten,
};

/// Most servers that keys are spread over.
const SERVERS: usize = 64;

/// The servers; `None` is off, or was wrong.
pub(super) fn read(d: &mut Decoder<'_>, file: &Fields<'_>) -> Option<Redis> {
    let fields = file.policy(d, "redis", "redis")?;
    let entry = file.entry("redis")?;
    // What is wrong in it is said here, not at whoever uses it.
    d.shares = true;
    if fields.is_broken() {
        return None;
    }
    let url = fields.parsed(d, "url", address);
    let urls = list(d, &fields, "urls");
    let cluster = list(d, &fields, "cluster");
    let mut written = ["url", "urls", "cluster"].into_iter().filter_map(|name| fields.node(name));
    match (written.next(), written.next()) {
        (Some(_), Some(node)) => {
            d.report.error(node.span, "there is either `url`, `urls` or `cluster`").hint =
                Some("write all servers in one of them".to_owned());
        }
        (None, None) => fields.missing(d, "url", "such as `url: \"redis://127.0.0.1:6379\"`"),
        _ => {}
    }
    let username = fields.parsed(d, "username", |text| match text {
        "" => Err(Complaint::new("expected the name of a user, found an empty text")),
        _ => Ok(text.to_owned()),
    });
    let password = fields.secret(d, "password");
    if let (Some(node), None) = (fields.node("username"), &password) {
        d.report.error(node.span, "`username` without a `password`");
    }
    let redis = Redis {
        at: entry.key.span.at(),
        cluster: cluster.is_some(),
        urls: url.map(|url| vec![url]).or(urls).or(cluster).unwrap_or_default(),
        username,
        password,
        timeout: fields.duration(d, "timeout"),
        connections: fields.count(d, "connections"),
        gateways: fields.count(d, "gateways"),
        secret: fields.secret(d, "secret"),
    };
    fields.finish();
    Some(redis)
}

/// Several addresses; `None` where they are not written.
fn list(d: &mut Decoder<'_>, fields: &Fields<'_>, name: &str) -> Option<Vec<RedisUrl>> {
    fields.at(d, name, |d, node| {
        if node.is_empty_list() {
            d.report.error(node.span, format!("`{name}` is empty")).hint =
                Some("write `redis: off` for none".to_owned());
        }
        let mut urls: Vec<RedisUrl> = Vec::new();
        d.each(node, SERVERS, |d, node| {
            let url = d.parsed(node, REDIS, address)?;
            if urls.contains(&url) {
                let what = format!("`{}` stands there twice", shorten(&url.shown()));
                d.report.error(node.span, what);
            }
            urls.push(url);
            Some(())
        });
        urls
    })
}

/// A server's address. What is wrong with it is told without what may be secret in it.
fn address(text: &str) -> Result<RedisUrl, Complaint> {
    let url = RedisUrl(text.to_owned());
    let wrong = |why: &str| {
        let shown = url.shown();
        Complaint::new(format!("expected {REDIS}, found `{}`: {why}", shorten(&shown)))
    };
    let Some((scheme, rest)) = text.split_once("://") else {
        let hint = format!("write `redis://{}`", shorten(text));
        return Err(wrong("it has no scheme").hint(hint));
    };
    match scheme {
        "redis" | "rediss" | "valkey" | "valkeys" => network(rest).map_err(wrong)?,
        "unix" | "redis+unix" | "valkey+unix" if rest.starts_with('/') => {}
        "unix" | "redis+unix" | "valkey+unix" => return Err(wrong("a path begins with `/`")),
        _ => return Err(wrong("the scheme is `redis`, `rediss` for TLS, or `unix`")),
    }
    Ok(url)
}

/// `[user[:password]@]host[:port][/database]`.
fn network(rest: &str) -> Result<(), &'static str> {
    if rest.contains('#') {
        return Err("nothing stands behind a `#`: of TLS, certificates are always verified");
    }
    let rest = rest.split('?').next().unwrap_or_default();
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (credentials, host) = match authority.rsplit_once('@') {
        Some((credentials, host)) => (Some(credentials), host),
        None => (None, authority),
    };
    if credentials.is_some_and(|text| text.contains(['@', '[', ']', ' '])) {
        return Err("in a password `@`, `/` and the like are written as `%40`, `%2F`");
    }
    let port = match host.strip_prefix('[') {
        Some(v6) => v6.split_once(']').ok_or("the `]` is missing")?.1.strip_prefix(':'),
        None => host.split_once(':').map(|(_, port)| port),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if host.is_empty() || host.starts_with(':') {
        return Err("the host is missing");
    }
    if host.contains([' ', '\t', '\\']) {
        return Err("a host has no such character");
    }
    if port.is_some_and(|port| !digits(port) || !(1..=65_535).contains(&port.parse().unwrap_or(0)))
    {
        return Err("a port is a number from 1 to 65535");
    }
    if !database.is_empty() && (!digits(database) || database.len() > 9) {
        return Err("after the `/` stands the number of a database");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
