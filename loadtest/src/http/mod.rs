//! The HTTP client: HTTP/1.1, HTTP/2 and HTTP/3, with k6's rules for reuse, timings and errors.

mod client;
mod coding;
mod connect;
mod counted;
mod error;
mod fields;
mod h1;
mod h2;
mod h3;
mod jar;
mod message;
mod options;
mod quic;
mod target;
mod tls;
mod upgrade;

pub use self::{
    client::Client,
    coding::{decode, encode},
    connect::Net,
    error::HttpError,
    jar::{Cookie, Jar},
    message::{Head, Notes, Proto, Reply, Request, Timings, TlsInfo, Version, canonical},
    options::{NamePattern, NetOptions, Network},
    target::Target,
    tls::client_config,
};
pub(crate) use self::{
    connect::{Alpn, Stream},
    counted::{Counted, Traffic},
    quic::{Quic, quic_config},
    upgrade::{Upgrade, Upgraded, upgrade},
};
