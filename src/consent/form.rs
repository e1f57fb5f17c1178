//! By which form a change came: what everybody who went through it was shown and did, alike for all of them.
//!
//! It is the part of a proof that is not about one person (D17): where it stands a million times, an engine may keep it
//! once. It must never hold an address. A text that cannot stand there is a [`Refusal`] that names the field.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::hex::optional_sha256;
use super::text::{Refusal, check_text};
use super::words::words;

/// Longest channel, in octets.
pub const CHANNEL_OCTETS_MAX: usize = 64;
/// Longest version of a wording, notice or list, in octets.
pub const VERSION_OCTETS_MAX: usize = 128;
/// Longest collector or affirmative act, in octets.
pub const SENTENCE_OCTETS_MAX: usize = 256;
/// Longest language tag, in octets (RFC 5646 4.4.1).
pub const LANGUAGE_OCTETS_MAX: usize = 35;
/// The most names that one list of controllers may show.
pub const CONTROLLERS_SHOWN_MAX: usize = 2_000;

words! {
    /// What one yes was given to (F20).
    Scope, "consent scope", {
        /// The pixel alone.
        PixelOnly = "pixel_only",
        /// Prospecting that is presented as personalised, and the pixel purposes that belong to it.
        CombinedPersonalised = "combined_personalised",
    }
}

/// The form, in every sense: page, call, import.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Form {
    /// By which way: a form, a link in a mail, the telephone, a partner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Who collected it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collector: Option<String>,
    /// Which wording the person saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wording_version: Option<String>,
    /// SHA-256 of that wording.
    #[serde(skip_serializing_if = "Option::is_none", with = "optional_sha256")]
    pub wording_sha256: Option<[u8; 32]>,
    /// Its language (BCP 47).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What the person did to say yes, e.g. ticked a box that was not ticked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affirmative_act: Option<String>,
    /// Version of the privacy notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// Version of the list of controllers that was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_list: Option<String>,
    /// The names on that list (D19).
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub controllers_shown: BTreeSet<String>,
    /// SHA-256 of a screenshot of the form, or of its code (F25).
    #[serde(skip_serializing_if = "Option::is_none", with = "optional_sha256")]
    pub evidence_sha256: Option<[u8; 32]>,
    /// What the yes was given to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
}

impl Form {
    /// Checks every text.
    ///
    /// # Errors
    /// Names the first field that cannot stand in a record.
    pub fn check(&self) -> Result<(), Refusal> {
        let texts = [
            ("channel", &self.channel, CHANNEL_OCTETS_MAX),
            ("collector", &self.collector, SENTENCE_OCTETS_MAX),
            ("wording_version", &self.wording_version, VERSION_OCTETS_MAX),
            ("language", &self.language, LANGUAGE_OCTETS_MAX),
            (
                "affirmative_act",
                &self.affirmative_act,
                SENTENCE_OCTETS_MAX,
            ),
            ("notice", &self.notice, VERSION_OCTETS_MAX),
            ("controller_list", &self.controller_list, VERSION_OCTETS_MAX),
        ];
        for (field, text, limit) in texts {
            if let Some(text) = text {
                check_text(field, text, limit)?;
            }
        }
        let count = self.controllers_shown.len();
        if count > CONTROLLERS_SHOWN_MAX {
            return Err(Refusal::TooMany {
                field: "controllers_shown",
                count,
                limit: CONTROLLERS_SHOWN_MAX,
            });
        }
        self.controllers_shown
            .iter()
            .try_for_each(|name| check_text("controllers_shown", name, SENTENCE_OCTETS_MAX))
    }

    /// Whether the person was shown this name among those who would learn of the opens (D19).
    pub fn shows(&self, partner: &str) -> bool {
        self.controllers_shown.contains(partner)
    }

    /// Every field as octets, in one order for ever; `None` is left out, which is not the same as empty.
    pub(super) fn fields(&self) -> Vec<(&'static str, Option<Vec<u8>>)> {
        let text = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
        let digest = |digest: &Option<[u8; 32]>| digest.map(|digest| digest.to_vec());
        let shown: Vec<&str> = self.controllers_shown.iter().map(String::as_str).collect();
        vec![
            ("channel", text(&self.channel)),
            ("collector", text(&self.collector)),
            ("wording_version", text(&self.wording_version)),
            ("wording_sha256", digest(&self.wording_sha256)),
            ("language", text(&self.language)),
            ("affirmative_act", text(&self.affirmative_act)),
            ("notice", text(&self.notice)),
            ("controller_list", text(&self.controller_list)),
            // No name holds a control character, so a line feed keeps them apart.
            (
                "controllers_shown",
                (!shown.is_empty()).then(|| shown.join("\n").into_bytes()),
            ),
            ("evidence_sha256", digest(&self.evidence_sha256)),
            (
                "scope",
                self.scope.map(|scope| scope.as_str().as_bytes().to_vec()),
            ),
        ]
    }
}
