//! From sockets to requests: binding, the PROXY protocol, TLS, HTTP/1.1, HTTP/2,
//! QUIC and HTTP/3. Nothing here knows a route.

pub mod accept;
pub mod bind;
pub(crate) mod closing;
pub(crate) mod connection;
pub(crate) mod gather;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod h3;
pub mod prefixed;
pub mod proxy_protocol;
pub mod stream;
pub mod tls;
pub(crate) mod transport;
pub(crate) mod udp;
