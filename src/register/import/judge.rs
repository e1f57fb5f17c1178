//! One row and the evidence of its list: what may be written down, and what it is worth.
//!
//! A yes counts only with everything a proof needs (D17, D18); what the row lacks, the evidence of its list may give, if
//! the person acted while that form was shown. Where row and evidence differ, one of them is wrong and nobody here can
//! know which: that is an error, not a choice. It must never store anything, and never show an address.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::evidence::{Evidence, List};
use super::moments::Span;
use super::said::{Said, shown};
use crate::consent::form::Form;
use crate::consent::hex;
use crate::consent::record::{check_address, check_controller};
use crate::consent::{Assertion, ChangeKind, Contact, ProofId, Purpose, UnknownWord};
use crate::register::{Row, RowEntry};

/// Why a yes is only a claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ClaimReason {
    /// A field is missing, in the row and in the evidence of its list.
    Missing(&'static str),
    /// The person acted when that form was not shown.
    OutsideValidity(String),
    /// The evidence file has no such list.
    NoEvidence(String),
}

impl fmt::Display for ClaimReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(field) => write!(formatter, "`{field}` is missing"),
            Self::OutsideValidity(list) => {
                write!(
                    formatter,
                    "dated outside the validity of list {}",
                    shown(list)
                )
            }
            Self::NoEvidence(list) => write!(formatter, "no evidence for list {}", shown(list)),
        }
    }
}

/// What a row's state is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Worth {
    /// A grant with proof.
    Grant,
    /// A yes without.
    Claim(ClaimReason),
    /// A restriction.
    Restriction(ChangeKind),
}

/// A row, understood.
pub(super) struct Judged {
    pub(super) controller: String,
    pub(super) address: String,
    pub(super) change: Option<(Assertion, Worth)>,
    pub(super) contact: Option<Contact>,
    /// The list says when everybody on it was informed, and nothing shows that this person was among them.
    pub(super) uninformed: bool,
    pub(super) is_summary: bool,
}

impl Judged {
    /// What there is to write: restrictions, or all else.
    pub(super) fn rows(&self, restrictions: bool) -> Vec<Row> {
        let mut entries = Vec::new();
        if let Some((assertion, _)) = &self.change
            && (assertion.kind != ChangeKind::Granted) == restrictions
        {
            entries.push(RowEntry::Change(assertion.clone()));
        }
        if let Some(contact) = &self.contact
            && !restrictions
        {
            entries.push(RowEntry::Contact(contact.clone()));
        }
        let row = |entry| Row {
            controller: self.controller.clone(),
            address: self.address.clone(),
            entry,
        };
        entries.into_iter().map(row).collect()
    }
}

/// Understands one row.
///
/// # Errors
/// Says what is wrong, naming the field and never the address.
pub(super) fn judge(mut said: Said, evidence: &Evidence) -> Result<Judged, String> {
    let name = said.take("list");
    let list = Named {
        list: evidence.lists.get(&name),
        name,
    };
    let controller = list
        .agreed("controller", said.take("controller"), |list| {
            list.controller.clone()
        })?
        .ok_or_else(|| "`controller` is missing".to_owned())?;
    check_controller(&controller).map_err(|refusal| refusal.to_string())?;
    let address = said.needed("address")?;
    check_address(&address).map_err(|problem| problem.to_string())?;
    let mut judged = Judged {
        controller,
        address,
        change: None,
        contact: None,
        uninformed: false,
        is_summary: said.is_summary,
    };
    if said.is_summary {
        return Ok(judged);
    }
    (judged.contact, judged.uninformed) = contact(&mut said, evidence, &list)?;
    match said.take("state") {
        Some(state) => {
            let kind = word::<ChangeKind>("state", &state)?;
            judged.change = Some(change(&mut said, evidence, kind, &list)?);
        }
        // A table has a line for everybody; whoever was never asked has a date in it perhaps, and no answer.
        None if said.of_table => {}
        None if judged.contact.is_none() => return Err("`state` is missing".to_owned()),
        None => {
            if let Some(field) = OF_A_STATE.iter().find(|field| said.has(field)) {
                return Err(format!("`{field}` belongs to a `state`, which is missing"));
            }
        }
    }
    Ok(judged)
}

/// Fields that say something about a change.
const OF_A_STATE: [&str; 13] = [
    "purposes",
    "at",
    "channel",
    "collector",
    "wording_version",
    "wording_sha256",
    "language",
    "affirmative_act",
    "notice",
    "controller_list",
    "controllers_shown",
    "evidence_sha256",
    "scope",
];

/// A row's list, and the evidence of it where there is some.
struct Named<'a> {
    name: Option<String>,
    list: Option<&'a List>,
}

impl Named<'_> {
    /// What row and list say, when they do not say different things.
    fn agreed<T: PartialEq + fmt::Debug>(
        &self,
        field: &str,
        row: Option<T>,
        of_list: impl FnOnce(&List) -> Option<T>,
    ) -> Result<Option<T>, String> {
        match (row, self.list.and_then(of_list)) {
            (Some(row), Some(list)) if row != list => {
                let quoted = |value: &T| match format!("{value:?}") {
                    text if text.contains('@') => "(it holds `@`)".to_owned(),
                    text => text.chars().take(80).collect(),
                };
                Err(format!(
                    "`{field}` is {} in the row and {} in the evidence of list {}: one of them is wrong",
                    quoted(&row),
                    quoted(&list),
                    shown(self.name.as_deref().unwrap_or_default())
                ))
            }
            (Some(value), _) | (None, Some(value)) => Ok(Some(value)),
            (None, None) => Ok(None),
        }
    }

    /// Whether all that the text can mean lies in the time in which the list's form was shown.
    fn covers(&self, at: Option<Span>) -> bool {
        let Some(list) = self.list else { return true };
        match at {
            Some(at) => {
                list.from.is_none_or(|from| at.first >= from)
                    && list.until.is_none_or(|until| at.last <= until)
            }
            // Without its moment it is a claim anyway, and `at` is what is missing.
            None => true,
        }
    }
}

fn change(
    said: &mut Said,
    evidence: &Evidence,
    kind: ChangeKind,
    list: &Named<'_>,
) -> Result<(Assertion, Worth), String> {
    let span = moment(said, evidence, "at")?;
    let mut assertion = Assertion {
        purposes: words("purposes", said.take_several("purposes"))?,
        at: span.map(|span| match kind {
            ChangeKind::Granted => span.first,
            _ => span.last,
        }),
        form: form(said)?,
        supersedes: said
            .take("supersedes")
            .map(|digits| {
                digits
                    .parse::<ProofId>()
                    .map_err(|problem| format!("`supersedes` {problem}"))
            })
            .transpose()?,
        ..Assertion::new(kind)
    };
    // A no can be the answer to the form; whoever takes a yes back does it elsewhere.
    let on_the_form = matches!(kind, ChangeKind::Granted | ChangeKind::Refused);
    let covered = list.covers(span);
    if on_the_form && covered {
        assertion.form = merged(assertion.form, list)?;
    }
    if kind == ChangeKind::Granted && covered {
        assertion.purposes = meant(assertion.purposes, list)?;
    }
    assertion.check().map_err(|refusal| refusal.to_string())?;
    let worth = match kind {
        ChangeKind::Granted => worth(&assertion, evidence, list, covered)?,
        _ => Worth::Restriction(kind),
    };
    Ok((assertion, worth))
}

fn worth(
    assertion: &Assertion,
    evidence: &Evidence,
    list: &Named<'_>,
    covered: bool,
) -> Result<Worth, String> {
    let name = || list.name.clone().unwrap_or_default();
    let missing = assertion.missing_for_proof();
    if !covered {
        return match missing {
            Some(_) => Ok(Worth::Claim(ClaimReason::OutsideValidity(name()))),
            None => Err(format!(
                "the row brings a proof of its own, and its `at` lies outside the validity of list {}: one of them is wrong",
                shown(&name())
            )),
        };
    }
    Ok(match (missing, &list.list, &list.name) {
        (None, _, _) => Worth::Grant,
        (Some("at"), _, _) => Worth::Claim(ClaimReason::Missing("at")),
        (Some(_), None, Some(name)) => Worth::Claim(ClaimReason::NoEvidence(name.clone())),
        (Some(_), None, None) if !evidence.lists.is_empty() => {
            Worth::Claim(ClaimReason::Missing("list"))
        }
        (Some(field), _, _) => Worth::Claim(ClaimReason::Missing(field)),
    })
}

/// What a yes reaches: what the form was about, or less where the row says so.
fn meant(row: BTreeSet<Purpose>, list: &Named<'_>) -> Result<BTreeSet<Purpose>, String> {
    let Some(form) = list
        .list
        .map(|list| &list.purposes)
        .filter(|set| !set.is_empty())
    else {
        return Ok(row);
    };
    if row.is_empty() {
        return Ok(form.clone());
    }
    match row.iter().find(|purpose| !form.contains(purpose)) {
        Some(stranger) => Err(format!(
            "`purposes` holds {stranger} in the row, which the evidence of list {} does not: one of them is wrong",
            shown(list.name.as_deref().unwrap_or_default())
        )),
        None => Ok(row),
    }
}

fn form(said: &mut Said) -> Result<Form, String> {
    let shown: BTreeSet<String> = said.take_several("controllers_shown").into_iter().collect();
    Ok(Form {
        channel: said.take("channel"),
        collector: said.take("collector"),
        wording_version: said.take("wording_version"),
        wording_sha256: digest(said, "wording_sha256")?,
        language: said.take("language"),
        affirmative_act: said.take("affirmative_act"),
        notice: said.take("notice"),
        controller_list: said.take("controller_list"),
        controllers_shown: shown,
        evidence_sha256: digest(said, "evidence_sha256")?,
        scope: said
            .take("scope")
            .map(|scope| word("scope", &scope))
            .transpose()?,
    })
}

fn merged(row: Form, list: &Named<'_>) -> Result<Form, String> {
    let text = |field, row: Option<String>, of: fn(&Form) -> &Option<String>| {
        list.agreed(field, row, |list| of(&list.form).clone())
    };
    let hex = |digest: Option<[u8; 32]>| digest.map(Hex);
    let shown = (!row.controllers_shown.is_empty()).then_some(row.controllers_shown);
    Ok(Form {
        channel: text("channel", row.channel, |form| &form.channel)?,
        collector: text("collector", row.collector, |form| &form.collector)?,
        wording_version: text("wording_version", row.wording_version, |form| {
            &form.wording_version
        })?,
        wording_sha256: list
            .agreed("wording_sha256", hex(row.wording_sha256), |list| {
                hex(list.form.wording_sha256)
            })?
            .map(|Hex(digest)| digest),
        language: text("language", row.language, |form| &form.language)?,
        affirmative_act: text("affirmative_act", row.affirmative_act, |form| {
            &form.affirmative_act
        })?,
        notice: text("notice", row.notice, |form| &form.notice)?,
        controller_list: text("controller_list", row.controller_list, |form| {
            &form.controller_list
        })?,
        controllers_shown: list
            .agreed("controllers_shown", shown, |list| {
                let shown = &list.form.controllers_shown;
                (!shown.is_empty()).then(|| shown.clone())
            })?
            .unwrap_or_default(),
        evidence_sha256: list
            .agreed("evidence_sha256", hex(row.evidence_sha256), |list| {
                hex(list.form.evidence_sha256)
            })?
            .map(|Hex(digest)| digest),
        scope: list.agreed("scope", row.scope, |list| list.form.scope)?,
    })
}

/// A digest as an error may show it.
#[derive(PartialEq)]
struct Hex([u8; 32]);

impl fmt::Debug for Hex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .take(8)
            .try_for_each(|octet| write!(formatter, "{octet:02x}"))?;
        formatter.write_str("...")
    }
}

/// The contact record of a row that says anything of one, and whether the list's mailing cannot have reached the person.
fn contact(
    said: &mut Said,
    evidence: &Evidence,
    list: &Named<'_>,
) -> Result<(Option<Contact>, bool), String> {
    // A bare day ends here: collected late and informed late permit less than early (D8).
    let collected_at = moment(said, evidence, "collected_at")?.map(|span| span.last);
    let informed_at = moment(said, evidence, "informed_at")?.map(|span| span.last);
    let row = Contact {
        collected_at,
        informed_at,
        notice: said.take("informed_notice"),
        informed_purposes: words("informed_purposes", said.take_several("informed_purposes"))?,
        country: said.take("country"),
        address_kind: said
            .take("address_kind")
            .map(|kind| word("address_kind", &kind))
            .transpose()?,
    };
    if row == Contact::default() {
        return Ok((None, false));
    }
    let country = list.agreed("country", row.country.clone(), |list| {
        list.contact.country.clone()
    })?;
    let mut contact = Contact { country, ..row };
    let mut uninformed = false;
    if let Some(mailing) = list.list.map(|list| &list.contact)
        && let Some(at) = mailing.informed_at
    {
        // Who came after the mailing was not in it; who has no date of collection cannot be shown to have been.
        uninformed =
            contact.informed_at.is_none() && collected_at.is_none_or(|collected| collected > at);
        if !uninformed {
            contact.informed_at = list.agreed("informed_at", contact.informed_at, |_| Some(at))?;
            contact.notice = list.agreed("informed_notice", contact.notice, |_| {
                mailing.notice.clone()
            })?;
            let told = (!contact.informed_purposes.is_empty()).then_some(contact.informed_purposes);
            let of_mailing =
                (!mailing.informed_purposes.is_empty()).then(|| mailing.informed_purposes.clone());
            contact.informed_purposes = list
                .agreed("informed_purposes", told, |_| of_mailing)?
                .unwrap_or_default();
        }
    }
    contact.check().map_err(|refusal| refusal.to_string())?;
    Ok((Some(contact), uninformed))
}

fn moment(
    said: &mut Said,
    evidence: &Evidence,
    field: &'static str,
) -> Result<Option<Span>, String> {
    let of_table = said.of_table;
    said.take(field)
        .map(|text| {
            evidence
                .moments(of_table)
                .read(text.trim())
                .map_err(|problem| format!("`{field}` {problem}"))
        })
        .transpose()
}

fn digest(said: &mut Said, field: &'static str) -> Result<Option<[u8; 32]>, String> {
    said.take(field)
        .map(|digits| {
            hex::read::<32>(&digits).ok_or_else(|| format!("`{field}` is not 64 hex digits"))
        })
        .transpose()
}

fn word<T: FromStr<Err = UnknownWord>>(field: &str, word: &str) -> Result<T, String> {
    word.parse().map_err(|error: UnknownWord| {
        // The word itself can be an address that slipped into the wrong column.
        if word.contains('@') {
            format!("`{field}`: no {}; one of: {}", error.list, error.known)
        } else {
            format!("`{field}`: {error}")
        }
    })
}

fn words<T: FromStr<Err = UnknownWord> + Ord>(
    field: &str,
    texts: Vec<String>,
) -> Result<BTreeSet<T>, String> {
    texts.iter().map(|text| word(field, text)).collect()
}
