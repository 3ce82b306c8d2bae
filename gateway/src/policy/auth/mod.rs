//! Who may use a route.
#![allow(dead_code)]

mod api_key;
mod certificate;
mod credential;
mod identity;
mod keys;
mod password;
mod recent;
mod token;

pub(crate) use identity::Identity;
