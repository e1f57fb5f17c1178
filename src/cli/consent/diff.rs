//! `consent diff`: a mail service's list beside the register, the dangerous differences first.
//!
//! Lines name the row of the list and the subject. An address is shown only where the operator asks for it: what this
//! prints ends up in files.

use std::fmt::Write as _;

use clap::Args;

use super::list::List;
use crate::cli::{Exit, Failure, say};
use crate::register::Register;
use crate::register::diff::{DiffReport, Difference, Example, Options};

/// `pixelgate consent diff`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Diff {
    /// Only people of this controller
    #[arg(long)]
    controller: Option<String>,
    /// How many people to name of each difference
    #[arg(long, default_value_t = 20, value_name = "N")]
    show: usize,
    /// Show the addresses that the register holds of them
    #[arg(long)]
    addresses: bool,
    #[command(flatten)]
    list: List,
}

pub(super) fn run(register: &Register, diff: &Diff) -> Result<(), Failure> {
    let evidence = diff.list.evidence()?;
    let options = Options {
        format: diff.list.format(),
        evidence: &evidence,
        controller: diff.controller.as_deref(),
        show: diff.show,
    };
    let report = register
        .diff(&mut diff.list.open()?, &options)
        .map_err(|error| diff.list.stopped(error))?;
    say(&table(&report, diff.addresses))?;
    if report.is_equal() {
        Ok(())
    } else {
        let people: u64 = report.differences.values().sum();
        Err(Failure::new(
            Exit::Data,
            format_args!("list and register differ about {people} people"),
        ))
    }
}

fn table(report: &DiffReport, addresses: bool) -> String {
    let mut text = String::new();
    for (number, what) in [
        (report.rows, "rows compared"),
        (report.people, "people in them"),
        (report.same, "same in both"),
        (report.no_answer, "no answer there, nothing here"),
        (
            report.only_there,
            "not in the register, whatever the list says of them",
        ),
    ] {
        let _ = writeln!(text, "{number:>12}  {what}");
    }
    for difference in Difference::ALL {
        let Some(number) = report.differences.get(&difference) else {
            continue;
        };
        let _ = writeln!(text, "{number:>12}  {}", difference.as_str());
        let examples = report
            .examples
            .get(&difference)
            .map(Vec::as_slice)
            .unwrap_or_default();
        for Example {
            line,
            subject,
            address,
        } in examples
        {
            let line = line.map_or_else(String::new, |line| format!("line {line}, "));
            let address = address.as_ref().filter(|_| addresses);
            let address = address.map_or_else(String::new, |address| format!(" {address}"));
            let _ = writeln!(text, "                {line}subject {subject}{address}");
        }
        let more = number.saturating_sub(examples.len() as u64);
        if more > 0 && !examples.is_empty() {
            let _ = writeln!(text, "                ... and {more} more");
        }
    }
    text
}
