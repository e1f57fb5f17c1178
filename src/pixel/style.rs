//! What the rules of a document's `<style>` elements could do to an element that looks tiny by its own words: a rule
//! that could match it and could make it larger than 3 px, or reveal it, spares it from evidence by size.
//!
//! "Could" leans one way: unknown selectors match, media queries hold, pseudo-classes apply. It never acquits a known
//! endpoint; that is not asked here. It knows no URL.

use std::collections::{HashMap, HashSet};

use cssparser::{Parser, ParserInput, Token};

use super::css::{Declaration, Rule, TooMuch, Value};
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

/// An attribute condition in a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    name: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Present,
    Is(String),
    Word(String),
    Starts(String),
    Ends(String),
    Contains(String),
}

/// The last compound of a selector, and the names its ancestors and siblings must bear.
#[derive(Debug, Clone, Default)]
struct Subject {
    tag: Option<String>,
    id: Option<String>,
    classes: Vec<String>,
    conditions: Vec<Condition>,
    elsewhere: Vec<Name>,
}

/// A class or an id that stands somewhere in the document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Name {
    /// Of a `class` attribute.
    Class(String),
    /// Of an `id` attribute.
    Id(String),
}

/// What a rule is compared with. All texts lower case: quirks mode does not tell cases apart.
pub(super) struct Element<'a> {
    /// Tag name.
    pub(super) tag: &'a str,
    /// The `id`.
    pub(super) id: Option<&'a str>,
    /// The classes.
    pub(super) classes: &'a [String],
    /// Any attribute's value by name.
    pub(super) attribute: &'a dyn Fn(&str) -> Option<String>,
}

/// All rules of a document that could enlarge or reveal something, by what their last compound asks for.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    by_key: HashMap<Key, Vec<(Subject, Effect)>>,
    selectors: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Name(Name),
    Tag(String),
    Any,
}

impl Sheet {
    /// No rule at all.
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The classes and ids that some selector wants on another element than its subject.
    pub(super) fn names(&self) -> HashSet<Name> {
        self.by_key
            .values()
            .flatten()
            .flat_map(|(subject, _)| subject.elsewhere.iter().cloned())
            .collect()
    }

    /// Adds the rules of one `<style>` element.
    pub(super) fn add(&mut self, rules: &[Rule]) -> Result<(), TooMuch> {
        for rule in rules {
            let effect = Effect::of(&rule.declarations);
            if effect == Effect::default() {
                continue;
            }
            let left = SELECTORS_MAX.saturating_sub(self.selectors);
            for subject in subjects(&rule.selectors, left)? {
                self.selectors = self.selectors.saturating_add(1);
                self.insert(subject, effect);
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

    fn any(
        &self,
        element: &Element<'_>,
        names: &HashSet<Name>,
        asked: impl Fn(Effect) -> bool,
    ) -> bool {
        let id = element.id.map(|id| Key::Name(Name::Id(id.to_owned())));
        let classes = element
            .classes
            .iter()
            .map(|class| Key::Name(Name::Class(class.clone())));
        let keys = [Key::Any, Key::Tag(element.tag.to_owned())];
        keys.into_iter()
            .chain(id)
            .chain(classes)
            .filter_map(|key| self.by_key.get(&key))
            .flatten()
            .any(|(subject, effect)| asked(*effect) && subject.could_match(element, names))
    }
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
                "transform" => {
                    effect.scales |= !matches!(
                        &declaration.value,
                        Value::Keyword(word) if word == "none" || word == "normal"
                    );
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

/// Whether a length could be more than [`TINY_PX`]. `height: auto` and automatic minima do not count.
fn may_exceed(value: &Value, auto_is_small: bool) -> bool {
    match value {
        Value::Pixels(pixels) | Value::Unitless(pixels) => *pixels > TINY_PX,
        Value::Keyword(word) if word == "auto" => !auto_is_small,
        Value::Keyword(_) | Value::Other => true,
    }
}

impl Subject {
    fn key(&self) -> Key {
        if let Some(id) = &self.id {
            return Key::Name(Name::Id(id.clone()));
        }
        if let Some(class) = self.classes.first() {
            return Key::Name(Name::Class(class.clone()));
        }
        match &self.tag {
            Some(tag) => Key::Tag(tag.clone()),
            None => Key::Any,
        }
    }

    fn could_match(&self, element: &Element<'_>, names: &HashSet<Name>) -> bool {
        self.tag.as_deref().is_none_or(|tag| tag == element.tag)
            && self
                .id
                .as_deref()
                .is_none_or(|id| element.id.is_some_and(|own| own == id))
            && self
                .classes
                .iter()
                .all(|class| element.classes.contains(class))
            && self.elsewhere.iter().all(|name| names.contains(name))
            && self.conditions.iter().all(|condition| {
                (element.attribute)(&condition.name)
                    .is_some_and(|value| condition.test.holds(&value.to_lowercase()))
            })
    }
}

impl Test {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Present => true,
            Self::Is(wanted) => value == wanted,
            Self::Word(wanted) => value.split_ascii_whitespace().any(|word| word == wanted),
            Self::Starts(wanted) => value.starts_with(wanted.as_str()),
            Self::Ends(wanted) => value.ends_with(wanted.as_str()),
            Self::Contains(wanted) => value.contains(wanted.as_str()),
        }
    }
}

/// The subjects of a selector list, at most `limit`.
fn subjects(selectors: &str, limit: usize) -> Result<Vec<Subject>, TooMuch> {
    let mut input = ParserInput::new(selectors);
    let mut parser = Parser::new(&mut input);
    let mut list = Vec::new();
    let mut current = Subject::default();
    let mut after_combinator = false;
    while let Ok(token) = parser.next_including_whitespace_and_comments().cloned() {
        if list.len() >= limit {
            return Err(TooMuch);
        }
        match token {
            Token::Comma => {
                list.push(std::mem::take(&mut current));
                after_combinator = false;
                continue;
            }
            Token::WhiteSpace(_) | Token::Delim('>' | '+' | '~') => {
                after_combinator = true;
                continue;
            }
            Token::Comment(_) | Token::CDO | Token::CDC => continue,
            _ => {}
        }
        if after_combinator {
            current = current.into_context();
            after_combinator = false;
        }
        current.extend(&mut parser, &token)?;
    }
    list.push(current);
    Ok(list)
}

impl Subject {
    /// This compound is not the last: what it names must stand on some other element.
    fn into_context(self) -> Self {
        let mut elsewhere = self.elsewhere;
        elsewhere.extend(self.id.map(Name::Id));
        elsewhere.extend(self.classes.into_iter().map(Name::Class));
        Self {
            elsewhere,
            ..Self::default()
        }
    }

    fn extend(&mut self, parser: &mut Parser<'_, '_>, token: &Token<'_>) -> Result<(), TooMuch> {
        match token {
            Token::Ident(name) => self.tag = Some(name.to_lowercase()),
            Token::Hash(id) | Token::IDHash(id) => self.id = Some(id.to_lowercase()),
            Token::Delim('.') => {
                if let Ok(Token::Ident(class)) = parser.next_including_whitespace_and_comments() {
                    self.classes.push(class.to_lowercase());
                }
            }
            Token::Colon => {
                // A pseudo-class or pseudo-element, with or without arguments: it may hold. Its argument is skipped.
                while let Ok(Token::Colon) = parser.next_including_whitespace_and_comments() {}
            }
            Token::SquareBracketBlock => {
                let condition = parser
                    .parse_nested_block(|parser| {
                        let condition = condition(parser);
                        while parser.next().is_ok() {}
                        Ok::<_, cssparser::ParseError<'_, ()>>(condition)
                    })
                    .map_err(|_| TooMuch)?;
                self.conditions.extend(condition);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Reads `name`, `name=value` and its kin; what it cannot read is no condition, so the rule could match.
fn condition(parser: &mut Parser<'_, '_>) -> Option<Condition> {
    let name = match parser.next().ok()? {
        Token::Ident(name) => name.to_lowercase(),
        _ => return None,
    };
    let Ok(operator) = parser.next().cloned() else {
        return Some(Condition {
            name,
            test: Test::Present,
        });
    };
    let value = match parser.next().ok()? {
        Token::Ident(value) | Token::QuotedString(value) => value.to_lowercase(),
        // An unquoted number is invalid CSS that some clients take: it could match.
        _ => return None,
    };
    let test = match operator {
        Token::Delim('=') => Test::Is(value),
        Token::IncludeMatch => Test::Word(value),
        Token::DashMatch | Token::PrefixMatch => Test::Starts(value),
        Token::SuffixMatch => Test::Ends(value),
        Token::SubstringMatch => Test::Contains(value),
        _ => return None,
    };
    Some(Condition { name, test })
}

#[cfg(test)]
#[path = "style_tests.rs"]
mod tests;
