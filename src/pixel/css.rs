//! CSS as far as tracking goes: where a URL token stands, and which rules set a size. cssparser tokenises; nothing is
//! ever printed again.
//!
//! It knows neither elements nor vendors. Blocks nested deeper than [`DEPTH_MAX`] are an error, never skipped.

use std::ops::Range;

use cssparser::{Parser, ParserInput, Token};

/// Blocks and functions inside one another. Real mail stays under ten; the limit keeps the recursion off the stack's end.
const DEPTH_MAX: usize = 64;

/// CSS past a bound of ours (depth here, selectors in `style`): its author is to blame, not transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch;

/// Where a URL token stands, which decides what may stand in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// After `@import`.
    Import,
    /// The whole of a `background` or `background-image` layer: `none` is as good.
    Background,
    /// Anywhere else: only another image is surely valid there.
    Image,
}

/// A URL in CSS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UrlToken {
    /// From `url(` or the opening quote to the octet after the end.
    pub(super) range: Range<usize>,
    /// Unescaped.
    pub(super) url: String,
    /// What it is for.
    pub(super) role: Role,
}

/// The value of a declaration, where it is one token; all else is [`Value::Other`].
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A length in CSS pixels.
    Pixels(f32),
    /// A number without a unit that is not zero: a length in quirks mode, invalid otherwise.
    Unitless(f32),
    /// An identifier, lower case.
    Keyword(String),
    /// A percentage, a relative length, a function, several tokens.
    Other,
}

/// One declaration that may set the size or the visibility of a box.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Declaration {
    /// Lower-case name, `inline-size` and the like under their horizontal names.
    pub(super) name: &'static str,
    /// Its value.
    pub(super) value: Value,
    /// `!important`.
    pub(super) important: bool,
}

/// A rule with what it says about size.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    /// The selector list as written; empty for a style attribute.
    pub(super) selectors: String,
    /// In order of appearance.
    pub(super) declarations: Vec<Declaration>,
}

/// What was found in one style attribute or `<style>` element.
#[derive(Debug, Default)]
pub(super) struct Css {
    /// All URLs.
    pub(super) urls: Vec<UrlToken>,
    /// All rules that say something about size.
    pub(super) rules: Vec<Rule>,
}

/// The properties by which a box can grow or appear, each under the name we know it by.
const PROPERTIES: [(&str, &str); 16] = [
    ("width", "width"),
    ("height", "height"),
    ("min-width", "min-width"),
    ("min-height", "min-height"),
    ("max-width", "max-width"),
    ("max-height", "max-height"),
    ("inline-size", "width"),
    ("block-size", "height"),
    ("min-inline-size", "min-width"),
    ("min-block-size", "min-height"),
    ("max-inline-size", "max-width"),
    ("max-block-size", "max-height"),
    ("display", "display"),
    ("transform", "transform"),
    ("zoom", "transform"),
    ("scale", "transform"),
];

/// Reads a `<style>` element's text.
pub(super) fn sheet(text: &str) -> Result<Css, TooMuch> {
    read(text, None)
}

/// Reads a `style` attribute's text: one rule without selectors.
pub(super) fn attribute(text: &str) -> Result<Css, TooMuch> {
    read(text, Some(String::new()))
}

fn read(text: &str, selectors: Option<String>) -> Result<Css, TooMuch> {
    let mut input = ParserInput::new(text);
    let mut parser = Parser::new(&mut input);
    let mut walker = Walker {
        text,
        css: Css::default(),
        too_deep: false,
    };
    let mut declarations = Vec::new();
    let inside = selectors.is_some();
    walker.statements(&mut parser, inside.then_some(&mut declarations), DEPTH_MAX);
    if walker.too_deep {
        return Err(TooMuch);
    }
    walker.css.keep(selectors, declarations);
    Ok(walker.css)
}

impl Css {
    fn keep(&mut self, selectors: Option<String>, declarations: Vec<Declaration>) {
        if let Some(selectors) = selectors
            && !declarations.is_empty()
        {
            self.rules.push(Rule {
                selectors,
                declarations,
            });
        }
    }
}

struct Walker<'t> {
    text: &'t str,
    css: Css,
    too_deep: bool,
}

/// What has been read of the current statement.
#[derive(Default)]
struct Statement {
    start: usize,
    /// Lower-case at-keyword.
    at: Option<String>,
    /// Lower-case first identifier.
    name: Option<String>,
    colon: bool,
    value: Option<Value>,
    bang: bool,
    important: bool,
}

impl Statement {
    fn starting_at(start: usize) -> Self {
        Self {
            start,
            ..Self::default()
        }
    }

    fn role(&self, nested: bool) -> Role {
        if self.at.as_deref() == Some("import") {
            return Role::Import;
        }
        match self.name.as_deref() {
            Some("background" | "background-image") if !nested => Role::Background,
            _ => Role::Image,
        }
    }

    fn value_token(&mut self, value: Value) {
        self.value = Some(match self.value {
            None => value,
            Some(_) => Value::Other,
        });
    }

    fn declaration(self) -> Option<Declaration> {
        let name = self.name?;
        let known = PROPERTIES.iter().find(|(known, _)| *known == name)?.1;
        if self.at.is_some() || !self.colon {
            return None;
        }
        Some(Declaration {
            name: known,
            value: self.value?,
            important: self.important,
        })
    }
}

impl Walker<'_> {
    /// Reads declarations and rules until the end of the block. `declarations` is where the ones of this block go.
    fn statements(
        &mut self,
        parser: &mut Parser<'_, '_>,
        mut declarations: Option<&mut Vec<Declaration>>,
        depth: usize,
    ) {
        let mut statement = Statement::starting_at(parser.position().byte_index());
        loop {
            let start = parser.position().byte_index();
            let Ok(token) = parser.next_including_whitespace_and_comments().cloned() else {
                break;
            };
            match token {
                Token::Semicolon => {
                    let done = std::mem::replace(
                        &mut statement,
                        Statement::starting_at(parser.position().byte_index()),
                    );
                    if let Some(declarations) = declarations.as_deref_mut() {
                        declarations.extend(done.declaration());
                    }
                }
                Token::CurlyBracketBlock => {
                    self.block(
                        parser,
                        &statement,
                        start,
                        declarations.as_deref_mut(),
                        depth,
                    );
                    statement = Statement::starting_at(parser.position().byte_index());
                }
                token => self.token(parser, &mut statement, token, start, depth),
            }
        }
        if let Some(declarations) = declarations {
            declarations.extend(statement.declaration());
        }
    }

    fn block(
        &mut self,
        parser: &mut Parser<'_, '_>,
        statement: &Statement,
        end: usize,
        outer: Option<&mut Vec<Declaration>>,
        depth: usize,
    ) {
        let Some(depth) = depth.checked_sub(1) else {
            self.too_deep = true;
            return;
        };
        if statement.at.is_some() {
            // What stands directly in `@media` inside a rule belongs to that rule.
            self.enter(parser, |walker, parser| {
                walker.statements(parser, outer, depth);
            });
            return;
        }
        let selectors = self.text.get(statement.start..end).unwrap_or_default();
        let mut declarations = Vec::new();
        self.enter(parser, |walker, parser| {
            walker.statements(parser, Some(&mut declarations), depth);
        });
        self.css.keep(Some(selectors.to_owned()), declarations);
    }

    fn token(
        &mut self,
        parser: &mut Parser<'_, '_>,
        statement: &mut Statement,
        token: Token<'_>,
        start: usize,
        depth: usize,
    ) {
        let value = match &token {
            Token::WhiteSpace(_) | Token::Comment(_) | Token::CDO | Token::CDC => return,
            Token::AtKeyword(name) => {
                statement.at = Some(name.to_ascii_lowercase());
                return;
            }
            Token::Ident(name) if statement.name.is_none() => {
                statement.name = Some(name.to_ascii_lowercase());
                return;
            }
            Token::Colon if !statement.colon => {
                statement.colon = true;
                return;
            }
            Token::Delim('!') => {
                statement.bang = true;
                return;
            }
            Token::Ident(name) if statement.bang => {
                statement.important = name.eq_ignore_ascii_case("important");
                return;
            }
            Token::Ident(name) => Value::Keyword(name.to_ascii_lowercase()),
            Token::Dimension { value, unit, .. } => length(*value, unit),
            Token::Number { value, .. } if *value == 0.0 => Value::Pixels(0.0),
            Token::Number { value, .. } => Value::Unitless(*value),
            _ => Value::Other,
        };
        statement.value_token(value);
        self.urls(parser, statement, &token, start, depth, false);
    }

    /// Notes the URL in a token, entering functions and brackets.
    fn urls(
        &mut self,
        parser: &mut Parser<'_, '_>,
        statement: &Statement,
        token: &Token<'_>,
        start: usize,
        depth: usize,
        nested: bool,
    ) {
        let end = parser.position().byte_index();
        match token {
            Token::UnquotedUrl(url) => self.found(start..end, url, statement.role(nested)),
            Token::QuotedString(url) if nested || statement.at.as_deref() == Some("import") => {
                self.found(start..end, url, statement.role(true));
            }
            Token::Function(name) if is_url_function(name) => {
                self.url_function(parser, statement, start, nested);
            }
            Token::Function(name) => {
                // A string is a URL inside image-set() alone; elsewhere it is text.
                let images = name.to_ascii_lowercase().ends_with("image-set");
                self.nested(parser, statement, depth, images);
            }
            Token::ParenthesisBlock | Token::SquareBracketBlock | Token::CurlyBracketBlock => {
                self.nested(parser, statement, depth, false);
            }
            _ => {}
        }
    }

    fn nested(
        &mut self,
        parser: &mut Parser<'_, '_>,
        statement: &Statement,
        depth: usize,
        strings: bool,
    ) {
        let Some(depth) = depth.checked_sub(1) else {
            self.too_deep = true;
            return;
        };
        self.enter(parser, |walker, parser| {
            loop {
                let start = parser.position().byte_index();
                let Ok(token) = parser.next_including_whitespace_and_comments().cloned() else {
                    return;
                };
                if matches!(token, Token::QuotedString(_)) && !strings {
                    continue;
                }
                walker.urls(parser, statement, &token, start, depth, true);
            }
        });
    }

    /// `url("...")`: cssparser gives a function with a string inside.
    fn url_function(
        &mut self,
        parser: &mut Parser<'_, '_>,
        statement: &Statement,
        start: usize,
        nested: bool,
    ) {
        let mut url = None;
        self.enter(parser, |_, parser| {
            while let Ok(token) = parser.next_including_whitespace_and_comments() {
                if let Token::QuotedString(text) = token
                    && url.is_none()
                {
                    url = Some(text.to_string());
                }
            }
        });
        let end = parser.position().byte_index();
        if let Some(url) = url {
            self.found(start..end, &url, statement.role(nested));
        }
    }

    fn found(&mut self, range: Range<usize>, url: &str, role: Role) {
        self.css.urls.push(UrlToken {
            range,
            url: url.to_owned(),
            role,
        });
    }

    /// Enters the block that the last token opened. Our closures read it to its end, so there is no error to see.
    fn enter(
        &mut self,
        parser: &mut Parser<'_, '_>,
        read: impl FnOnce(&mut Self, &mut Parser<'_, '_>),
    ) {
        let outcome = parser.parse_nested_block(|parser| {
            read(self, parser);
            Ok::<(), cssparser::ParseError<'_, ()>>(())
        });
        if outcome.is_err() {
            // Unread rest of a block: treat like too deep rather than pass it over in silence.
            self.too_deep = true;
        }
    }
}

fn is_url_function(name: &str) -> bool {
    name.eq_ignore_ascii_case("url") || name.eq_ignore_ascii_case("src")
}

/// A length in pixels where the unit is absolute.
fn length(value: f32, unit: &str) -> Value {
    let factor = match unit.to_ascii_lowercase().as_str() {
        "px" => 1.0,
        "pt" => 96.0 / 72.0,
        "pc" => 16.0,
        "in" => 96.0,
        "cm" => 96.0 / 2.54,
        "mm" => 96.0 / 25.4,
        "q" => 96.0 / 101.6,
        _ if value == 0.0 => 0.0,
        _ => return Value::Other,
    };
    Value::Pixels(value * factor)
}

#[cfg(test)]
#[path = "css_tests.rs"]
mod tests;
