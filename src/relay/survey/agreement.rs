//! Whether several readings of one part come to the same: the same edits of the same octets, about the same hosts.
//!
//! What a URL reads like, and why it is a finding, may differ; what is asked for consent and what is done may not. Octets of
//! NUL do not count, because some readers drop them. It never fails: what cannot be told alike is not alike.

use std::collections::HashSet;
use std::ops::Range;

use crate::mime::charset::View;
use crate::mime::transfer_encoding::Encoding;
use crate::pixel::{Edit, Examination, Finding, IndividualImages, Verdict};

/// What the first reading of a part found.
#[derive(Debug)]
pub(super) struct First {
    /// The transfer encoding it was decoded from.
    pub encoding: Encoding,
    found: HashSet<Told>,
}

/// What makes a finding of one reading that of another.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Told {
    edits: Vec<(Range<usize>, Vec<u8>)>,
    host: String,
    other_hosts: Vec<String>,
    verdict: Verdict,
    image: Option<IndividualImages>,
}

impl First {
    pub(super) fn new(encoding: Encoding, findings: &[Finding], nuls: &[usize]) -> Self {
        Self {
            encoding,
            found: findings.iter().map(|finding| told(finding, nuls)).collect(),
        }
    }

    /// Whether another reading comes to the same; one that is not `sure` may find less.
    pub(super) fn agrees(
        &self,
        encoding: Encoding,
        findings: &[Finding],
        sure: bool,
        nuls: &[usize],
    ) -> bool {
        if sure && self.encoding != encoding && !self.found.is_empty() {
            return false;
        }
        let theirs: HashSet<Told> = findings.iter().map(|finding| told(finding, nuls)).collect();
        theirs.is_subset(&self.found) && (!sure || theirs.len() == self.found.len())
    }

    /// Those that this reading did not find.
    pub(super) fn beyond(&self, findings: Vec<Finding>, nuls: &[usize]) -> Vec<Finding> {
        let new = |finding: &Finding| !self.found.contains(&told(finding, nuls));
        findings.into_iter().filter(new).collect()
    }
}

fn told(finding: &Finding, nuls: &[usize]) -> Told {
    let before = |at: usize| at.saturating_sub(nuls.partition_point(|nul| *nul < at));
    let edits = finding.edits.iter().map(|edit| {
        let replacement = edit.replacement.iter().copied();
        let range = before(edit.range.start)..before(edit.range.end);
        // Blanks pad what is cut, by its length in the text.
        let told = replacement.filter(|octet| !matches!(octet, 0 | b' '));
        (range, told.collect())
    });
    Told {
        edits: edits.collect(),
        host: finding.host.clone(),
        other_hosts: finding.other_hosts.clone(),
        verdict: finding.verdict,
        image: finding.image,
    }
}

/// Where NUL stands.
pub(super) fn nuls(octets: &[u8]) -> Vec<usize> {
    memchr::memchr_iter(0, octets).collect()
}

/// Turns what was found in a view into the same of its octets; whether every edit can be made there. A finding of which one
/// cannot has none.
pub(super) fn in_octets(examination: &mut Examination, view: &View<'_>) -> bool {
    let mut all = true;
    for finding in &mut examination.findings {
        finding.span = view.raw_range(finding.span.clone());
        let edits: Option<Vec<Edit>> = finding
            .edits
            .iter()
            .map(|edit| {
                let (range, replacement) = view.raw_edit(edit.range.clone(), &edit.replacement)?;
                Some(Edit { range, replacement })
            })
            .collect();
        all &= edits.is_some();
        finding.edits = edits.unwrap_or_default();
    }
    all
}
