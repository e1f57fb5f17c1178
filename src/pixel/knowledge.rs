//! By what a document is examined beside its own octets.
//!
//! Plain values and one question to whoever remembers other messages. It must never know consent, a store or a clock.
//! Whatever is unknown says nothing: it acquits nobody.

use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use super::{Needles, Own, Recurring, Rules, Vector, Whole};

/// What the stream wants of visible images that are one person's own (DESIGN 4 `individual_images`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndividualImages {
    /// The parameter that is wholly the identity goes, where the URL is not signed; else as [`Self::Blank`].
    #[default]
    Deidentify,
    /// Box and `alt` stay, nothing loads.
    Blank,
    /// It stays, and is a finding.
    Report,
}

/// How much counts (DESIGN 4 "Modes").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Proven identity acts on what may be visible; what was learned or recurs needs more of it there.
    #[default]
    Balanced,
    /// Learned or recurring individuality acts on every visible image, too.
    EveryIndividual,
    /// Every remote load is a finding.
    AllRemote,
}

/// Where loads of many messages are one and the same: the place in a template, by what stays the same in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Lower case, without user and port.
    pub host: String,
    /// The path's shape, with the names of the parameters.
    pub shape: String,
    /// What loads it.
    pub vector: Vector,
}

/// What is known of a load from other messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Learned {
    /// Nothing, or not enough.
    #[default]
    Nothing,
    /// Enough people got this very URL.
    Shared,
    /// In this slot nearly everybody gets a URL of their own, as seen for so many people.
    Individual {
        /// How many people.
        recipients: u32,
    },
}

static NOBODY: LazyLock<(Needles, Recurring, Own)> = LazyLock::new(Default::default);

/// Answers what is known of a load, by its slot and its URL as it would be requested.
pub type Memory<'a> = dyn Fn(&Slot, &str) -> Learned + 'a;

/// Everything a document is examined by.
#[derive(Clone, Copy)]
pub struct Knowledge<'a> {
    /// Known endpoints.
    pub rules: &'a Rules,
    /// How much counts.
    pub mode: Mode,
    /// What is wanted of visible individual images.
    pub images: IndividualImages,
    /// The recipients' names.
    pub needles: &'a Needles,
    /// What else names them in the message.
    pub recurring: &'a Recurring,
    /// What the operator says.
    pub own: &'a Own,
    /// What is known from other messages.
    pub memory: &'a Memory<'a>,
    /// Where the document is a variant: what is known of its original as a whole.
    pub whole: Option<&'a Whole>,
}

impl<'a> Knowledge<'a> {
    /// Rules alone: what is known of a document without its message.
    pub fn of(rules: &'a Rules) -> Self {
        Self {
            rules,
            mode: Mode::default(),
            images: IndividualImages::default(),
            needles: &NOBODY.0,
            recurring: &NOBODY.1,
            own: &NOBODY.2,
            memory: &|_, _| Learned::Nothing,
            whole: None,
        }
    }
}

impl fmt::Debug for Knowledge<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("Knowledge");
        fields
            .field("mode", &self.mode)
            .field("images", &self.images);
        fields.finish_non_exhaustive()
    }
}
