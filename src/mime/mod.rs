//! What a message is made of: parts, header fields, transfer encodings, charsets, and how to change some octets of it.
//!
//! Pure: no sockets, no clock, nothing of trackers or consent. Imports nothing of ours.
//! Nothing here fails on bad mail: disorder is recorded beside every plausible reading of it, and what could not be
//! read at all is named, so that the caller can refuse it. Mail in transit keeps its octets: nothing is re-serialised.

mod cms;
mod content_type;
mod meaning;
mod scope;
mod second_reading;
mod sniff;
mod structure;

pub mod charset;
pub mod header;
pub mod splice;
pub mod trace;
pub mod transfer_encoding;
pub mod tree;
pub mod walk;

pub use scope::Attached;
pub use splice::{Overlap, Splice, Spliced, same_outside};
pub use transfer_encoding::{
    Decoded, Encoding, Readings, SpliceError, Undecodable, decode, decode_all,
};
pub use tree::{
    Disorder, Disposition, ExamineOnly, Kind, Limits, MediaType, OutOfScope, Part, PartPath, Scope,
    Tree, Unread, same_tree,
};
pub use walk::walk;
