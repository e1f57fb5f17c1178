//! The words of RFC 5321: commands, paths, parameters, replies, extensions, data transparency.
//!
//! Pure: no sockets, no clock, nothing of mail content or law. Imports nothing of ours.
//! On bad input every parser answers with the [`reply::Reply`] the peer deserves; nothing here panics.

use serde::{Deserialize, Serialize};

pub mod auth;
pub mod command;
pub mod data;
pub mod extensions;
pub mod parameter;
pub mod path;
pub mod replies;
pub mod reply;
pub mod reply_reader;
pub mod stuffing;
pub mod transaction;
pub mod xclient;
pub mod xforward;

/// What is spoken on a connection, with a client or with a next hop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// RFC 5321: one reply to the end of data.
    #[default]
    Smtp,
    /// RFC 2033: one reply per accepted forward-path.
    Lmtp,
}
