//! The ways in, each through the real binary: sockets of every kind, TLS before and behind STARTTLS, logins, chunks, proxies,
//! sockets handed over by the service manager; and that nobody becomes somebody else by them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "support/ill_mannered.rs"]
mod ill_mannered;
mod support;
#[path = "support/traffic.rs"]
mod traffic;

#[path = "doors/authority.rs"]
mod authority;
#[path = "doors/talk.rs"]
mod talk;

#[path = "doors/chunks.rs"]
mod chunks;
#[path = "doors/drain.rs"]
mod drain;
#[path = "doors/handed.rs"]
mod handed;
#[path = "doors/logins.rs"]
mod logins;
#[path = "doors/proxies.rs"]
mod proxies;
#[path = "doors/requiretls.rs"]
mod requiretls;
#[path = "doors/sockets.rs"]
mod sockets;
#[path = "doors/tls.rs"]
mod tls;
