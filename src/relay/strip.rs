//! Splices → one variant, and its second examination (DESIGN 4 "Splice, never re-serialise").
//!
//! A variant is the client's octets with our splices. Before it may leave it is walked and examined again: the same tree, the
//! same octets outside the ranges, none of the stripped findings left and no other appeared. Whatever does not hold makes the
//! copy uninspectable; there is no way to send it all the same. It must never know for whom a variant is.

use std::collections::{BTreeMap, BTreeSet};

use super::examine::Case;
use super::plan::{Cause, Treatment};
use super::survey::{Found, Lens, Survey, Uninspectable, survey};
use crate::consent::{Reason, StreamKind};
use crate::mime::splice::{Splice, Spliced, same_outside};
use crate::mime::transfer_encoding::decode;
use crate::mime::tree::same_tree;
use crate::pixel::Edit;

/// Why a message is refused whose signature by somebody else may not be broken (`existing_signature = "refuse"`).
pub(super) const SIGNATURE: Cause = Cause {
    reason: Reason::Uninspectable,
    uninspectable: Some(Uninspectable::Signed),
};

/// Which edits make a variant.
pub(super) struct Edits<'a> {
    /// Findings to take out, by index.
    pub findings: &'a BTreeSet<usize>,
    /// HTML bodies to empty, by index of their part.
    pub empty: &'a BTreeSet<usize>,
    /// Whether signatures of somebody else go with them.
    pub remove_signature: bool,
}

impl Edits<'_> {
    fn none(&self) -> bool {
        self.findings.is_empty() && self.empty.is_empty()
    }
}

/// Makes one variant.
///
/// # Errors
/// Why the copy cannot be changed safely.
pub(super) fn variant(
    lens: &Lens,
    case: &Case<'_>,
    before: &Survey,
    edits: &Edits<'_>,
) -> Result<Spliced, Uninspectable> {
    let mut splices = header_splices(case, before, edits);
    splices.extend(body_splices(case.message, before, edits)?);
    let spliced = Spliced::new(case.message.clone(), splices).map_err(|overlap| {
        tracing::error!(%overlap, "edits of one message do not fit together");
        Uninspectable::ReadingsDiffer
    })?;
    if !edits.none() {
        examine_again(lens, before, edits, &spliced)?;
    }
    Ok(spliced)
}

/// Our `Received:` field on top, the `Pixelgate-*` fields away; other people's signatures only where the operator says so.
fn header_splices(case: &Case<'_>, before: &Survey, edits: &Edits<'_>) -> Vec<Splice> {
    let mut splices: Vec<Splice> = before
        .header
        .pixelgate_fields
        .iter()
        .map(|range| Splice::cut(range.clone()))
        .collect();
    if let Some(received) = &case.received {
        splices.push(Splice::insert(0, received.clone()));
    }
    if edits.remove_signature {
        splices.extend(
            before
                .header
                .dkim_fields
                .iter()
                .map(|range| Splice::cut(range.clone())),
        );
    }
    splices
}

fn body_splices(
    message: &[u8],
    before: &Survey,
    edits: &Edits<'_>,
) -> Result<Vec<Splice>, Uninspectable> {
    let mut splices = Vec::new();
    for part in edits.empty {
        let part = before
            .tree
            .parts
            .get(*part)
            .ok_or(Uninspectable::ReadingsDiffer)?;
        splices.push(Splice::cut(part.body.clone()));
    }
    for (index, edited) in by_part(before, edits) {
        let surveyed = before
            .parts
            .get(index)
            .ok_or(Uninspectable::ReadingsDiffer)?;
        if edited.is_empty() || edits.empty.contains(&surveyed.part) {
            continue;
        }
        let part = before
            .tree
            .parts
            .get(surveyed.part)
            .ok_or(Uninspectable::ReadingsDiffer)?;
        let raw = message
            .get(part.body.clone())
            .ok_or(Uninspectable::ReadingsDiffer)?;
        let decoded: Vec<_> = edited
            .into_iter()
            .map(|edit| (edit.range.clone(), edit.replacement.clone()))
            .collect();
        let made = decode(raw, surveyed.encoding)
            .map_err(|_| Uninspectable::Cte)?
            .splices(raw, part.body.start, &decoded)
            .map_err(|error| {
                tracing::error!(%error, "an edit could not be carried over to the encoded part");
                Uninspectable::Cte
            })?;
        splices.extend(made);
    }
    Ok(splices)
}

/// The edits of what is taken out, by the part that they are in: gathered once, since there may be thousands of both.
fn by_part<'b>(before: &'b Survey, edits: &Edits<'_>) -> BTreeMap<usize, Vec<&'b Edit>> {
    let mut by_part: BTreeMap<usize, Vec<&Edit>> = BTreeMap::new();
    let found = edits.findings.iter();
    for found in found.filter_map(|number| before.findings.get(*number)) {
        if let Some(part) = found.surveyed {
            by_part
                .entry(part)
                .or_default()
                .extend(&found.finding.edits);
        }
    }
    by_part
}

fn examine_again(
    lens: &Lens,
    before: &Survey,
    edits: &Edits<'_>,
    spliced: &Spliced,
) -> Result<(), Uninspectable> {
    let variant = spliced.to_bytes();
    if !same_outside(spliced.original(), spliced.splices(), &variant) {
        tracing::error!("a variant differs outside its splices");
        return Err(Uninspectable::ReadingsDiffer);
    }
    let after = survey(&variant, lens);
    if !same_tree(&before.tree, &after.tree, spliced.splices()) {
        tracing::error!("a variant has another MIME tree than its original");
        return Err(Uninspectable::ReadingsDiffer);
    }
    let left = before
        .findings
        .iter()
        .enumerate()
        .filter(|(n, found)| !edits.findings.contains(n) && !edits.empty.contains(&found.part));
    if !left
        .map(|(_, found)| mark(found))
        .eq(after.findings.iter().map(mark))
    {
        tracing::error!("a variant has other findings than those that may stay");
        return Err(Uninspectable::ReadingsDiffer);
    }
    let blind = before
        .blind
        .iter()
        .filter(|blind| !edits.empty.contains(&blind.part))
        .map(|blind| (&blind.path, blind.why));
    if !blind.eq(after.blind.iter().map(|blind| (&blind.path, blind.why))) {
        tracing::error!("a variant has other blind parts than its original");
        return Err(Uninspectable::ReadingsDiffer);
    }
    Ok(())
}

/// What makes a finding the same before and after: its part, what loads it, and from where.
fn mark(found: &Found) -> (&str, &str, &str) {
    (
        &found.path,
        found.finding.vector.as_str(),
        &found.finding.url,
    )
}

/// What becomes of a copy whose variant could not be made, by kind of stream (DESIGN 4 "Uninspectable").
pub(super) fn not_made(why: Uninspectable, kind: StreamKind, hold_over: bool) -> Treatment {
    let cause = Cause {
        reason: Reason::Uninspectable,
        uninspectable: Some(why),
    };
    match kind {
        StreamKind::Requested | StreamKind::Authentication if !hold_over => Treatment::Held(cause),
        StreamKind::Requested
        | StreamKind::Authentication
        | StreamKind::Marketing
        | StreamKind::Prospecting
        | StreamKind::ConsentRequest => Treatment::Rejected(cause),
    }
}

#[cfg(test)]
mod second_look_tests;
#[cfg(test)]
mod tests;
