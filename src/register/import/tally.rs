//! What an import would do or did, counted by reason: the numbers of the table that a data-protection officer reads.
//!
//! It must never hold an address. Reasons that a file makes up without end are counted together past a limit.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;

use super::evidence::sha256;
use super::judge::{Judged, Worth};
use super::said::RowError;
use crate::consent::Refusal;
use crate::consent::record::CLOCK_TOLERANCE;
use crate::consent::subject::normalised;
use crate::register::{Recorded, Row, RowEntry};

/// How many faulty rows an answer names; the rest is counted.
pub const ROWS_NAMED_MAX: usize = 20;
/// How many reasons for claims are told apart.
const REASONS_MAX: usize = 50;

/// What an import would do, or did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ImportReport {
    /// The name of the import: a hash of file and evidence. Records name it, with the line they came from.
    pub id: String,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// Rows in the file.
    pub rows: u64,
    /// Grants with proof among them.
    pub grants: u64,
    /// Grants without proof among them: recorded, and permitting nothing.
    pub claims: u64,
    /// Those by what they lack.
    pub claims_by_reason: BTreeMap<String, u64>,
    /// Refusals, withdrawals, objections and erasures among them.
    pub restrictions: u64,
    /// Those by kind.
    pub restrictions_by_kind: BTreeMap<&'static str, u64>,
    /// Restrictions without a date or dated ahead: they count from their receipt.
    pub restrictions_from_receipt: u64,
    /// Contact records among them.
    pub contacts: u64,
    /// Contacts whom the list's mailing cannot be shown to have reached.
    pub uninformed: u64,
    /// Rows that say nothing: no state, no contact.
    pub empty: u64,
    /// Rows that sum a person up, as exports have them.
    pub summaries: u64,
    /// Records that stand in the file more than once.
    pub duplicates: u64,
    /// Records written, or that would be.
    pub recorded: u64,
    /// Records whose content was there already, those that stand in the file twice included.
    pub already_there: u64,
    /// Records about people who were erased since: nothing is stored of them.
    pub erased: u64,
    /// Undated restrictions that were known, and recorded anew because the person has consented since.
    pub renewed: u64,
    /// Records that were not written: they come from the future.
    pub refused: u64,
    /// The first of those.
    pub refused_rows: Vec<RowError>,
    /// Columns of the table that nothing was read from.
    pub unread_columns: Vec<String>,
}

impl ImportReport {
    /// Counts what one row is.
    pub(super) fn count(&mut self, judged: &Judged, received_at: Timestamp) {
        self.rows += 1;
        self.summaries += u64::from(judged.is_summary);
        self.uninformed += u64::from(judged.uninformed);
        self.contacts += u64::from(judged.contact.is_some());
        let Some((assertion, worth)) = &judged.change else {
            self.empty += u64::from(judged.contact.is_none() && !judged.is_summary);
            return;
        };
        match worth {
            Worth::Grant => self.grants += 1,
            Worth::Claim(reason) => {
                self.claims += 1;
                let mut reason = reason.to_string();
                if self.claims_by_reason.len() >= REASONS_MAX
                    && !self.claims_by_reason.contains_key(&reason)
                {
                    reason = "other lists, likewise".to_owned();
                }
                *self.claims_by_reason.entry(reason).or_default() += 1;
            }
            Worth::Restriction(kind) => {
                self.restrictions += 1;
                *self.restrictions_by_kind.entry(kind.as_str()).or_default() += 1;
                let from_receipt = assertion
                    .at
                    .is_none_or(|at| at.duration_since(received_at) > CLOCK_TOLERANCE);
                self.restrictions_from_receipt += u64::from(from_receipt);
            }
        }
    }

    pub(super) fn wrote(&mut self, recorded: Recorded) {
        match recorded {
            Recorded::New => self.recorded += 1,
            Recorded::AlreadyThere => self.already_there += 1,
            Recorded::Erased => self.erased += 1,
        }
    }

    pub(super) fn refuse(&mut self, line: u64, refusal: &Refusal) {
        self.refused += 1;
        if self.refused_rows.len() < ROWS_NAMED_MAX {
            let problem = refusal.to_string();
            self.refused_rows.push(RowError { line, problem });
        }
    }
}

/// The refusal that receipt of this row would meet for its date.
pub(super) fn ahead_of(row: &Row, received_at: Timestamp) -> Option<Refusal> {
    match &row.entry {
        RowEntry::Change(assertion) => assertion.ahead_of(received_at),
        RowEntry::Contact(contact) => contact.ahead_of(received_at),
    }
}

/// Contents that were met, in 8 octets each: a million rows take about 20 MB.
#[derive(Default)]
pub(super) struct Contents(HashSet<u64>);

impl Contents {
    /// Whether it was not met before.
    pub(super) fn add(&mut self, row: &Row) -> bool {
        let content = match &row.entry {
            RowEntry::Change(assertion) => assertion.content(),
            RowEntry::Contact(contact) => contact.content(),
        };
        let whose = normalised(&row.address);
        let mut octets = Vec::with_capacity(content.len() + whose.len() + row.controller.len() + 1);
        octets.extend(content);
        octets.extend(row.controller.as_bytes());
        octets.push(0);
        octets.extend(whose.as_bytes());
        let digest = sha256(&octets);
        let short = digest.iter().take(8);
        self.0
            .insert(short.fold(0, |sum, octet| (sum << 8) | u64::from(*octet)))
    }
}
