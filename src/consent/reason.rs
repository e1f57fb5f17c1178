//! The words of a decision: what is done, on which basis it may stay, for which reason it may not (DESIGN 6).
//!
//! The same words stand in the ledger, in metrics, in the documents and in the tests; the lists are closed. They say
//! nothing of how a decision was reached.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::purpose::Purpose;
use super::words::{UnknownWord, words};

words! {
    /// What is done to one finding in one recipient's copy.
    Action, "action", {
        /// It stays as the client sent it.
        Kept = "kept",
        /// It stays behind the gate, which keeps a date and nothing else (D5).
        Reduced = "reduced",
        /// It stays as one counter for all (D7).
        Counted = "counted",
        /// The image stays, the identity in its URL does not.
        Deidentified = "deidentified",
        /// It does not leave.
        Stripped = "stripped",
        /// It would not leave, but the stream is in shadow and the original was forwarded.
        WouldStrip = "would_strip",
        /// The copy waits: 451.
        Held = "held",
        /// The copy is refused: 550.
        Rejected = "rejected",
    }
}

words! {
    /// Why something does not stay as the client sent it.
    Reason, "reason", {
        /// Nothing is recorded for this person and purpose (D1).
        NoConsent = "no_consent",
        /// The person said no.
        Refused = "refused",
        /// The person took consent back.
        Withdrawn = "withdrawn",
        /// The person objected.
        Objected = "objected",
        /// The person's record was erased (D22).
        Erased = "erased",
        /// The consent is too old.
        Expired = "expired",
        /// Somebody asserts a consent and shows no proof (D17, D18).
        ClaimWithoutProof = "claim_without_proof",
        /// Consent to some of the declared purposes, not to all (D3).
        PurposeMissing = "purpose_missing",
        /// Nobody declared what the tracker is for, and not every purpose is consented to (D2).
        Undeclared = "undeclared",
        /// The person was not told of the partner who would learn of the opens (D19).
        PartnerNotShown = "partner_not_shown",
        /// Many people read at this address: one of them cannot consent for the others (D25).
        ListAddress = "list_address",
        /// One yes to more than the pixel, which the profile does not take for consent (F20).
        ConsentScope = "consent_scope",
        /// The mail has no link to withdraw the consent it relies on (D10).
        NoWithdrawalLink = "no_withdrawal_link",
        /// It may only stay reduced or counted, behind the gate.
        NeedsGate = "needs_gate",
        /// No loaded profile exempts the purpose on this kind of stream (D4, F16).
        NotExempt = "not_exempt",
        /// The stream asks for consent and tracks nobody (D9).
        ConsentRequest = "consent_request",
        /// The operator strips everything.
        StripAll = "strip_all",
        /// The operator holds every message that would be changed.
        HoldEdits = "hold_edits",
        /// No controller could be told for the message.
        Unassigned = "unassigned",
        /// Another recipient of the same copy may not get it (`mixed_consent = "strictest"`, D24).
        StrictestRecipient = "strictest_recipient",
        /// The register did not answer in time (D16).
        StoreUnavailable = "store_unavailable",
        /// The decision could not be written down, so nothing is kept.
        LedgerUnavailable = "ledger_unavailable",
        /// A part could not be inspected and something in it may not leave (DESIGN 4).
        Uninspectable = "uninspectable",
        /// A visible image that carries the recipient's identity (DESIGN 4).
        IndividualContent = "individual_content",
    }
}

/// Why something may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// A proven consent to every purpose.
    Consent,
    /// Collected and informed before the country's dates, and no objection (D8).
    LegacyNoObjection,
    /// A purpose that the profile exempts.
    Exempt(Purpose),
    /// It is content, too, and the stream leaves individual images as they are (DESIGN 4 `individual_images`).
    IndividualImage,
}

impl Basis {
    /// The ground of what several have to permit: an exemption says nothing where another of them rests on records; of
    /// records those that say most about what was not asked for.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Exempt(_), records @ (Self::Consent | Self::LegacyNoObjection)) => records,
            (records @ (Self::Consent | Self::LegacyNoObjection), Self::Exempt(_)) => records,
            (one, other) => one.max(other),
        }
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consent => formatter.write_str("consent"),
            Self::LegacyNoObjection => formatter.write_str("legacy_no_objection"),
            Self::Exempt(purpose) => write!(formatter, "exempt:{purpose}"),
            Self::IndividualImage => formatter.write_str("individual_image"),
        }
    }
}

impl std::str::FromStr for Basis {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match (word, word.strip_prefix("exempt:")) {
            ("consent", _) => Ok(Self::Consent),
            ("legacy_no_objection", _) => Ok(Self::LegacyNoObjection),
            ("individual_image", _) => Ok(Self::IndividualImage),
            (_, Some(purpose)) => purpose.parse().map(Self::Exempt),
            (_, None) => Err(UnknownWord::new(
                "basis",
                word,
                &[
                    "consent",
                    "legacy_no_objection",
                    "exempt:PURPOSE",
                    "individual_image",
                ],
            )),
        }
    }
}

impl Serialize for Basis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Basis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        word.parse().map_err(serde::de::Error::custom)
    }
}
