//! QUIC: quinn's state machine over our own sockets and tasks.
//!
//! The machine (`quinn-proto`) does no input or output. Around it stand: an [`Endpoint`] for each
//! socket, whose one task takes datagrams from the kernel and gives them to the connections they
//! are for; a [`Connection`] each, driven by one task of its own; streams as halves that can be
//! polled from any task of the worker. All of it lives on one thread: no lock, no channel. On top,
//! what both sides of the gateway need of HTTP/3: [`ControlStreams`], [`MessageReader`], [`Pour`].

mod cid;
mod connection;
mod control;
mod dial;
mod endpoint;
mod lost;
mod message;
mod path;
mod peer;
mod socket;
pub(crate) mod steer;
mod stream;
mod timer;
mod transport;
mod unproven;
mod waiting;

pub(crate) use connection::Connection;
pub(crate) use control::ControlStreams;
pub(crate) use dial::Dialer;
pub(crate) use endpoint::{Endpoint, Newcomer, Seat};
pub(crate) use lost::Lost;
pub(crate) use message::{Broken, MessageReader, Piece, Pour, ReadError};
pub(crate) use steer::{QuicSocket, Steering};
pub(crate) use stream::{RecvStream, SendStream, Stopped};
pub(crate) use transport::Bounds;
