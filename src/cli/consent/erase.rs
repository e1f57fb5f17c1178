//! `pixelgate consent erase`: one person's records go, and a tombstone keeps them from coming back.
//!
//! It must never print the address. An erasure that is there already is no failure.

use clap::Args;
use jiff::Timestamp;

use super::failure;
use crate::cli::{Exit, Failure, Whom, say};
use crate::register::{Recorded, Register};

/// `pixelgate consent erase`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Erase {
    #[command(flatten)]
    whom: Whom,
    /// As of when; what counts from later stays, e.g. 2026-05-02T09:14:00Z [default: now]
    #[arg(long)]
    at: Option<String>,
}

pub(super) fn run(register: &Register, erase: &Erase) -> Result<(), Failure> {
    super::address(&erase.whom)?;
    let now = Timestamp::now();
    let (at, now) = match erase.at.as_deref() {
        Some(at) => match at.parse() {
            Ok(at) => (at, now),
            Err(error) => return Err(Failure::new(Exit::Usage, format_args!("--at: {error}"))),
        },
        None => {
            let now = super::after_all_else(register, &erase.whom, now)?;
            (now, now)
        }
    };
    let erasure = register
        .erase(&erase.whom.controller, &erase.whom.address, at, now)
        .map_err(failure)?;
    say(&match erasure.recorded {
        Recorded::New => format!(
            "erased (record {}): {} records blanked, {} of them sealed away to answer for what rested on them\n",
            erasure.tombstone, erasure.blanked, erasure.defended
        ),
        Recorded::AlreadyThere | Recorded::Erased => "the person was erased already\n".to_owned(),
    })
}
