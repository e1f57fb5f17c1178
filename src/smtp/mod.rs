//! The words of RFC 5321: commands, paths, parameters, replies, extensions, data transparency.
//!
//! Pure: no sockets, no clock, nothing of mail content or law. Imports nothing of ours.
//! On bad input every parser answers with the [`reply::Reply`] the peer deserves; nothing here panics.

pub mod extensions;
pub mod parameter;
pub mod path;
pub mod reply;
pub mod reply_reader;
pub mod stuffing;
pub mod transaction;
pub mod xforward;
