//! `pixelgate consent import`: a file's records into the register.
//!
//! It must never show an address. What cannot be taken is named by line and field, and ends with exit 65.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::failure;
use crate::cli::{Exit, Failure, say};
use crate::register::Register;
use crate::register::import::{ImportError, Options};

/// `pixelgate consent import`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Import {
    /// Refuse the whole file when a grant in it has no proof
    #[arg(long)]
    require_proof: bool,
    /// The file
    file: PathBuf,
}

pub(super) fn run(register: &Register, import: &Import) -> Result<(), Failure> {
    let file = std::fs::File::open(&import.file).map_err(|error| {
        Failure::new(
            Exit::Data,
            format_args!("{}: {error}", import.file.display()),
        )
    })?;
    let options = Options {
        require_proof: import.require_proof,
        received_at: Timestamp::now(),
    };
    let report = register
        .import(&mut std::io::BufReader::new(file), &options)
        .map_err(|error| match error {
            ImportError::Register(error) => failure(error),
            other => Failure::new(
                Exit::Data,
                format_args!("{}: {other}", import.file.display()),
            ),
        })?;
    let mut text = format!(
        "{} rows: {} grants with proof, {} claims without (they permit nothing), {} restrictions; {} recorded, {} were there already, {} refused\n",
        report.rows,
        report.grants,
        report.claims,
        report.restrictions,
        report.recorded,
        report.already_there,
        report.refused
    );
    for row in &report.refused_rows {
        let _ = writeln!(text, "  {row}");
    }
    say(&text)?;
    if report.refused > 0 {
        Err(Failure::new(
            Exit::Data,
            format_args!("{} rows were refused", report.refused),
        ))
    } else {
        Ok(())
    }
}
