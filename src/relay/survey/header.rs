//! What a message's header says to us: our own fields, signatures of others, its Message-ID.
//!
//! Ranges are what to cut to remove a field whole. Nothing of people is kept but the Message-ID, which is only ever hashed.

use std::ops::Range;

use super::super::streams::Asked;
use crate::mime::{header as fields, trace};

/// Addresses of To and Cc that are looked for.
const ADDRESSED_MAX: usize = 100;

/// What the header says.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// Whose mail it says it is, and what for.
    pub asked: Asked,
    /// Where `List-Unsubscribe` leads.
    pub unsubscribe: Vec<String>,
    /// Every `Pixelgate-*` field, whole.
    pub pixelgate_fields: Vec<Range<usize>>,
    /// Domains that signed, each once.
    pub dkim: Vec<String>,
    /// Every `DKIM-Signature` field, whole.
    pub dkim_fields: Vec<Range<usize>>,
    /// Addresses that the message names as its recipients, beside the envelope.
    pub addressed: Vec<String>,
    /// Subject and author: what stands there names no recipient.
    pub shared_text: String,
    /// The first Message-ID.
    pub message_id: Option<String>,
}

/// Reads it.
pub fn header(message: &[u8]) -> Header {
    let mut header = Header::default();
    for field in trace::own_fields(message) {
        let asked = &mut header.asked;
        match field.name.as_str() {
            "pixelgate-stream" => asked.streams.push(field.value),
            "pixelgate-controller" => asked
                .controllers
                .push((!field.folded).then_some(field.value)),
            "pixelgate-purpose" => asked.purposes.push(field.value),
            _ => {}
        }
        header.pixelgate_fields.push(field.whole);
    }
    for signature in trace::dkim_signatures(message) {
        let domain = signature.domain.unwrap_or_else(|| "unknown".to_owned());
        if !header.dkim.contains(&domain) {
            header.dkim.push(domain);
        }
        header.dkim_fields.push(signature.whole);
    }
    header.unsubscribe = trace::unsubscribe_targets(message);
    let end = fields::end_of_header(message);
    for field in fields::fields(message, 0..end) {
        if ["To", "Cc"].iter().any(|name| field.is(message, name)) {
            let text = field.value_text(message);
            let words = text.split(|c: char| c.is_whitespace() || "<>,;:\"()".contains(c));
            let addresses = words.filter(|word| word.contains('@')).map(str::to_owned);
            let room = ADDRESSED_MAX.saturating_sub(header.addressed.len());
            header.addressed.extend(addresses.take(room));
        } else if ["From", "Subject"]
            .iter()
            .any(|name| field.is(message, name))
        {
            header.shared_text.push_str(&field.value_text(message));
            header.shared_text.push(' ');
        }
    }
    header.message_id = fields::fields(message, 0..end)
        .find(|field| field.is(message, "Message-ID"))
        .map(|field| field.value_text(message));
    header
}
