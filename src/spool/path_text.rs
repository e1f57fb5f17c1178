//! Paths back from the text between their brackets, as the envelope files hold it.

use crate::smtp::path::{ForwardPath, Mailbox, ReversePath};

/// A reverse-path; the empty text is the null one.
pub(super) fn reverse(text: &str) -> Option<ReversePath> {
    if text.is_empty() {
        return Some(ReversePath::Null);
    }
    mailbox(text).map(ReversePath::Mailbox)
}

/// A forward-path; `postmaster` in any case needs no domain.
pub(super) fn forward(text: &str) -> Option<ForwardPath> {
    if text.eq_ignore_ascii_case("postmaster") {
        return Some(ForwardPath::Postmaster(text.to_owned()));
    }
    mailbox(text).map(ForwardPath::Mailbox)
}

fn mailbox(text: &str) -> Option<Mailbox> {
    Mailbox::new(text.to_owned(), text.rfind('@')?)
}
