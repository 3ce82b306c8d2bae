//! Towards the services behind the gateway.

pub mod tls;
