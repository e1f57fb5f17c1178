//! Retention (law.md D22, Q12): what decides nothing any more goes when its period is over, and the chain says what went.
//!
//! Nothing that decides anything now is ever touched: every person is added up before and after, and where the results
//! differ the whole transaction is given up. A claim decides nothing (it permits nothing), so it may go from the standing.
//! Tombstones stay for ever. Who is due is read outside the write transaction and looked at again inside, at most a
//! thousand people or a tenth of a second at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::database::{Database, Writing};
use super::erase::{self, Victim};
use super::keys::hex;
use super::payload::{self, Note};
use super::people::{self, Person};
use super::rows::{self, Told};
use super::writer::{self, Pen};
use super::{RegisterError, announce, chain};
use crate::consent::record::Effect;
use crate::consent::{Change, ChangeKind, ContactFacts, ProofId, fold};

/// People looked at in one step.
const BATCH_PEOPLE_MAX: i64 = 1_000;
/// How long one transaction goes on taking people.
const BATCH_TIME_MAX: Duration = Duration::from_millis(100);
/// Up to so many changes of one person, the moment at which each was superseded is sought among all of them.
const CHANGES_COMPARED_MAX: usize = 64;
/// The longest period, in days: a hundred years.
const DAYS_MAX: u32 = 36_525;

/// `[retention]` of the configuration: how long what decides nothing any more is kept. None of the numbers is sourced for
/// pixels (law.md F26, Q12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// A claim, from its receipt, in days, 1 to 36525. Default: 395.
    pub claims_days: u32,
    /// A change that decides no purpose any more, from when it was superseded, in days, 1 to 36525. Default: 1826.
    pub superseded_days: u32,
    /// A contact record that adds nothing any more, from the latest receipt of another, in days, 1 to 36525. Default: 395.
    pub contacts_superseded_days: u32,
    /// The sealed proof of an erased person, from the erasure, in days, 1 to 36525. Default: 1826.
    pub defence_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            claims_days: 395,
            superseded_days: 1_826,
            contacts_superseded_days: 395,
            defence_days: 1_826,
        }
    }
}

impl Retention {
    /// Checks every value.
    ///
    /// # Errors
    /// Names the first key whose value cannot be used.
    pub fn check(&self) -> Result<(), RegisterError> {
        for rule in Rule::ALL {
            let days = rule.days(self);
            if days == 0 || days > DAYS_MAX {
                let problem = format!("is {days}; it must lie between 1 and {DAYS_MAX}");
                return Err(RegisterError::Retention {
                    key: rule.as_str(),
                    problem,
                });
            }
        }
        Ok(())
    }
}

/// What went, or would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Expired {
    /// Claims.
    pub claims: u64,
    /// Changes that decided no purpose any more.
    pub superseded: u64,
    /// Contact records that added nothing any more.
    pub contacts: u64,
    /// Defence records.
    pub defence: u64,
}

/// One period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Claims,
    Superseded,
    Contacts,
    Defence,
}

impl Rule {
    const ALL: [Self; 4] = [
        Self::Claims,
        Self::Superseded,
        Self::Contacts,
        Self::Defence,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Claims => "claims_days",
            Self::Superseded => "superseded_days",
            Self::Contacts => "contacts_superseded_days",
            Self::Defence => "defence_days",
        }
    }

    fn days(self, retention: &Retention) -> u32 {
        match self {
            Self::Claims => retention.claims_days,
            Self::Superseded => retention.superseded_days,
            Self::Contacts => retention.contacts_superseded_days,
            Self::Defence => retention.defence_days,
        }
    }
}

/// The clock and the periods.
struct Clock<'a> {
    retention: &'a Retention,
    now: Timestamp,
}

impl Clock<'_> {
    fn is_over(&self, rule: Rule, since: Timestamp) -> bool {
        let hours = 24 * i64::from(rule.days(self.retention));
        self.now.duration_since(since) >= SignedDuration::from_hours(hours)
    }

    fn note(&self, rule: Rule) -> Note {
        Note {
            kind: payload::EXPIRY.to_owned(),
            recorded_at: self.now,
            rule: rule.as_str().to_owned(),
            days: Some(rule.days(self.retention)),
            person: None,
            blanked: Vec::new(),
            names: erase::names(&[]),
            defence: Vec::new(),
        }
    }
}

/// Counts what is due, without writing.
pub(super) fn due(
    connection: &Connection,
    retention: &Retention,
    now: Timestamp,
) -> Result<Expired, RegisterError> {
    let clock = Clock { retention, now };
    let snapshot = connection.unchecked_transaction()?;
    let mut expired = Expired::default();
    let mut after = 0;
    while let Some((last, people)) = step(connection, &clock, after)? {
        after = last;
        for person in people {
            let person = people::by_id(connection, person)?;
            let told = rows::told(connection, person.id)?;
            for (rule, _) in of_person(&clock, &person, &told) {
                expired.add(rule, 1);
            }
        }
    }
    expired.defence = defences(connection, &clock)?.len() as u64;
    snapshot.finish()?;
    Ok(expired)
}

/// Blanks what is due.
pub(super) fn expire(
    database: &Database,
    writing: &mut Writing,
    retention: &Retention,
    now: Timestamp,
) -> Result<Expired, RegisterError> {
    let clock = Clock { retention, now };
    let mut expired = Expired::default();
    let mut after = 0;
    while let Some((last, people)) = step(&writing.connection, &clock, after)? {
        after = last;
        let mut left = people.as_slice();
        while !left.is_empty() {
            let done = batch(database, writing, &clock, left, &mut expired)?;
            left = left.get(done..).unwrap_or_default();
            announce::give_way(&database.path, announce::GIVE_WAY_MAX);
        }
    }
    expire_defence(database, writing, &clock, &mut expired)?;
    Ok(expired)
}

impl Expired {
    fn add(&mut self, rule: Rule, count: u64) {
        let field = match rule {
            Rule::Claims => &mut self.claims,
            Rule::Superseded => &mut self.superseded,
            Rule::Contacts => &mut self.contacts,
            Rule::Defence => &mut self.defence,
        };
        *field += count;
    }
}

/// The next people after this row who have something due, and the last row that was looked at.
fn step(
    connection: &Connection,
    clock: &Clock<'_>,
    after: i64,
) -> Result<Option<(i64, Vec<i64>)>, RegisterError> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM subjects WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let ids: Vec<i64> = statement
        .query_map(params![after, BATCH_PEOPLE_MAX], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let Some(last) = ids.last().copied() else {
        return Ok(None);
    };
    let mut due = Vec::new();
    for id in ids {
        let person = people::by_id(connection, id)?;
        if !of_person(clock, &person, &rows::told(connection, id)?).is_empty() {
            due.push(id);
        }
    }
    Ok(Some((last, due)))
}

/// One transaction; answers how many of the people it got through.
fn batch(
    database: &Database,
    writing: &mut Writing,
    clock: &Clock<'_>,
    people: &[i64],
    expired: &mut Expired,
) -> Result<usize, RegisterError> {
    let keys = database.keys.now();
    let transaction = writer::begin(writing, &database.keys, &keys)?;
    let until = Instant::now() + BATCH_TIME_MAX;
    let mut pen = Pen::new(&transaction, &keys, clock.now);
    let mut victims: BTreeMap<(i64, Rule), Vec<Victim>> = BTreeMap::new();
    let mut done = 0;
    for id in people {
        let person = people::by_id(&transaction, *id)?;
        let told = rows::told(&transaction, person.id)?;
        let due = of_person(clock, &person, &told);
        let changes = remaining(&told, &due);
        if due.iter().any(|(rule, _)| *rule == Rule::Claims) {
            rows::write_standing(&transaction, person.id, &fold(&changes))?;
        }
        for (rule, victim) in due {
            victims
                .entry((person.controller, rule))
                .or_default()
                .push(victim);
        }
        done += 1;
        if Instant::now() >= until {
            break;
        }
    }
    let mut counts = Vec::new();
    for ((controller, rule), mut victims) in victims {
        victims.sort_unstable_by_key(|victim| victim.n);
        pen.blank(controller, clock.note(rule), &victims)?;
        counts.push((rule, victims.len() as u64));
    }
    for id in people.iter().take(done) {
        still_stands(&transaction, *id)?;
    }
    drop(pen);
    transaction.commit()?;
    for (rule, count) in counts {
        expired.add(rule, count);
    }
    Ok(done)
}

/// Read back as `verify` would: what is left adds up to what is written beside it.
fn still_stands(connection: &Connection, id: i64) -> Result<(), RegisterError> {
    let person = people::by_id(connection, id)?;
    let told = rows::told(connection, id)?;
    let should = fold(&told.changes()).with_contact(told.facts());
    if rows::standing_of(connection, id, person.contact.as_deref())? == should {
        return Ok(());
    }
    let problem = format!(
        "ending a period would change where {} stands",
        person.subject
    );
    Err(RegisterError::Damaged(problem))
}

/// What is due of one person, in no order.
fn of_person(clock: &Clock<'_>, person: &Person, told: &Told) -> Vec<(Rule, Victim)> {
    let all = told.changes();
    let standing = fold(&all);
    let deciding: BTreeSet<ProofId> = standing.entries().map(|(_, entry)| entry.proof).collect();
    let victim = |n: i64, id: ProofId, kind: &str| Victim {
        n,
        id,
        person: person.id,
        kind: kind.to_owned(),
    };
    let mut due = Vec::new();
    for (n, change) in &told.changes {
        let rule = match change.effect() {
            // It is what keeps an older re-import away.
            _ if change.said.kind == ChangeKind::Erased => continue,
            Effect::Claim | Effect::Void if clock.is_over(Rule::Claims, change.recorded_at) => {
                Rule::Claims
            }
            Effect::From(_)
                if !deciding.contains(&change.id)
                    && superseded_at(change, &all)
                        .is_some_and(|at| clock.is_over(Rule::Superseded, at)) =>
            {
                Rule::Superseded
            }
            _ => continue,
        };
        due.push((rule, victim(*n, change.id, payload::CHANGE)));
    }
    for (n, id) in idle_contacts(clock, told) {
        due.push((Rule::Contacts, victim(n, id, payload::CONTACT)));
    }
    // By these an erased person is back; without them the address would have to go, and the next rotation could not
    // carry their restrictions.
    if person.erased_at.is_some() && told.is_back() && !is_back_after(told, &due) {
        return Vec::new();
    }
    due
}

fn remaining(told: &Told, due: &[(Rule, Victim)]) -> Vec<Change> {
    told.changes
        .iter()
        .filter(|(n, _)| !due.iter().any(|(_, victim)| victim.n == *n))
        .map(|(_, change)| change.clone())
        .collect()
}

fn is_back_after(told: &Told, due: &[(Rule, Victim)]) -> bool {
    let contacts = due.iter().filter(|(rule, _)| *rule == Rule::Contacts);
    contacts.count() < told.contacts.len()
        || remaining(told, due)
            .iter()
            .any(|change| change.said.kind == ChangeKind::Granted)
}

/// When the last of the purposes it had decided was taken over by another change; none while it decides one.
fn superseded_at(change: &Change, all: &[Change]) -> Option<Timestamp> {
    if all.len() > CHANGES_COMPARED_MAX {
        // Later than the truth, hence kept longer.
        return all.iter().map(|other| other.recorded_at).max();
    }
    let mut last = change.recorded_at;
    for purpose in change.reach() {
        let taken_over = all
            .iter()
            .filter(|other| other.id != change.id)
            .filter(|other| {
                let both = [change.clone(), (*other).clone()];
                let entry = fold(&both).entry(purpose).map(|entry| entry.proof);
                entry == Some(other.id)
            })
            .map(|other| other.recorded_at)
            .min()?;
        last = last.max(taken_over);
    }
    Some(last)
}

/// Contact records without which the facts are the same, and whose period is over.
fn idle_contacts(clock: &Clock<'_>, told: &Told) -> Vec<(i64, ProofId)> {
    let facts = told.facts();
    let mut left: Vec<_> = told.contacts.iter().collect();
    let mut idle = Vec::new();
    for (n, record) in &told.contacts {
        let without = || left.iter().filter(|(other, _)| other != n);
        let newest = without().map(|(_, other)| other.recorded_at).max();
        let is_idle = newest.is_some_and(|newest| clock.is_over(Rule::Contacts, newest))
            && clock.is_over(Rule::Contacts, record.recorded_at)
            && ContactFacts::fold(without().map(|(_, other)| other)) == facts;
        if is_idle {
            idle.push((*n, record.id));
            left.retain(|(other, _)| other != n);
        }
    }
    idle
}

/// Number, controller and digest of every defence record whose period is over.
fn defences(
    connection: &Connection,
    clock: &Clock<'_>,
) -> Result<Vec<(i64, i64, String)>, RegisterError> {
    let mut statement = connection.prepare_cached(
        "SELECT d.id, s.controller, d.sealed, d.made_at FROM defence d JOIN subjects s ON s.id = d.person
         ORDER BY d.id",
    )?;
    let mut rows = statement.query([])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        if clock.is_over(Rule::Defence, rows::moment(row.get(3)?)?) {
            let sealed: Vec<u8> = row.get(2)?;
            let digest = hex(chain::sha256(&sealed).iter());
            due.push((row.get(0)?, row.get(1)?, digest));
        }
    }
    Ok(due)
}

fn expire_defence(
    database: &Database,
    writing: &mut Writing,
    clock: &Clock<'_>,
    expired: &mut Expired,
) -> Result<(), RegisterError> {
    let due = defences(&writing.connection, clock)?;
    for some in due.chunks(usize::try_from(BATCH_PEOPLE_MAX).unwrap_or(1)) {
        let keys = database.keys.now();
        let transaction = writer::begin(writing, &database.keys, &keys)?;
        let mut pen = Pen::new(&transaction, &keys, clock.now);
        let mut digests: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (id, controller, digest) in some {
            let gone = transaction.execute("DELETE FROM defence WHERE id = ?1", params![id])?;
            if gone > 0 {
                digests.entry(*controller).or_default().push(digest.clone());
                expired.defence += 1;
            }
        }
        for (controller, defence) in digests {
            let note = Note {
                defence,
                ..clock.note(Rule::Defence)
            };
            pen.blank(controller, note, &[])?;
        }
        drop(pen);
        transaction.commit()?;
        announce::give_way(&database.path, announce::GIVE_WAY_MAX);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
