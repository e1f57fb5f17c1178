//! What a message is surveyed by: rules, bounds, who is named in it, what is known from elsewhere.
//!
//! The same for a message and for every variant of it, so that the second examination finds what the first found and nothing
//! else. It must never know what is done about a finding. It cannot fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::recall::{Answers, Recall};
use super::super::settings::Settings;
use super::super::work::Work;
use super::Survey;
use crate::pixel::{IndividualImages, Knowledge, Mode, Needles, Own, Recurring, Rules, Whole};

/// What a message is surveyed by; the same for it and for every variant of it.
#[derive(Debug, Clone)]
pub struct Lens {
    /// Detection rules.
    pub rules: Arc<Rules>,
    /// `[relay]`.
    pub settings: Arc<Settings>,
    /// How long that may take.
    pub work: Arc<Work>,
    /// How much counts.
    pub mode: Mode,
    /// What is wanted of visible individual images.
    pub images: IndividualImages,
    /// Who is named in the message, and what the operator says.
    pub people: Arc<People>,
    /// What is known from other messages.
    pub recall: Recall,
    /// Of a variant: what is known of each HTML part of its original as a whole, by its index in the tree.
    pub wholes: BTreeMap<usize, Arc<Whole>>,
}

/// Who is named in a message, and what its operator says of URLs.
#[derive(Debug, Clone, Default)]
pub struct People {
    /// The recipients' names.
    pub needles: Needles,
    /// What else names them.
    pub recurring: Recurring,
    /// What the operator says.
    pub own: Own,
}

impl Lens {
    /// For one message.
    pub fn new(rules: Arc<Rules>, settings: Arc<Settings>) -> Self {
        let most = Duration::from_millis(settings.examine_cpu_ms);
        Self {
            rules,
            settings,
            work: Arc::new(Work::new(most)),
            mode: Mode::default(),
            images: IndividualImages::default(),
            people: Arc::default(),
            recall: Recall::of(&Answers::fixed(&[])),
            wholes: BTreeMap::new(),
        }
    }

    /// The same for a variant. What recurred in several URLs of the original is nobody's in the variant either, however many of
    /// them are left; what copies or rules acquitted in the original is acquitted in the variant, whatever has gone; and nothing
    /// is asked of other messages any more: what was answered stands.
    #[must_use]
    pub fn for_variants(&self, survey: &Survey) -> Self {
        self.recall.close();
        Self {
            wholes: survey.wholes.clone(),
            ..self.without(&survey.spread)
        }
    }

    /// The same where these identifiers name nobody.
    #[must_use]
    pub(super) fn without(&self, spread: &[String]) -> Self {
        if spread.is_empty() {
            return self.clone();
        }
        let people = People {
            recurring: self.people.recurring.without(spread),
            ..(*self.people).clone()
        };
        Self {
            people: Arc::new(people),
            ..self.clone()
        }
    }

    /// What its documents are examined by.
    pub(super) fn knowledge(&self) -> Knowledge<'_> {
        Knowledge {
            mode: self.mode,
            images: self.images,
            needles: &self.people.needles,
            recurring: &self.people.recurring,
            own: &self.people.own,
            memory: self.recall.memory(),
            ..Knowledge::of(&self.rules)
        }
    }
}
