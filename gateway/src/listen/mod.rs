//! From sockets to bytes: binding, the PROXY protocol, TLS. Nothing here knows a route.

pub mod bind;
pub mod prefixed;
pub mod proxy_protocol;
pub mod stream;
pub mod tls;
