//! The words of ledger and register in plain language, for people who never read the documentation.
//!
//! It must never say more than the word says. A word it does not know is shown as it is.

use crate::consent::profile::STRICTEST;

mod evidence;

pub(super) use self::evidence::{evidence, treatment, vector, verdict};

/// Why a tracker may not stay, as the end of a sentence that begins with "because".
pub(super) fn reason(word: &str) -> &str {
    match word {
        "no_consent" => "no consent is recorded for this",
        "refused" => "the person refused",
        "withdrawn" => "the person took the consent back",
        "objected" => "the person objected",
        "erased" => "the person's records were erased",
        "expired" => "the consent was too old",
        "claim_without_proof" => "a consent was asserted without proof",
        "purpose_missing" => "the person consented to some of its purposes, not to all",
        "undeclared" => "nobody declared what it is for, and not everything is consented to",
        "no_withdrawal_link" => "the message had no link to withdraw the consent",
        "needs_gate" => "this use is only allowed in a reduced form, which is not switched on",
        "not_exempt" => "no rule exempts this use in this kind of mail",
        "consent_request" => "mail that asks for consent tracks nobody",
        "strip_all" => "the operator had every tracker stripped",
        "hold_edits" => "the operator had all mail held that would be changed",
        "unassigned" => "it was not clear in whose name the mail was sent",
        "strictest_recipient" => "another recipient of the same copy had not consented",
        "store_unavailable" => "the consent register did not answer in time",
        "ledger_unavailable" => "the decision could not be written down",
        "uninspectable" => "a part of the message could not be inspected",
        "individual_content" => "a visible image carried the person's identity",
        "partner_not_shown" => "the partner was not on the list that the person was shown",
        "list_address" => "the address is a list, and nobody consents for all its members",
        "consent_scope" => {
            "the consent covered receiving and tracking at once, which does not count here"
        }
        "" => "no reason is recorded",
        other => other,
    }
}

/// Why a tracker may stay, likewise.
pub(super) fn basis(word: &str) -> &str {
    match word {
        "consent" => "the person consented",
        "legacy_no_objection" => {
            "the address is from before the rules, the person was informed in time and did not object"
        }
        "individual_image" => "it is a picture of their own, which this stream leaves as it is",
        "exempt:auth_security" => "securing a sign-in needs no consent here",
        "exempt:deliverability_hygiene" => "noticing who no longer reads needs no consent here",
        "exempt:legal_proof" => "proving that a legal notice was opened needs no consent here",
        "exempt:aggregate_anonymous" => "counting all readers together needs no consent here",
        "" => "no basis is recorded",
        other => other,
    }
}

/// What was done to a tracker or to a part.
pub(super) fn action(word: &str) -> &str {
    match word {
        "kept" => "kept",
        "reduced" => "kept, reduced to a date",
        "counted" => "kept as one counter for all",
        "deidentified" => "kept without the person's identity",
        "stripped" => "taken out",
        "would_strip" => "stayed, would have been taken out",
        "held" => "not sent for now",
        "rejected" => "not sent",
        other => other,
    }
}

/// Whose rules decided.
pub(super) fn profile(word: &str) -> String {
    match word {
        STRICTEST => "the strictest of the country rules that are loaded".to_owned(),
        other => format!("the country rules {other}"),
    }
}

/// What was done with a copy.
pub(super) fn copy(word: &str) -> &str {
    match word {
        "unchanged" => "sent as it came",
        "stripped" => "sent without what was taken out",
        "held" => "held here",
        "rejected" => "refused here",
        other => other,
    }
}

/// Why a part was not looked into.
pub(super) fn out_of_scope(word: &str) -> &str {
    match word {
        "attachment" => "attachments",
        "encrypted" => "encrypted",
        "report" => "delivery reports",
        "null_reverse_path" => "mail without a sender, such as bounces",
        other => other,
    }
}

/// What tells of a reader and is not for the relay to change.
pub(super) fn reported(word: &str) -> &str {
    match word {
        "receipt_request" => "a request for a receipt when the message is opened",
        "calendar_html" => "HTML in a calendar entry",
        "calendar_tracker" => "HTML in a calendar entry that would load a tracker",
        other => other,
    }
}

/// What became of a copy.
pub(super) fn fate(word: &str) -> &str {
    match word {
        "taken" => "delivered to the next mail server",
        "not_now" => "not taken for now by the next mail server",
        "refused" => "refused by the next mail server",
        "unknown" => "sent, but the next mail server did not confirm",
        "held" => "held here, to be sent later",
        "rejected" => "refused here",
        "not_begun" => "not sent in this attempt",
        other => other,
    }
}

/// Why a part could not be inspected.
pub(super) fn uninspectable(word: &str) -> &str {
    match word {
        "cte" => "its transfer encoding is not known",
        "charset" => "its character set is not known",
        "readings_differ" => "it can be read in more than one way",
        "depth" => "it is nested too deep",
        "size" => "it is too large",
        "encoded_message" => "it is a message that is encoded as a whole",
        "token_limit" => "one piece of its HTML is too long",
        "signed" => "it is signed and cannot be changed",
        other => other,
    }
}

/// What a recorded change says.
pub(super) fn change(word: &str) -> &str {
    match word {
        "granted" => "consented",
        "refused" => "refused",
        "withdrawn" => "took the consent back",
        "objected" => "objected",
        "erased" => "was erased",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::{Action, Basis, ChangeKind, Purpose, Reason};
    use crate::relay::survey::ReportedKind;

    /// A word that is shown as it is has been forgotten here.
    #[test]
    fn every_word_has_its_plain_words() {
        for word in Reason::ALL.iter().map(|word| word.as_str()) {
            assert_ne!(reason(word), word);
        }
        for word in Action::ALL.iter().map(|word| word.as_str()) {
            assert!(action(word) != word || word == "kept", "{word}");
        }
        for word in ChangeKind::ALL.iter().map(|word| word.as_str()) {
            let same = matches!(word, "refused" | "objected");
            assert!(change(word) != word || same, "{word}");
        }
        for word in ReportedKind::ALL.iter().map(|kind| kind.as_str()) {
            assert_ne!(reported(word), word);
        }
        let exempt = Purpose::ALL
            .iter()
            .filter(|purpose| purpose.may_be_exempt());
        let exempt = exempt.map(|purpose| Basis::Exempt(*purpose));
        for word in exempt.chain([
            Basis::Consent,
            Basis::LegacyNoObjection,
            Basis::IndividualImage,
        ]) {
            let word = word.to_string();
            assert_ne!(basis(&word), word);
        }
    }
}
