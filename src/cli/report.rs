//! `pixelgate ledger report`: what the relay did, or would have done, on a sheet that an operator takes to a meeting.
//!
//! Reads ledgers only: counts, words and names of the operator's own, nobody's subject, nothing that was sent. What is
//! missing stands at the top. A line that cannot be read ends it: a report that passes over lines would be believed.

mod shapes;
mod sheet;
mod tables;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::civil::Date;

pub(super) use shapes::{ledger, period, switched};
pub(super) use sheet::missing;
pub(super) use tables::cause;

use super::paper::Look;
use super::serve::read;
use super::{Exit, Failure, say};
use crate::ledger::Finding;
use crate::ledger::read::Ledgers;
use crate::ledger::summary::{Counts, Summary, without_masks};
use crate::pixel::Rules;

/// Which lines are read.
#[derive(Debug, Clone, Args)]
pub(super) struct Period {
    /// The first day (UTC), e.g. 2026-11-01 [default: the first there is]
    #[arg(long, value_name = "DAY")]
    from: Option<Date>,
    /// The last day (UTC) [default: the last there is]
    #[arg(long, value_name = "DAY")]
    to: Option<Date>,
    /// A ledger's directory; may be given several times [default: the configured one]
    #[arg(long = "ledger", value_name = "DIR")]
    ledgers: Vec<PathBuf>,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For pasting.
    Markdown,
    /// For programs: everything, stream by stream and day by day.
    Json,
    /// For a terminal.
    Text,
}

/// `pixelgate ledger report`.
#[derive(Debug, Clone, Args)]
pub(super) struct Report {
    #[command(flatten)]
    period: Period,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// What was read, and from where.
#[derive(Debug)]
pub(super) struct Source {
    /// The directories.
    pub(super) directories: Vec<PathBuf>,
    /// What was asked for.
    pub(super) from: Option<Date>,
    /// Likewise.
    pub(super) to: Option<Date>,
    /// The days of which there are lines at all.
    pub(super) days: Vec<Date>,
}

pub(super) fn run(config: Option<PathBuf>, report: &Report) -> Result<(), Failure> {
    let config = read(config)?;
    let (source, counts) = report.period.counts(&config.file.ledger.directory)?;
    match report.format {
        Format::Json => said_as_json(&shapes::report(&source, &counts)),
        Format::Text => say(&sheet::report(&source, &counts).written(Look::Text)),
        Format::Markdown => say(&sheet::report(&source, &counts).written(Look::Markdown)),
    }
}

pub(super) fn said_as_json(value: &serde_json::Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(Exit::Unavailable, error))?;
    say(&format!("{text}\n"))
}

impl Period {
    /// Folds every line of the period.
    pub(super) fn counts(&self, configured: &std::path::Path) -> Result<(Source, Counts), Failure> {
        let Self { from, to, ledgers } = self;
        check_days(*from, *to)?;
        let directories = match ledgers.is_empty() {
            true => vec![configured.to_owned()],
            false => distinct(ledgers),
        };
        let rules = Rules::built_in();
        let mut summary = Summary::new(|finding| vendor(&rules, finding));
        let mut days = Vec::new();
        for directory in &directories {
            let ledger = Ledgers::open(std::slice::from_ref(directory))?;
            days.extend(ledger.days());
            for line in ledger.lines(*from, *to) {
                summary.line(&line?);
            }
            summary.next_directory();
        }
        days.sort_unstable();
        days.dedup();
        let source = Source {
            directories,
            from: *from,
            to: *to,
            days,
        };
        Ok((source, summary.finish()))
    }
}

/// A period that ends before it begins has no lines; an answer about it would mislead.
pub(super) fn check_days(from: Option<Date>, to: Option<Date>) -> Result<(), Failure> {
    match (from, to) {
        (Some(from), Some(to)) if from > to => Err(Failure::new(
            Exit::Usage,
            format_args!("--from {from} lies after --to {to}"),
        )),
        _ => Ok(()),
    }
}

/// Directories without those that stand there twice: their messages would count twice.
pub(super) fn distinct(directories: &[PathBuf]) -> Vec<PathBuf> {
    let mut real = std::collections::BTreeSet::new();
    let first = |directory: &&PathBuf| {
        real.insert(
            directory
                .canonicalize()
                .unwrap_or_else(|_| directory.to_path_buf()),
        )
    };
    directories.iter().filter(first).cloned().collect()
}

/// Whose a finding is: the vendor of the endpoint's rule, else the part of the host that somebody registered.
pub(super) fn vendor(rules: &Rules, finding: &Finding) -> String {
    let endpoints = finding.evidence.iter();
    let rule = endpoints
        .filter_map(|evidence| evidence.strip_prefix("known_endpoint:"))
        .next();
    let known = rule.and_then(|name| rules.all().iter().find(|rule| rule.name == name));
    match (known, rule) {
        (Some(rule), _) => rule.vendor.clone(),
        // A ledger of another version.
        (None, Some(name)) => format!("rule {name}"),
        (None, None) => registrable(&without_masks(finding.host.as_str())),
    }
}

/// The last two labels of a host, three under a country's own second level (`co.uk`): near enough to the list of public
/// suffixes for a report that people read.
fn registrable(host: &str) -> String {
    const SECOND_LEVEL: [&str; 11] = [
        "ac", "co", "com", "edu", "go", "gob", "gov", "gouv", "ne", "net", "org",
    ];
    if host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok() {
        return host.to_owned();
    }
    let labels: Vec<&str> = host.split('.').collect();
    let deep = match labels.as_slice() {
        [.., second, top] => top.len() == 2 && SECOND_LEVEL.contains(second),
        _ => false,
    };
    let from = labels.len().saturating_sub(if deep { 3 } else { 2 });
    labels.get(from..).unwrap_or_default().join(".")
}

#[cfg(test)]
#[path = "report/tests.rs"]
mod tests;
