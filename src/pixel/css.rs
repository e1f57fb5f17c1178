//! CSS as far as tracking goes: where a URL token stands, and which rules set a size. cssparser tokenises; nothing is
//! ever printed again.
//!
//! It knows neither elements nor vendors. Blocks nested deeper than [`DEPTH_MAX`] are an error, never skipped.

mod declarations;

use std::ops::Range;

pub(super) use self::declarations::{AWAY, AWAY_PX, Declaration, NOTHING, Value};
use self::declarations::{absolute, declarations};
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
    /// A font, a pointer, something in an SVG: where it leads nowhere the next choice is taken, or none.
    Reference,
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

/// Reads a `<style>` element's text.
pub(super) fn sheet(text: &str) -> Result<Css, TooMuch> {
    read(text, None)
}

/// Reads a `style` attribute's text: one rule without selectors.
pub(super) fn attribute(text: &str) -> Result<Css, TooMuch> {
    read(text, Some(String::new()))
}

/// Reads an SVG presentation attribute's text: a value without its property.
pub(super) fn reference(text: &str) -> Result<Css, TooMuch> {
    let statement = Statement {
        name: Some("filter".to_owned()),
        colon: Some(0),
        ..Statement::default()
    };
    read_from(text, Some(String::new()), statement)
}

fn read(text: &str, selectors: Option<String>) -> Result<Css, TooMuch> {
    read_from(text, selectors, Statement::default())
}

fn read_from(text: &str, selectors: Option<String>, statement: Statement) -> Result<Css, TooMuch> {
    let mut input = ParserInput::new(text);
    let mut parser = Parser::new(&mut input);
    let mut walker = Walker {
        text,
        css: Css::default(),
        too_deep: false,
        conditions: 0,
        rules: 0,
    };
    let mut declarations = Vec::new();
    let inside = selectors.is_some();
    let declared = inside.then_some(&mut declarations);
    walker.statements(&mut parser, statement, declared, DEPTH_MAX);
    if walker.too_deep {
        return Err(TooMuch);
    }
    walker.css.keep(selectors, declarations);
    Ok(walker.css)
}

impl Css {
    /// What a style attribute declares of its own element.
    pub(super) fn own(&self) -> &[Declaration] {
        let own = self.rules.iter().find(|rule| rule.selectors.is_empty());
        own.map_or(&[], |rule| rule.declarations.as_slice())
    }

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
    /// At-rules around what is read.
    conditions: usize,
    /// Rules around it.
    rules: usize,
}

/// What has been read of the current statement.
#[derive(Default)]
struct Statement {
    start: usize,
    /// Lower-case at-keyword.
    at: Option<String>,
    /// Lower-case first identifier.
    name: Option<String>,
    /// Where the octet after the colon stands.
    colon: Option<usize>,
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
            // `src` is the property of a font alone.
            Some(
                "src" | "cursor" | "filter" | "-webkit-filter" | "backdrop-filter" | "clip-path"
                | "-webkit-clip-path" | "fill" | "stroke" | "marker" | "marker-start"
                | "marker-mid" | "marker-end" | "offset-path",
            ) => Role::Reference,
            _ => Role::Image,
        }
    }

    /// Names something without loading it.
    fn loads_nothing(&self) -> bool {
        let at = self.at.as_deref();
        at.is_some_and(|at| at == "namespace" || at.ends_with("document"))
    }

    /// A string in a custom property that may become a URL by way of `var()`.
    fn may_become_url(&self, text: &str) -> bool {
        let custom = self.name.as_deref();
        let text = text.trim_start();
        custom.is_some_and(|name| name.starts_with("--"))
            && ["http:", "https:", "//"].iter().any(|start| {
                text.get(..start.len())
                    .is_some_and(|found| found.eq_ignore_ascii_case(start))
            })
    }

    fn value_token(&mut self, value: Value) {
        self.value = Some(match self.value {
            None => value,
            Some(_) => Value::Other,
        });
    }

    /// What it declares, where it ends at `end`.
    fn declarations(self, text: &str, end: usize, always: bool) -> Vec<Declaration> {
        let (Some(name), None, Some(start)) = (&self.name, &self.at, self.colon) else {
            return Vec::new();
        };
        if self.value.is_none() {
            return Vec::new();
        }
        let text = text.get(start..end).unwrap_or_default();
        let single = self.value.filter(|value| *value != Value::Other);
        declarations(name, single, text, self.important, always)
    }
}

impl Walker<'_> {
    /// Whether what is declared here holds wherever the rule matches.
    fn always(&self) -> bool {
        self.conditions == 0 && self.rules <= 1
    }

    /// Reads declarations and rules until the end of the block. `declarations` is where the ones of this block go.
    fn statements(
        &mut self,
        parser: &mut Parser<'_, '_>,
        mut statement: Statement,
        mut declarations: Option<&mut Vec<Declaration>>,
        depth: usize,
    ) {
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
                        declarations.extend(done.declarations(self.text, start, self.always()));
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
            let end = parser.position().byte_index();
            declarations.extend(statement.declarations(self.text, end, self.always()));
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
            self.conditions = self.conditions.saturating_add(1);
            self.enter(parser, |walker, parser| {
                let first = Statement::starting_at(parser.position().byte_index());
                walker.statements(parser, first, outer, depth);
            });
            self.conditions = self.conditions.saturating_sub(1);
            return;
        }
        let selectors = self.text.get(statement.start..end).unwrap_or_default();
        let mut declarations = Vec::new();
        self.rules = self.rules.saturating_add(1);
        self.enter(parser, |walker, parser| {
            let first = Statement::starting_at(parser.position().byte_index());
            walker.statements(parser, first, Some(&mut declarations), depth);
        });
        self.rules = self.rules.saturating_sub(1);
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
            Token::Colon if statement.colon.is_none() => {
                statement.colon = Some(parser.position().byte_index());
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
        if statement.loads_nothing() {
            return;
        }
        match token {
            Token::UnquotedUrl(url) => self.found(start..end, url, statement.role(nested)),
            Token::QuotedString(url) if nested || statement.at.as_deref() == Some("import") => {
                self.found(start..end, url, statement.role(true));
            }
            Token::QuotedString(text) if statement.may_become_url(text) => {
                self.found(start..end, text, Role::Image);
            }
            Token::Function(name) if is_url_function(name) => {
                self.url_function(parser, statement, start, nested);
            }
            Token::Function(name) => {
                self.nested(parser, statement, depth, takes_strings(name));
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
                match &token {
                    Token::QuotedString(text) if !strings && !statement.may_become_url(text) => {}
                    // Its second argument stands where it stands.
                    Token::Function(name) if strings && name.eq_ignore_ascii_case("var") => {
                        walker.nested(parser, statement, depth, true);
                    }
                    token => walker.urls(parser, statement, token, start, depth, true),
                }
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

/// Whether a string in a function is a URL: in lists of images, and in an old filter of Internet Explorer, which Outlook
/// read, too. Elsewhere it is text.
fn takes_strings(function: &str) -> bool {
    let function = function.to_ascii_lowercase();
    function.ends_with("image-set") || function == "image" || function.ends_with("alphaimageloader")
}

/// A length in pixels where the unit is absolute.
fn length(value: f32, unit: &str) -> Value {
    match absolute(&unit.to_ascii_lowercase()) {
        Some(factor) => Value::Pixels(value * factor),
        None if value == 0.0 => Value::Pixels(0.0),
        None => Value::Other,
    }
}

#[cfg(test)]
#[path = "css_tests.rs"]
mod tests;
