//! One connection of a client, from greeting to close: reads lines, asks the dialog what they mean, asks the relay, answers.
//!
//! It knows the order of reading, writing and waiting. It must never know consent, HTML or the next hop's address.
//! A client that goes away, stalls or breaks a bound ends its own session only; an open transaction is abandoned and
//! nothing of it is forwarded. Once the relay has a whole message, the session waits for its answer whatever happens.

pub mod dialog;
pub mod limits;
pub mod memory;
pub mod wire;

pub use self::limits::{LimitError, Limits};
