//! What a message is made of: parts, header fields, transfer encodings, charsets, and how to change some octets of it.
//!
//! Pure: no sockets, no clock, nothing of trackers or consent. Imports nothing of ours.
//! Nothing here fails on bad mail: disorder is recorded beside every plausible reading of it.

pub mod splice;
