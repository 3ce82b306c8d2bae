//! The HTTP client: HTTP/1.1 and HTTP/2, with k6's rules for reuse, timings and errors.

mod client;
mod coding;
mod connect;
mod counted;
mod error;
mod h1;
mod h2;
mod jar;
mod message;
mod options;
mod target;
mod tls;
mod upgrade;

pub use self::{
    client::Client,
    coding::{decode, encode},
    connect::Net,
    error::HttpError,
    jar::{Cookie, Jar},
    message::{Head, Notes, Proto, Reply, Request, Timings, TlsInfo, canonical},
    options::{NamePattern, NetOptions, Network},
    target::Target,
    tls::client_config,
};
pub(crate) use self::{
    connect::{Alpn, Stream},
    counted::{Counted, Traffic},
    upgrade::{Upgrade, Upgraded, upgrade},
};
