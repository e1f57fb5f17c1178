//! Consent as law: whose consent, to what, given or taken back when, and what that permits.
//!
//! Pure: no clock, no files, no sockets; what time it is and which records exist is told by the caller. It must never
//! know a message, a finding, a host or how records are stored. Imports nothing of ours.
//! On anything it cannot decide it answers with the more restrictive word: unknown is never permission.

mod text;
mod words;

pub mod contact;
pub mod fold;
pub mod form;
pub mod hex;
pub mod permit;
pub mod profile;
pub mod purpose;
pub mod reason;
pub mod record;
pub mod stream;
pub mod subject;

pub use contact::{AddressKind, Contact, ContactFacts, ContactRecord, Informed};
pub use fold::{Entry, Standing, State, fold};
pub use form::{Form, Scope};
pub use permit::{Law, Permit, StreamFacts, Wanted, WithdrawalLink, next_ask_after, permit};
pub use profile::{Profile, ProfileError, Profiles};
pub use purpose::Purpose;
pub use reason::{Action, Basis, Reason};
pub use record::{Assertion, Change, ChangeKind, ProofId, Refusal};
pub use stream::StreamKind;
pub use subject::{LookupKey, Subject};
pub use words::UnknownWord;
