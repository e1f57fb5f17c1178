//! `pixelgate consent expire`: what decides nothing any more and is past its period in `[retention]` goes.
//!
//! It must never end anything that decides now; the register sees to that.

use clap::Args;
use jiff::Timestamp;

use super::failure;
use crate::cli::{Failure, say};
use crate::register::{Register, Retention};

/// `pixelgate consent expire`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Expire {
    /// Only count what would go
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(
    register: &Register,
    retention: &Retention,
    expire: &Expire,
) -> Result<(), Failure> {
    let now = Timestamp::now();
    let (went, expired) = match expire.dry_run {
        true => ("would go", register.would_expire(retention, now)),
        false => ("went", register.expire(retention, now)),
    };
    let expired = expired.map_err(failure)?;
    say(&format!(
        "{} claims, {} superseded changes, {} superseded contact records, {} defence records {went}\n",
        expired.claims, expired.superseded, expired.contacts, expired.defence
    ))
}
