//! Who is there, and who gets which key.
//!
//! Pure cores: membership by gossip, suspicion by what was heard and when, and hashing over live
//! sets. Nothing but the driver and the sources opens a socket, reads a clock or starts a task:
//! time and chance are arguments, so that ten thousand members run in a test from one seed.
//!
//! | | |
//! |---|---|
//! | [`swim`] | who is there: the protocol as a machine |
//! | [`phi`] | how suspicious a silence is |
//! | [`seal`], [`udp`] | the protocol on the network |
//! | [`announce`] | what a member says of itself |
//! | [`view`], [`dns`] | who serves, as sources tell it |
//! | [`sim`] | a world of members, from one seed |

pub mod announce;
pub mod bounded;
pub mod dns;
pub mod hash;
pub mod jump;
pub mod maglev;
pub mod phi;
pub mod rendezvous;
pub mod ring;
pub mod seal;
pub mod sim;
pub mod swim;
mod table;
pub mod udp;
pub mod view;
