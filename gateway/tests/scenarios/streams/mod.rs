//! What flows: tunnels, events, both directions at once, trailers, gRPC and bodies of any size.

mod duplex;
mod events;
pub(crate) mod grpc;
pub(crate) mod integrity;
mod large;
mod semantics;
mod trailers;
mod websocket;
mod websocket_h2;
mod websocket_h2_rules;
mod websocket_h2_upstream;
mod websocket_rules;
