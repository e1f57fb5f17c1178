//! Which parts a client renders by itself, and what may be done to them.
//!
//! DESIGN: HTML that is shown without a click is examined; attachments, reports and encrypted parts are not; below a
//! signature nothing is edited. In doubt a part is examined. It must never know what is looked for in the parts.

use std::collections::HashMap;

use super::cms;
use super::sniff::{begins_like_html, contains_tag};
use super::transfer_encoding::{Encoding, decode};
use super::tree::{
    Disorder, Disposition, Dispute, ExamineOnly, Kind, MediaType, OutOfScope, Part, Scope, Tree,
};

/// Raw octets of a body decoded to guess what it is.
const SNIFFED_OCTETS: usize = 4 * 1024;

/// Raw octets of an S/MIME body decoded to see whether it is encrypted.
const CMS_OCTETS: usize = 256;

/// What a part passes on to the parts in it.
#[derive(Debug, Clone, Copy, Default)]
struct Inherited {
    signed: bool,
    report: bool,
    encrypted: bool,
    attachment: bool,
    alternative: bool,
    related: bool,
    /// The part is the root of a message.
    root: bool,
}

/// Gives every part its kind and scope. Parents stand before their children.
pub(super) fn assign(message: &[u8], parts: &mut [Part]) -> Vec<Disorder> {
    let mut disorders = Vec::new();
    let mut passed_on: Vec<Inherited> = Vec::with_capacity(parts.len());
    let starts: Vec<Option<String>> = parts.iter().map(|part| part.labels.start.clone()).collect();
    for part in parts.iter_mut() {
        let parent = part.parent;
        let around = parent.and_then(|parent| passed_on.get(parent)).copied();
        let around = around.unwrap_or(Inherited {
            root: true,
            ..Inherited::default()
        });
        let start = parent
            .and_then(|parent| starts.get(parent))
            .and_then(Option::as_ref);
        classify(message, part, &mut disorders);
        let root_of_related = around.related
            && (part.labels.ordinal == 1 || start.is_some() && part.content_id.as_ref() == start);
        let shown_anyway = around.root || around.alternative || root_of_related;
        let attached = part.disposition == Disposition::Attachment && !shown_anyway;
        part.labels.signed |= around.signed;
        part.scope = scope_of(part, &around, around.attachment || attached);
        passed_on.push(Inherited {
            signed: around.signed || part.reads_as("multipart/signed"),
            report: around.report || part.reads_as("multipart/report"),
            encrypted: around.encrypted || part.reads_as("multipart/encrypted"),
            // No client treats a multipart as one attachment.
            attachment: around.attachment || attached && part.kind != Kind::Multipart,
            alternative: part.reads_as("multipart/alternative"),
            related: part.reads_as("multipart/related"),
            root: part.kind == Kind::Message,
        });
    }
    disorders
}

/// HTML attachments by Content-ID, until the HTML itself loads them by `cid:`.
#[derive(Debug, Default)]
pub struct Attached {
    by_id: HashMap<String, Vec<usize>>,
}

impl Attached {
    /// Those of a message.
    pub fn of(tree: &Tree) -> Self {
        let mut by_id: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, part) in tree.parts.iter().enumerate() {
            let attached = part.scope == Scope::OutOfScope(OutOfScope::Attachment);
            if let Some(id) = part.content_id.as_deref().filter(|_| attached) {
                by_id.entry(normal_id(id)).or_default().push(index);
            }
        }
        Self { by_id }
    }

    /// Puts those with these identifiers into scope, and gives their places in the tree in ascending order. The identifiers
    /// are what follows `cid:`, with or without percent escapes. Each attachment is given once, however often it is asked
    /// for: a chain of them costs no more than a row.
    pub fn promote<'a>(
        &mut self,
        tree: &mut Tree,
        cids: impl IntoIterator<Item = &'a str>,
    ) -> Vec<usize> {
        let mut promoted: Vec<usize> = cids
            .into_iter()
            .filter_map(|cid| self.by_id.remove(&normal_id(cid)))
            .flatten()
            .collect();
        promoted.sort_unstable();
        for index in &promoted {
            if let Some(part) = tree.parts.get_mut(*index) {
                part.scope = scope_of(part, &Inherited::default(), false);
            }
        }
        promoted
    }
}

fn normal_id(id: &str) -> String {
    let plain = super::content_type::percent_decoded(id.as_bytes(), false);
    super::meaning::bare_id(&super::header::readable(&plain)).to_ascii_lowercase()
}

/// What a leaf is, over all its readings.
fn classify(message: &[u8], part: &mut Part, disorders: &mut Vec<Disorder>) {
    if part.kind != Kind::Other || part.labels.unread.is_some() {
        return;
    }
    if is_pkcs7(part) {
        part.kind = pkcs7_kind(message, part);
    } else if part.readings.iter().any(MediaType::is_html) || sniffed(message, part) {
        part.kind = Kind::Html;
        let body = message.get(part.body.clone()).unwrap_or_default();
        // No base64 holds `<`: some clients show such a body as it stands.
        if part.encodings.first() == Some(&Encoding::Base64)
            && !part.encodings.contains(&Encoding::Identity)
            && memchr::memchr(b'<', body).is_some()
        {
            part.encodings.push(Encoding::Identity);
            disorders.push(Disorder {
                at: part.body.start,
                what: Dispute::JunkInBase64,
            });
        }
    } else if part.readings.iter().any(MediaType::is_amp) {
        part.kind = Kind::Amp;
    }
}

/// Whether a client that has no label to go by would take the part for HTML.
fn sniffed(message: &[u8], part: &Part) -> bool {
    if !part.labels.unlabelled {
        return false;
    }
    let body = message.get(part.body.clone()).unwrap_or_default();
    let first = match part.labels.disputed {
        true => body,
        false => body
            .get(..SNIFFED_OCTETS.min(body.len()))
            .unwrap_or_default(),
    };
    part.encodings
        .iter()
        .any(|encoding| match decode(first, *encoding) {
            Ok(decoded) if part.labels.disputed => contains_tag(&decoded.bytes),
            Ok(decoded) => begins_like_html(&decoded.bytes),
            // What cannot be decoded cannot be acquitted either.
            Err(_) => true,
        })
}

/// Whether the part is an S/MIME body (RFC 8551 3.2).
pub(super) fn is_pkcs7(part: &Part) -> bool {
    part.reads_as("application/pkcs7-mime") || part.reads_as("application/x-pkcs7-mime")
}

/// The label does not count: what is inside says whether it is encrypted. Signed but not encrypted, clients render it.
fn pkcs7_kind(message: &[u8], part: &Part) -> Kind {
    let body = message.get(part.body.clone()).unwrap_or_default();
    let first = body.get(..CMS_OCTETS.min(body.len())).unwrap_or_default();
    let encrypted = part.encodings.iter().all(|encoding| {
        decode(first, *encoding).is_ok_and(|decoded| cms::is_encrypted(&decoded.bytes))
    });
    match encrypted {
        true => Kind::Other,
        false => Kind::EncodedMessage,
    }
}

fn scope_of(part: &Part, around: &Inherited, attached: bool) -> Scope {
    if let Some(unread) = part.labels.unread {
        return Scope::Unread(unread);
    }
    match part.kind {
        Kind::Multipart | Kind::Message => return Scope::Container,
        Kind::Other if around.encrypted || is_pkcs7(part) => {
            return Scope::OutOfScope(OutOfScope::Encrypted);
        }
        Kind::Other => return Scope::NotRendered,
        // Readable HTML below multipart/encrypted is not encrypted, whatever its label says.
        Kind::Html | Kind::Amp | Kind::EncodedMessage => {}
    }
    if around.report {
        Scope::OutOfScope(OutOfScope::Report)
    } else if attached {
        Scope::OutOfScope(OutOfScope::Attachment)
    } else if part.kind == Kind::EncodedMessage {
        Scope::ExamineOnly(ExamineOnly::Encoded)
    } else if part.labels.signed {
        Scope::ExamineOnly(ExamineOnly::Signed)
    } else if part.labels.disputed {
        Scope::ExamineOnly(ExamineOnly::Disputed)
    } else {
        Scope::Examine
    }
}
