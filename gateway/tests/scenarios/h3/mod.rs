//! HTTP/3 in front of the gateway: what an operator does, and what must hold.

mod peers;
