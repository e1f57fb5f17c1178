//! CSS: the URL token goes, the declaration stays valid.
//!
//! It knows only what a token is for. It cannot fail.

use super::super::Edit;
use super::super::css::Role;
use super::super::loads::Site;
use super::cut::padding;
use super::{Subject, TRANSPARENT_GIF, Treatment};

/// Replaces the tokens of one load.
pub(super) fn css(subject: &Subject<'_>) -> (Treatment, Vec<Edit>) {
    let mut treatment = Treatment::CssNone;
    let mut edits = Vec::new();
    for number in subject.requests {
        let Some(request) = subject.load.requests.get(*number) else {
            continue;
        };
        let Site::Token {
            range,
            role,
            blanks,
        } = &request.site
        else {
            continue;
        };
        // Several places behind one token, by several bases: it is cut once.
        if edits.last().is_some_and(|edit: &Edit| edit.range == *range) {
            continue;
        }
        let (named, token) = match role {
            Role::Background => (Treatment::CssNone, "none".to_owned()),
            Role::Image => (Treatment::CssBlankImage, format!("url({TRANSPARENT_GIF})")),
            Role::Reference => (Treatment::CssEmptyUrl, "url(data:,)".to_owned()),
            Role::Import => (Treatment::CssBlankSheet, "url(data:text/css,)".to_owned()),
        };
        treatment = named;
        // An identifier must not grow together with what follows.
        let joins = subject.html.get(range.end).is_some_and(|next| {
            next.is_ascii_alphanumeric() || matches!(next, b'-' | b'_' | b'(' | b'\\' | 0x80..)
        });
        let separator = if joins { "/**/" } else { "" };
        let written = format!("{token}{separator}");
        let blanks = if *blanks {
            padding(range.len(), written.len())
        } else {
            0
        };
        edits.push(Edit {
            range: range.clone(),
            replacement: [" ".repeat(blanks).as_bytes(), written.as_bytes()].concat(),
        });
    }
    (treatment, edits)
}
