//! What stands around each element and hides it: a stack of the elements that are open.
//!
//! An element counts only where every browser has it around what stands in its text: it has an end tag of its own, and nothing in
//! between makes a browser close it earlier or put what is inside before it (HTML 13.2.6.4.7 and 13.2.6.4.9). When in doubt there
//! is nothing around. It knows no URL and passes no judgement.

use super::hiding::{Hiding, is_block};

/// What hides an element from outside.
pub(in crate::pixel) type Cover = Hiding;

/// What kind of element, as far as parsing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Block,
    /// What a block inside may tear apart.
    Inline,
    Table,
    Section,
    Row,
    Cell,
    /// What keeps the items inside it together.
    List,
    Other,
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "span" | "a" => Self::Inline,
            "table" => Self::Table,
            "tbody" | "thead" | "tfoot" => Self::Section,
            "tr" => Self::Row,
            "td" | "th" => Self::Cell,
            "ul" | "ol" | "dl" => Self::List,
            name if is_block(name) => Self::Block,
            _ => Self::Other,
        }
    }
}

/// Inline elements that leave what is around them alone.
const PHRASING: [&str; 21] = [
    "span", "img", "image", "input", "b", "i", "em", "strong", "small", "u", "font", "br",
    "picture", "source", "video", "audio", "iframe", "sup", "sub", "wbr", "track",
];

/// Elements whose start tag may close blocks around it.
const CLOSING: [&str; 4] = ["li", "dd", "dt", "button"];

/// One open element.
#[derive(Debug, Clone, Copy)]
struct Opened {
    kind: Kind,
    /// Where its end tag begins.
    end: usize,
    /// What hides its children.
    cover: Cover,
    /// What hides the cells inside it; its other children a browser puts before the table.
    cells: Cover,
    /// A browser may have closed it already.
    broken: bool,
}

/// The open elements of one document, walked from its first tag to its last.
#[derive(Debug, Default)]
pub(in crate::pixel) struct Covers(Vec<Opened>);

impl Covers {
    /// Comes to the tag at `start`: what has ended by then is not around it, nor what this tag `closes` for a browser, if it does.
    /// Returns what hides it.
    pub(in crate::pixel) fn come_to(&mut self, start: usize, name: &str, closes: bool) -> Cover {
        while self.0.last().is_some_and(|opened| opened.end <= start) {
            self.0.pop();
        }
        if closes {
            self.break_up(name);
        }
        let kind = Kind::of(name);
        let Some(around) = self.0.last() else {
            return Cover::default();
        };
        match kind {
            Kind::Cell if around.kind == Kind::Row => around.cells,
            Kind::Row | Kind::Section => Cover::default(),
            _ => around.cover,
        }
    }

    /// Opens the element that was come to. `cover` is what hides it, `hiding` how it hides what is inside.
    pub(in crate::pixel) fn open(&mut self, name: &str, end: usize, cover: Cover, hiding: Hiding) {
        let around = self.0.last();
        if around.is_some_and(|around| end > around.end) {
            // Two readings that lie across one another.
            return;
        }
        let kind = Kind::of(name);
        let inside = joined(cover, hiding);
        let nothing = Cover::default();
        let outer = around.map_or(nothing, |around| around.cover);
        let (for_children, cells) = match (kind, around.map(|around| around.kind)) {
            (Kind::Table, _) => (cover, inside),
            (Kind::Section, Some(Kind::Table)) | (Kind::Row, Some(Kind::Table | Kind::Section)) => {
                let cells = around.map_or(nothing, |around| around.cells);
                (outer, joined(cells, hiding))
            }
            (Kind::Section | Kind::Row, _) => (nothing, nothing),
            (Kind::Cell, Some(Kind::Row)) | (Kind::Block | Kind::Inline, _) => (inside, nothing),
            (Kind::Cell, _) => (nothing, nothing),
            (Kind::List | Kind::Other, _) => (cover, nothing),
        };
        self.0.push(Opened {
            kind,
            end,
            cover: for_children,
            cells,
            broken: false,
        });
    }

    /// What the start tag of this element makes a browser close is no longer relied on.
    fn break_up(&mut self, name: &str) {
        let kind = Kind::of(name);
        let is_item = CLOSING.contains(&name);
        let in_table = ["caption", "col", "colgroup"].contains(&name);
        let stops = |opened: &Opened| match kind {
            Kind::Cell => opened.kind == Kind::Row,
            Kind::Row => matches!(opened.kind, Kind::Section | Kind::Table),
            _ if kind == Kind::Section || in_table => opened.kind == Kind::Table,
            _ if is_item => matches!(opened.kind, Kind::Table | Kind::Cell | Kind::List),
            _ => !matches!(opened.kind, Kind::Inline | Kind::Other),
        };
        let structural = matches!(kind, Kind::Cell | Kind::Row | Kind::Section) || in_table;
        // AMP's elements must not count: some are cut, which must not change what is around the others.
        let phrasing = PHRASING.contains(&name) || name.starts_with("amp-");
        if !structural && !is_item && phrasing {
            return;
        }
        // What lies further out than something broken is broken already, or nothing reaches it.
        let kept = |opened: &Opened| opened.broken || stops(opened);
        let from = self.0.iter().rposition(kept);
        let outer = from.and_then(|at| self.0.get(at));
        let cover = outer.map_or(Cover::default(), |outer| outer.cover);
        let first = from.map_or(0, |at| at.saturating_add(1));
        for opened in self.0.iter_mut().skip(first) {
            opened.cover = cover;
            opened.cells = Cover::default();
            opened.broken = true;
        }
    }
}

/// What hides an element and what it adds, for what is inside it.
fn joined(cover: Cover, hiding: Hiding) -> Cover {
    Cover {
        wholly: cover.wholly.or(hiding.wholly),
        by_visibility: cover.by_visibility || hiding.by_visibility,
        by_place: cover.by_place.or(hiding.by_place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone() -> Hiding {
        Hiding {
            wholly: Some("x"),
            ..Hiding::default()
        }
    }

    /// What hides the last of some start tags; those with a star hide what is inside. All end behind it.
    fn covered(tags: &[&str]) -> bool {
        let mut covers = Covers::default();
        let mut last = Cover::default();
        for (number, tag) in tags.iter().enumerate() {
            let name = tag.trim_end_matches('*');
            last = covers.come_to(number, name, true);
            let hiding = if name == *tag {
                Hiding::default()
            } else {
                gone()
            };
            covers.open(name, 1_000 - number, last, hiding);
        }
        last.wholly.is_some()
    }

    #[test]
    fn what_is_around_for_every_browser_hides() {
        for tags in [
            &["div*", "img"][..],
            &["div*", "p", "b", "img"],
            &["div*", "table", "tr", "td", "img"],
            &["span*", "b", "img"],
            &["a*", "img"],
            &["table*", "tr", "td", "img"],
            &["table", "tbody*", "tr", "td", "div", "img"],
            &["table", "tr*", "td", "img"],
            &["table", "tr", "td*", "table", "tr", "td", "img"],
            &["center*", "div", "ul", "img"],
        ] {
            assert!(covered(tags), "{tags:?}");
        }
    }

    #[test]
    fn what_a_browser_may_close_or_move_does_not() {
        for tags in [
            &["div", "img"][..],
            &["p*", "img"],
            &["b*", "img"],
            // A browser puts it before the table.
            &["table*", "img"],
            &["table*", "tr", "img"],
            &["table*", "div", "td", "img"],
            &["tr*", "td", "img"],
            &["td*", "img"],
            // The next cell ends what the cell before it left open.
            &["table", "tr", "td", "div*", "td", "img"],
            &["table", "tr", "td*", "td", "img"],
            &["table", "tr*", "td", "tr", "td", "img"],
            &["ul", "li", "div*", "li", "img"],
            &["button", "div*", "button", "img"],
            // A block ends a paragraph and the span in it.
            &["span*", "div", "img"],
            &["a*", "a", "img"],
        ] {
            assert!(!covered(tags), "{tags:?}");
        }
    }

    #[test]
    fn readings_that_lie_across_one_another_hide_nothing() {
        let mut covers = Covers::default();
        let first = covers.come_to(0, "div", true);
        covers.open("div", 10, first, Hiding::default());
        let second = covers.come_to(5, "div", true);
        covers.open("div", 20, second, gone());
        assert_eq!(covers.come_to(6, "img", true), Cover::default());
    }
}
