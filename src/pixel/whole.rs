//! What is known of a document as a whole, and what holds in it for one load because of others.
//!
//! Copies of a URL acquit each other, a marker speaks against what stands behind it, a rule of `<style>` may call up a class that
//! another element bears. Taking a load out of a document changes none of that for those that stay: a variant is examined by
//! what was known of its original, or what was acquitted there would be a new finding, and the copy refused. It holds URLs and
//! must never be logged. It cannot fail.

use std::collections::HashSet;

use super::style::Name;

/// What is known of one document as a whole. Opaque: it is only handed back, with a variant of the document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whole {
    /// URLs that stand so often that they are layout.
    pub(super) spacers: HashSet<String>,
    /// URLs behind a marker of the operator.
    pub(super) marked: HashSet<String>,
    /// Classes and ids in use that some selector asks for on another element than its subject.
    pub(super) names: HashSet<Name>,
}

impl Whole {
    /// Another reading of the same document: what either knows.
    pub fn extend(&mut self, other: Self) {
        self.spacers.extend(other.spacers);
        self.marked.extend(other.marked);
        self.names.extend(other.names);
    }
}
