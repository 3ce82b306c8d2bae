//! gRPC from the client's side: messages that a script describes, over HTTP/2.

mod channel;
mod reflection;
mod schema;
mod status;

pub(crate) use self::{
    channel::{Call, Channel, Outgoing, Reply, within},
    reflection::reflect,
    schema::{Schema, Schemas, health},
    status::{Code, Status},
};
