//! What an examination says: findings with their evidence and the edits that take them out.
//!
//! Plain values. They know no recipient, no consent and no message. Nothing here can fail.

use std::ops::Range;

use super::{Form, IndividualImages, Named, Place, Treatment, Vector};

/// What a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Reports that one person opened the message.
    Tracker,
    /// Counts openings by one URL for everybody.
    Aggregate,
    /// An image that may be visible and is one person's own: content and tracker at once.
    IndividualContent,
}

impl Verdict {
    /// The name for ledger and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tracker => "tracker",
            Self::Aggregate => "aggregate",
            Self::IndividualContent => "individual_content",
        }
    }
}

/// Why a load is a finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// The URL is a known open-tracking endpoint; decides alone.
    KnownEndpoint {
        /// The rule's name.
        rule: String,
        /// Whose endpoint.
        vendor: String,
    },
    /// Both sides are at most 3 px: nobody can see it. Lengths are rounded up.
    Tiny {
        /// Pixels.
        width: u8,
        /// Pixels.
        height: u8,
    },
    /// Nobody can see it, and its URL looks made for one person.
    Unseen {
        /// Why nobody can.
        why: &'static str,
    },
    /// A recipient stands in the URL.
    Recipient {
        /// In which form.
        form: Form,
    },
    /// The URL, and no other, has an identifier that names the recipient elsewhere in the message.
    Recurring {
        /// Where.
        named: Named,
    },
    /// The operator says that it counts opens.
    Operator {
        /// Host and path as the operator wrote them; a marker's place has none.
        spot: String,
    },
    /// In other messages nearly everybody got a URL of their own here.
    Learned {
        /// How many people were seen.
        recipients: u32,
    },
    /// It loads over the network, and the stream wants none of that.
    Remote,
}

impl Evidence {
    /// The reason code for ledger and reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::KnownEndpoint { .. } => "known_endpoint",
            Self::Tiny { .. } => "tiny",
            Self::Unseen { .. } => "unseen",
            Self::Recipient { .. } => "recipient",
            Self::Recurring { .. } => "recurring",
            Self::Operator { .. } => "operator",
            Self::Learned { .. } => "learned",
            Self::Remote => "remote",
        }
    }
}

/// A range of the examined octets and what shall stand there instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// In the examined octets.
    pub range: Range<usize>,
    /// Neither CR nor LF in it; its length equals the range's modulo 3 wherever blanks may stand.
    pub replacement: Vec<u8>,
}

/// One load that reports the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The tag, or the URL token in CSS. All edits lie within, but for the end tag of an element that is cut.
    pub span: Range<usize>,
    /// Line of `span.start`, from 1.
    pub line: usize,
    /// What loads it.
    pub vector: Vector,
    /// Who sees it.
    pub place: Place,
    /// As a client would read it: references resolved, white space removed. A person's data: never logged in clear.
    pub url: String,
    /// Lower case, without user and port.
    pub host: String,
    /// The other hosts that its requests go to: whoever decides about it decides about all of them.
    pub other_hosts: Vec<String>,
    /// What it is.
    pub verdict: Verdict,
    /// Why; at least one.
    pub evidence: Vec<Evidence>,
    /// What is to become of it where it is [`Verdict::IndividualContent`], as far as that can be done.
    pub image: Option<IndividualImages>,
    /// What `edits` do, by name.
    pub treatment: Treatment,
    /// Strip exactly this finding; at least one.
    pub edits: Vec<Edit>,
}
