//! The second reader: mail-parser looks at a message whose structure is disputed, and may find HTML that we do not examine.
//!
//! It only ever adds suspicion. A reader that breaks down on a message counts as one that sees more.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mail_parser::{Encoding as Theirs, Message, MessageParser, PartType};

use super::transfer_encoding::Encoding;
use super::tree::{Kind, Part, Scope, Tree};

/// Messages longer than this are not given to the second reader, which keeps copies; they count as seen differently.
const SECOND_READER_OCTETS: usize = 64 * 1024 * 1024;

/// For every boundary declared the second reader may look through the whole message: the octets it may look at in all.
const OCTETS_LOOKED_AT: usize = 1_000_000_000;

/// Messages inside messages are dropped by recursion: how many labels of such there may be.
const NESTED_MESSAGES: usize = 500;

/// Whether the second reader finds an HTML part that no part of ours covers.
pub(super) fn sees_more(message: &[u8], tree: &Tree) -> bool {
    if message.len() > SECOND_READER_OCTETS || is_too_costly(message) {
        return true;
    }
    // mail-parser 0.11 is known to panic on some hostile input; a panic must not take the session with it.
    let theirs = catch_unwind(AssertUnwindSafe(|| {
        MessageParser::new()
            .with_mime_headers()
            .parse(message)
            .map(|parsed| html_leaves(&parsed))
    }));
    match theirs {
        Ok(Some(leaves)) => leaves
            .iter()
            .any(|leaf| !tree.parts.iter().any(|part| covers(part, leaf))),
        Ok(None) => false,
        Err(_) => true,
    }
}

/// Whether the message could cost the second reader more than linear time or stack. Counted in the octets, not in our
/// tree: it cuts parts where we see none.
fn is_too_costly(message: &[u8]) -> bool {
    let boundaries = count(message, b"boundary");
    let messages = [b"rfc822".as_slice(), b"global", b"digest"];
    let messages: usize = messages.iter().map(|word| count(message, word)).sum();
    boundaries.saturating_mul(message.len()) > OCTETS_LOOKED_AT || messages > NESTED_MESSAGES
}

/// How often a lower-case word stands in the octets, in any case.
fn count(octets: &[u8], word: &[u8]) -> usize {
    let first = word.first().copied().unwrap_or_default();
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), octets)
        .filter(|at| {
            octets
                .get(*at..at + word.len())
                .is_some_and(|found| found.eq_ignore_ascii_case(word))
        })
        .count()
}

/// An HTML part as the second reader sees it.
struct Leaf {
    start: usize,
    end: usize,
    encoding: Encoding,
}

/// The HTML parts, those of messages inside included as long as their offsets are of the whole message.
fn html_leaves(parsed: &Message<'_>) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    let mut messages = vec![parsed];
    while let Some(message) = messages.pop() {
        for part in &message.parts {
            match &part.body {
                PartType::Html(_) => leaves.push(Leaf {
                    start: part.raw_body_offset() as usize,
                    end: part.raw_end_offset() as usize,
                    encoding: match part.encoding {
                        Theirs::None => Encoding::Identity,
                        Theirs::QuotedPrintable => Encoding::QuotedPrintable,
                        Theirs::Base64 => Encoding::Base64,
                    },
                }),
                // Offsets in a decoded message count from its own start; we call such a part an encoded message.
                PartType::Message(inner) if part.encoding == Theirs::None => messages.push(inner),
                _ => {}
            }
        }
    }
    leaves
}

/// Whether examining `part`, or deliberately not doing so, takes care of a leaf.
fn covers(part: &Part, leaf: &Leaf) -> bool {
    let looked_at = matches!(part.kind, Kind::Html | Kind::Amp | Kind::EncodedMessage)
        && !matches!(part.scope, Scope::Unread(_));
    let inside = part.body.start <= leaf.start && leaf.end <= part.body.end.max(leaf.start);
    let same_start = part.body.start == leaf.start;
    let decodes_alike = match leaf.encoding {
        // Groups of base64 only mean the same from the same start.
        Encoding::Base64 => same_start && part.encodings.contains(&Encoding::Base64),
        encoding => part.encodings.contains(&encoding),
    };
    looked_at && (inside || same_start && leaf.end <= part.body.end + 2) && decodes_alike
}

/// Body ranges of the HTML parts the second reader finds.
#[cfg(test)]
pub(super) fn html_ranges(message: &[u8]) -> Option<Vec<std::ops::Range<usize>>> {
    let parsed = MessageParser::new().with_mime_headers().parse(message)?;
    Some(
        html_leaves(&parsed)
            .iter()
            .map(|leaf| leaf.start..leaf.end)
            .collect(),
    )
}
