//! Walks a message: where its parts are, over every plausible reading of its structure.
//!
//! The first reading is the likeliest and the one that edits follow. Where readers of mail differ, the others are taken
//! too, and what only they see is examined and never edited. It never fails and never recurses; time is linear.

use std::collections::HashMap;

use super::structure::{self, Reading, Structure};
use super::tree::{ExamineOnly, Kind, Limits, Part, Scope, Tree, Unread};
use super::{scope, second_reading};

#[cfg(test)]
mod tests;

/// The parts of a message.
pub fn walk(message: &[u8], limits: &Limits) -> Tree {
    let first = Reading {
        boundary: 0,
        loose: false,
    };
    let Structure {
        mut parts,
        mut disorders,
        unread,
        boundaries,
        possible_delimiter,
    } = structure::read(message, limits, first);
    disorders.extend(scope::assign(message, &mut parts));
    disorders.truncate(limits.disorders);
    let mut tree = Tree {
        parts,
        disorders,
        second_reading_differs: false,
        unread,
    };
    let mut loose_too = possible_delimiter;
    let mut strict = 1;
    let mut boundaries = boundaries.min(limits.readings);
    while strict < boundaries {
        let other = structure::read(
            message,
            limits,
            Reading {
                boundary: strict,
                loose: false,
            },
        );
        loose_too |= other.possible_delimiter;
        boundaries = boundaries.max(other.boundaries.min(limits.readings));
        add_other(message, limits, &mut tree, other);
        strict += 1;
    }
    for boundary in 0..boundaries.max(1) {
        if loose_too {
            let other = structure::read(
                message,
                limits,
                Reading {
                    boundary,
                    loose: true,
                },
            );
            add_other(message, limits, &mut tree, other);
        }
    }
    if !tree.disorders.is_empty() && tree.unread.is_empty() {
        tree.second_reading_differs = second_reading::sees_more(message, &tree);
    }
    tree
}

/// Adds what only another reading of the structure sees.
fn add_other(message: &[u8], limits: &Limits, tree: &mut Tree, mut other: Structure) {
    scope::assign(message, &mut other.parts);
    for unread in other.unread {
        if !tree.unread.contains(&unread) {
            tree.unread.push(unread);
        }
    }
    let mut by_start: HashMap<usize, Vec<usize>> = HashMap::new();
    for (place, part) in tree.parts.iter().enumerate() {
        by_start.entry(part.body.start).or_default().push(place);
    }
    for mut part in other.parts {
        let rendered = matches!(part.kind, Kind::Html | Kind::Amp | Kind::EncodedMessage);
        let known = by_start
            .get(&part.body.start)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut known = known.iter().filter_map(|place| tree.parts.get(*place));
        if !rendered || known.any(|known| covers(known, &part)) {
            continue;
        }
        if tree.parts.len() >= limits.parts {
            if !tree.unread.contains(&Unread::Parts) {
                tree.unread.push(Unread::Parts);
            }
            return;
        }
        part.path.disputed = true;
        part.labels.disputed = true;
        part.parent = Some(0);
        if part.scope == Scope::Examine {
            part.scope = Scope::ExamineOnly(ExamineOnly::Disputed);
        }
        tree.parts.push(part);
    }
}

/// Whether examining `known` sees all that examining `part`, which begins at the same octet, would see.
fn covers(known: &Part, part: &Part) -> bool {
    let examined = |scope: Scope| matches!(scope, Scope::Examine | Scope::ExamineOnly(_));
    known.body.end >= part.body.end
        && known.kind == part.kind
        && known.labels.undivided == part.labels.undivided
        && (examined(known.scope) || !examined(part.scope))
        && part
            .encodings
            .iter()
            .all(|encoding| known.encodings.contains(encoding))
        && part
            .charsets
            .iter()
            .all(|charset| known.charsets.contains(charset))
}
