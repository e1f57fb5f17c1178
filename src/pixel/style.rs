//! What the rules of a document's `<style>` elements could do to an element that looks tiny by its own words: a rule
//! that could match it and could make it larger than 3 px, or reveal it, spares it from evidence by size.
//!
//! "Could" leans one way: unknown selectors match, media queries hold, pseudo-classes apply. It never acquits a known
//! endpoint; that is not asked here. It knows no URL.

mod selector;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

pub(super) use self::selector::{Element, Name};
use self::selector::{Key, Subject, subjects};
use super::css::{AWAY, AWAY_PX, Declaration, NOTHING, Rule, TooMuch, Value};
use super::size::{Importance, OwnBox, Side, Source, TINY_PX};

/// Rules kept apart under one class, id or tag; beyond that they are taken together, as if each always matched.
const RULES_PER_KEY_MAX: usize = 64;

/// Selectors of rules about size in one document. Real mail has some hundred.
const SELECTORS_MAX: usize = 50_000;

/// What one rule could do to one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Push {
    /// `width`: 0 no, 1 normal, 2 important.
    size: u8,
    /// `min-width`.
    min: bool,
    /// `max-width`, important.
    max: bool,
}

/// What one rule could do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Effect {
    width: Push,
    height: Push,
    /// Some `display` other than `none` and `block`.
    reveals: bool,
    /// Any important `display` other than `none`.
    shows: bool,
    /// A transformation of unknown size.
    scales: bool,
}

/// All rules of a document that could enlarge or reveal something, by what their last compound asks for.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    by_key: HashMap<Key, Vec<(Subject, Effect)>>,
    /// The same rules with all they say of size and visibility.
    said: HashMap<Key, Vec<(Subject, Said)>>,
    /// Some rule could hide something; some could without a class or an id.
    hides: bool,
    hides_any: bool,
    selectors: usize,
    /// Attributes that some selector asks for.
    attributes: BTreeSet<String>,
}

/// What a rule says. `None`: anything, there are too many to ask each.
type Said = Option<Rc<[Declaration]>>;

impl Sheet {
    /// No rule at all.
    pub(super) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// The attributes that some selector asks for, beside class and id.
    pub(super) fn attributes(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(String::as_str)
    }

    /// The classes and ids that some selector wants on another element than its subject.
    pub(super) fn names(&self) -> HashSet<Name> {
        self.by_key
            .values()
            .flatten()
            .map(|(subject, _)| subject)
            .chain(self.said.values().flatten().map(|(subject, _)| subject))
            .flat_map(|subject| subject.elsewhere.iter().cloned())
            .collect()
    }

    /// Adds the rules of one `<style>` element.
    pub(super) fn add(&mut self, rules: &[Rule]) -> Result<(), TooMuch> {
        for rule in rules {
            let effect = Effect::of(&rule.declarations);
            let said: Rc<[Declaration]> = without_repetition(&rule.declarations).into();
            let hides = said.iter().any(could_hide);
            let left = SELECTORS_MAX.saturating_sub(self.selectors);
            for subject in subjects(&rule.selectors, left)? {
                self.selectors = self.selectors.saturating_add(1);
                let key = subject.key();
                self.attributes.extend(subject.attributes().cloned());
                self.hides |= hides;
                self.hides_any |= hides && !matches!(key, Key::Name(_));
                let rules = self.said.entry(key).or_default();
                rules.push((subject.clone(), Some(Rc::clone(&said))));
                if rules.len() > RULES_PER_KEY_MAX {
                    *rules = vec![(Subject::default(), None)];
                }
                if effect != Effect::default() {
                    self.insert(subject, effect);
                }
            }
        }
        Ok(())
    }

    fn insert(&mut self, subject: Subject, effect: Effect) {
        let rules = self.by_key.entry(subject.key()).or_default();
        rules.push((subject, effect));
        if rules.len() > RULES_PER_KEY_MAX {
            // Too many to try one by one: their union, on whoever bears the key.
            let union = rules
                .drain(..)
                .fold(Effect::default(), |all, (_, effect)| all.union(effect));
            rules.push((Subject::default(), union));
        }
    }

    /// Whether some rule could make `element`, tiny by its own words, larger or visible. `names` are the classes and
    /// ids that stand in the document.
    pub(super) fn spares(
        &self,
        element: &Element<'_>,
        own: &OwnBox,
        names: &HashSet<Name>,
    ) -> bool {
        self.any(element, names, |effect| effect.enlarges(own))
    }

    /// Whether some rule could give a box to `element`, which has `display: none` in its own style.
    pub(super) fn may_show(
        &self,
        element: &Element<'_>,
        own: &OwnBox,
        names: &HashSet<Name>,
    ) -> bool {
        own.display_none != Some(Importance::Important)
            && self.any(element, names, |effect| effect.shows)
    }

    /// Whether some rule could hide something.
    pub(super) fn may_hide(&self) -> bool {
        self.hides
    }

    /// Whether some rule could hide something that has neither class nor id.
    pub(super) fn may_hide_any(&self) -> bool {
        self.hides_any
    }

    /// All that rules could say of `element`, each with whether it surely holds. `None` where that could be anything.
    pub(super) fn said<'s>(
        &'s self,
        element: &Element<'_>,
        names: Option<&HashSet<Name>>,
    ) -> Option<Vec<(&'s Declaration, bool)>> {
        let mut said = Vec::new();
        for (subject, declarations) in keys(element)
            .filter_map(|key| self.said.get(&key))
            .flatten()
        {
            if !subject.could_match(element, names) {
                continue;
            }
            let sure = subject.is_sure();
            let declarations = declarations.as_deref()?.iter();
            said.extend(declarations.map(|declared| (declared, sure && declared.always)));
        }
        Some(said)
    }

    fn any(
        &self,
        element: &Element<'_>,
        names: &HashSet<Name>,
        asked: impl Fn(Effect) -> bool,
    ) -> bool {
        keys(element)
            .filter_map(|key| self.by_key.get(&key))
            .flatten()
            .any(|(subject, effect)| asked(*effect) && subject.could_match(element, Some(names)))
    }
}

/// Of several declarations of a property that count alike the last: the one that holds.
fn without_repetition(declarations: &[Declaration]) -> Vec<Declaration> {
    let mut seen = HashSet::new();
    let last = declarations
        .iter()
        .rev()
        .filter(|declared| seen.insert((declared.name, declared.important, declared.always)));
    let mut kept: Vec<Declaration> = last.cloned().collect();
    kept.reverse();
    kept
}

/// Whether a declaration could make something vanish. Sizes do only where the overflow is hidden.
fn could_hide(declared: &Declaration) -> bool {
    let word = |words: &[&str]| matches!(&declared.value, Value::Keyword(found) if words.contains(&found.as_str()));
    match declared.name {
        "display" => word(&["none"]),
        "visibility" => word(&["hidden", "collapse"]),
        "overflow-x" | "overflow-y" => word(&["hidden", "clip"]),
        "opacity" => true,
        "filter" | "clip" | "clip-path" | "transform" | "scale" => word(&[NOTHING, AWAY]),
        "left" | "top" | "margin-left" | "margin-top" => {
            matches!(declared.value, Value::Pixels(length) if length <= AWAY_PX)
        }
        _ => false,
    }
}

/// The keys under which rules for an element stand.
fn keys<'e>(element: &'e Element<'_>) -> impl Iterator<Item = Key> + 'e {
    let id = element.id.map(|id| Key::Name(Name::Id(id.to_owned())));
    let classes = element
        .classes
        .iter()
        .map(|class| Key::Name(Name::Class(class.clone())));
    let keys = [Key::Any, Key::Tag(element.tag.to_owned())];
    keys.into_iter().chain(id).chain(classes)
}

impl Effect {
    fn of(declarations: &[Declaration]) -> Self {
        let mut effect = Self::default();
        for declaration in declarations {
            let important = declaration.important;
            let size = |push: &mut Push| {
                push.size = push.size.max(if important { 2 } else { 1 });
            };
            match declaration.name {
                "width" if may_exceed(&declaration.value, false) => size(&mut effect.width),
                "height" if may_exceed(&declaration.value, true) => size(&mut effect.height),
                "min-width" if may_exceed(&declaration.value, true) => effect.width.min = true,
                "min-height" if may_exceed(&declaration.value, true) => effect.height.min = true,
                "max-width" if important && may_exceed(&declaration.value, false) => {
                    effect.width.max = true;
                }
                "max-height" if important && may_exceed(&declaration.value, false) => {
                    effect.height.max = true;
                }
                "display" => {
                    effect.reveals |= !matches!(
                        &declaration.value,
                        Value::Keyword(word) if word == "none" || word == "block"
                    );
                    effect.shows |= important
                        && !matches!(&declaration.value, Value::Keyword(word) if word == "none");
                }
                "transform" | "zoom" | "scale" => {
                    effect.scales |= scales(&declaration.value);
                }
                _ => {}
            }
        }
        effect
    }

    fn union(self, other: Self) -> Self {
        let push = |a: Push, b: Push| Push {
            size: a.size.max(b.size),
            min: a.min || b.min,
            max: a.max || b.max,
        };
        Self {
            width: push(self.width, other.width),
            height: push(self.height, other.height),
            reveals: self.reveals || other.reveals,
            shows: self.shows || other.shows,
            scales: self.scales || other.scales,
        }
    }

    fn enlarges(self, own: &OwnBox) -> bool {
        self.scales
            || (self.reveals && own.display_none.is_some())
            || self.width.moves(own.width)
            || self.height.moves(own.height)
    }
}

impl Push {
    fn moves(self, side: Side) -> bool {
        self.min
            || match side.source {
                Source::Attribute => self.size >= 1,
                Source::Inline => self.size >= 2,
                Source::Cap => self.max,
                Source::InlineImportant | Source::CapImportant => false,
            }
    }
}

/// Whether a transformation could enlarge.
pub(super) fn scales(value: &Value) -> bool {
    !matches!(value, Value::Keyword(word) if ["none", "normal", NOTHING, AWAY].contains(&word.as_str()))
}

/// Whether a length could be more than [`TINY_PX`]. `height: auto` and automatic minima do not count.
fn may_exceed(value: &Value, auto_is_small: bool) -> bool {
    match value {
        Value::Pixels(pixels) | Value::Unitless(pixels) => *pixels > TINY_PX,
        Value::Keyword(word) if word == "auto" => !auto_is_small,
        Value::Keyword(_) | Value::Other => true,
    }
}

#[cfg(test)]
#[path = "style_tests.rs"]
mod tests;
