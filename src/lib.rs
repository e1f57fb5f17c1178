//! pixelgate: an SMTP relay that strips tracking pixels from mail in transit, by each recipient's recorded consent.
//!
//! The life of one message, read top-down: [`server`] accepts a connection, [`session`] holds the dialog with the
//! client, [`relay`] surveys the message, decides for every recipient, strips and records, [`next_hop`] delivers.
//! Below stand four vocabularies that know nothing of one another: [`smtp`], [`mime`], [`consent`], [`pixel`].
//! The direction of imports is a ladder, held by `tests/tidy.rs`:
//! `main > cli > config > server > session > relay > next_hop, spool, ledger, register, learn > {smtp, mime, consent, pixel}`.

pub mod admin;
pub mod cli;
pub mod config;
pub mod consent;
pub mod learn;
pub mod ledger;
pub mod mime;
pub mod next_hop;
pub mod pixel;
pub mod register;
pub mod relay;
pub mod server;
pub mod session;
pub mod smtp;
pub mod spool;
