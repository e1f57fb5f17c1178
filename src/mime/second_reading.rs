//! The second reader: mail-parser looks at a message whose structure is disputed, and may find HTML that we do not examine.
//!
//! It only ever adds suspicion. A reader that breaks down on a message counts as one that sees more.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mail_parser::{Encoding as Theirs, Message, MessageParser, PartType};

use super::transfer_encoding::Encoding;
use super::tree::{Kind, Part, Scope, Tree};

/// Messages longer than this are not given to the second reader, which keeps copies; they count as seen differently.
const SECOND_READER_OCTETS: usize = 64 * 1024 * 1024;

/// Whether the second reader finds an HTML part that no part of ours covers.
pub(super) fn sees_more(message: &[u8], tree: &Tree) -> bool {
    if message.len() > SECOND_READER_OCTETS {
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
