//! Selectors, as far as they decide whether a rule could match an element, and whether it surely does.
//!
//! "Could" leans one way: what is not understood matches, pseudo-classes apply. "Surely" leans the other. It knows no declaration
//! and no URL. It fails past the limit of selectors.

use std::collections::HashSet;

use cssparser::{Parser, ParserInput, Token};

use super::super::css::TooMuch;

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
pub(super) struct Subject {
    tag: Option<String>,
    id: Option<String>,
    classes: Vec<String>,
    conditions: Vec<Condition>,
    pub(super) elsewhere: Vec<Name>,
    /// Something in it is not understood, or asks for more than the element itself.
    unsure: bool,
}

/// A class or an id that stands somewhere in the document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::pixel) enum Name {
    /// Of a `class` attribute.
    Class(String),
    /// Of an `id` attribute.
    Id(String),
}

/// What a rule is compared with. All texts lower case: quirks mode does not tell cases apart.
pub(in crate::pixel) struct Element<'a> {
    /// Tag name.
    pub(in crate::pixel) tag: &'a str,
    /// The `id`.
    pub(in crate::pixel) id: Option<&'a str>,
    /// The classes.
    pub(in crate::pixel) classes: &'a [String],
    /// Any attribute's value by name.
    pub(in crate::pixel) attribute: &'a dyn Fn(&str) -> Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
/// What the last compound asks for, by which rules are kept.
pub(super) enum Key {
    Name(Name),
    Tag(String),
    Any,
}

impl Subject {
    /// The attributes that it asks for.
    pub(super) fn attributes(&self) -> impl Iterator<Item = &String> {
        self.conditions.iter().map(|condition| &condition.name)
    }

    pub(super) fn key(&self) -> Key {
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

    /// Whether it may match; `names` are the classes and ids in use, `None` where they are not known.
    pub(super) fn could_match(&self, element: &Element<'_>, names: Option<&HashSet<Name>>) -> bool {
        self.tag.as_deref().is_none_or(|tag| tag == element.tag)
            && self
                .id
                .as_deref()
                .is_none_or(|id| element.id.is_some_and(|own| own == id))
            && self
                .classes
                .iter()
                .all(|class| element.classes.contains(class))
            && names.is_none_or(|names| self.elsewhere.iter().all(|name| names.contains(name)))
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
pub(super) fn subjects(selectors: &str, limit: usize) -> Result<Vec<Subject>, TooMuch> {
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
    /// Whether nothing but the element itself decides: where it could match, it does.
    pub(super) fn is_sure(&self) -> bool {
        !self.unsure
    }

    /// This compound is not the last: what it names must stand on some other element.
    fn into_context(self) -> Self {
        let mut elsewhere = self.elsewhere;
        elsewhere.extend(self.id.map(Name::Id));
        elsewhere.extend(self.classes.into_iter().map(Name::Class));
        Self {
            elsewhere,
            unsure: true,
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
                self.unsure = true;
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
                self.unsure |= condition.is_none();
                self.conditions.extend(condition);
            }
            Token::Delim('*') => {}
            _ => self.unsure = true,
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
