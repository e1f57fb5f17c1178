//! `consent export`: everybody, or one person, with every record and its proof, to standard output.
//!
//! It shows addresses: that is what it is for. What was counted goes to standard error.

use std::io::{BufWriter, Write as _};

use clap::Args;

use super::list::Kind;
use crate::cli::{Exit, Failure, complain};
use crate::consent::record::check_address;
use crate::register::Register;
use crate::register::export::ExportError;

/// `pixelgate consent export`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Export {
    /// Only people of this controller [default: everybody; with --to: `default`]
    #[arg(long)]
    controller: Option<String>,
    /// Only this person
    #[arg(long = "to", value_name = "ADDRESS")]
    address: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Kind,
}

pub(super) fn run(register: &Register, export: &Export) -> Result<(), Failure> {
    let controller = export.controller.as_deref();
    if let Some(address) = &export.address {
        check_address(address).map_err(|problem| super::failure(problem.into()))?;
    }
    let person = export
        .address
        .as_deref()
        .map(|address| (controller.unwrap_or("default"), address));
    let mut out = BufWriter::new(std::io::stdout().lock());
    let exported = register
        .export(controller, person, export.format.into(), &mut out)
        .map_err(|error| match error {
            ExportError::Register(error) => super::failure(error),
            ExportError::Separator { .. } => Failure::new(Exit::Data, error),
            ExportError::Write(_) => Failure::new(Exit::Unavailable, error),
        })?;
    out.flush()
        .map_err(|error| Failure::new(Exit::Unavailable, error))?;
    complain(&format!(
        "{} people with {} records; the erased are not among them",
        exported.people, exported.records
    ));
    Ok(())
}
