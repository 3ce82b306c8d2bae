//! What flows: tunnels, events, both directions at once, trailers, gRPC and bodies of any size.

mod duplex;
mod events;
mod grpc;
mod integrity;
mod large;
mod semantics;
mod trailers;
mod websocket;
mod websocket_rules;
