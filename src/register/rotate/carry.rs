//! Row by row from an older generation to the current one, at most a thousand rows or a tenth of a second a transaction.
//!
//! Which rows are left is read outside the transaction, so that a scan of millions of rows that are done holds nobody up;
//! each is looked at again inside. It must never keep an address longer than its row. What does not open, or is not the
//! address that its subject was made of, is left alone and counted.

use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior, params};

use super::super::announce;
use super::super::database::{Database, Writing};
use super::super::keys::{Keys, Kind};
use super::super::{RegisterError, people, seal};
use super::{NAMED_MAX, Step, Tally};
use crate::consent::Subject;

/// Rows of one transaction.
const BATCH_ROWS_MAX: usize = 1_000;
/// How long one transaction goes on taking rows.
const BATCH_TIME_MAX: Duration = Duration::from_millis(100);

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) rows: u64,
    pub(super) damaged: u64,
    pub(super) subjects: Vec<String>,
}

/// What became of one row.
enum Row {
    Carried,
    /// Another process has carried or erased it since.
    Done,
    Damaged(Subject),
}

pub(super) fn all(
    database: &Database,
    writing: &mut Writing,
    kind: Kind,
    step: &mut dyn FnMut(Step),
) -> Result<Carried, RegisterError> {
    let current = super::current(database, kind);
    let of = tallies(&writing.connection, kind)?
        .iter()
        .filter(|tally| tally.generation != current)
        .map(|tally| tally.living)
        .sum();
    let mut carried = Carried::default();
    let mut after = i64::MIN;
    loop {
        let rows = left(&writing.connection, kind, current, after)?;
        if rows.is_empty() {
            return Ok(carried);
        }
        after = batch(database, writing, kind, &rows, (&mut carried, &mut *step))?;
        let done = carried.rows + carried.damaged;
        step(Step::Carried { done, of });
        announce::give_way(&database.path, announce::GIVE_WAY_MAX);
    }
}

/// One transaction; answers which row was the last.
fn batch(
    database: &Database,
    writing: &mut Writing,
    kind: Kind,
    rows: &[i64],
    (carried, step): (&mut Carried, &mut dyn FnMut(Step)),
) -> Result<i64, RegisterError> {
    let keys = database.keys.now();
    let transaction = writing
        .connection
        .transaction_with_behavior(TransactionBehavior::Immediate)?;
    database.keys.check(&transaction, &keys)?;
    let until = Instant::now() + BATCH_TIME_MAX;
    let mut last = i64::MIN;
    let mut now = Carried::default();
    for row in rows {
        last = *row;
        match carry(&transaction, &keys, kind, *row)? {
            Row::Carried => now.rows += 1,
            Row::Done => {}
            Row::Damaged(subject) => {
                now.damaged += 1;
                now.subjects.push(subject.to_string());
            }
        }
        if Instant::now() >= until {
            break;
        }
    }
    step(Step::Batch);
    transaction.commit()?;
    carried.rows += now.rows;
    carried.damaged += now.damaged;
    carried.subjects.append(&mut now.subjects);
    carried.subjects.truncate(NAMED_MAX);
    Ok(last)
}

fn carry(connection: &Connection, keys: &Keys, kind: Kind, id: i64) -> Result<Row, RegisterError> {
    let person = people::by_id(connection, id)?;
    let current = keys.generations();
    let done = match (kind, &person.sealed_address) {
        (_, None) => true,
        (Kind::Seal, Some(sealed)) => seal::generation(sealed) == Ok(current.seal),
        _ => person.generation == current.lookup,
    };
    if done {
        return Ok(Row::Done);
    }
    let controller = people::controller_name(connection, person.controller)?;
    let Ok(Some(address)) = people::address(keys, &controller, &person) else {
        return Ok(Row::Damaged(person.subject));
    };
    let identity = keys.identity(&controller, &address);
    // A subject that was not made of this address would be made right by carrying it, and nobody would ever know.
    if !identity.all().contains(&person.subject) {
        return Ok(Row::Damaged(person.subject));
    }
    // One person in two rows is nothing that we write; which of them holds the withdrawal is not for a rotation to say.
    let subject = identity.current();
    let taken = subject != person.subject
        && connection
            .prepare_cached("SELECT 1 FROM subjects WHERE subject = ?1")?
            .exists(params![subject.as_bytes()])?;
    if taken {
        return Ok(Row::Damaged(person.subject));
    }
    // With the sealing key the look-up key's generation comes along: nobody stays behind for longer than they must.
    let sealed = people::seal(keys, &controller, &person.seed, &subject, &address)?;
    people::carry(connection, id, &identity, &sealed)?;
    Ok(Row::Carried)
}

/// The next rows that are not under the current generation.
fn left(
    connection: &Connection,
    kind: Kind,
    current: u32,
    after: i64,
) -> Result<Vec<i64>, RegisterError> {
    let mut statement = connection.prepare_cached(match kind {
        // Format, then the generation, big-endian: see `seal`.
        Kind::Seal => {
            "SELECT id FROM subjects WHERE id > ?1 AND sealed_address IS NOT NULL
             AND substr(sealed_address, 2, 4) <> ?2 ORDER BY id LIMIT ?3"
        }
        _ => {
            "SELECT id FROM subjects WHERE id > ?1 AND sealed_address IS NOT NULL
             AND generation <> ?2 ORDER BY id LIMIT ?3"
        }
    })?;
    let most = i64::try_from(BATCH_ROWS_MAX).unwrap_or(i64::MAX);
    let id = |row: &rusqlite::Row<'_>| row.get(0);
    let rows = match kind {
        Kind::Seal => statement.query_map(params![after, current.to_be_bytes(), most], id)?,
        _ => statement.query_map(params![after, current, most], id)?,
    };
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What stands under each generation, in one read of all rows.
pub(super) fn tallies(connection: &Connection, kind: Kind) -> Result<Vec<Tally>, RegisterError> {
    let mut statement = connection.prepare(match kind {
        Kind::Seal => {
            "SELECT substr(sealed_address, 1, 5) AS head, count(*), count(*) FROM subjects
             WHERE sealed_address IS NOT NULL GROUP BY head ORDER BY head"
        }
        _ => {
            "SELECT generation, count(*), count(sealed_address) FROM subjects
             GROUP BY generation ORDER BY generation"
        }
    })?;
    let mut rows = statement.query([])?;
    let mut tallies = Vec::new();
    while let Some(row) = rows.next()? {
        let generation = match kind {
            Kind::Seal => seal::generation(&row.get::<_, Vec<u8>>(0)?).unwrap_or(0),
            _ => row.get(0)?,
        };
        let count = |column| -> Result<u64, RegisterError> {
            let count: i64 = row.get(column)?;
            Ok(count.unsigned_abs())
        };
        let (all, living) = (count(1)?, count(2)?);
        tallies.push(Tally {
            generation,
            living,
            erased: all.saturating_sub(living),
        });
    }
    Ok(tallies)
}
