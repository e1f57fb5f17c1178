//! `pixelgate consent verify`: was anything in the register changed behind its back?
//!
//! What it prints is what an auditor writes down: the head of every chain. It must never print a person. When something
//! does not fit, the exit code is 65 and the line names controller, record and problem.

use std::path::PathBuf;

use clap::Args;

use super::failure;
use crate::cli::{Exit, Failure, say};
use crate::ledger::VerifyError;
use crate::ledger::read::{Body, Ledgers};
use crate::register::{Head, Register};

/// `pixelgate consent verify`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Verify {
    /// A head that was written down, to compare with: [CONTROLLER=]N:HEX
    #[arg(long, value_name = "HEAD")]
    head: Vec<String>,
    /// Whose heads those are that name no controller
    #[arg(long, default_value = "default")]
    controller: String,
    /// A ledger directory, whose published heads are compared with
    #[arg(long, value_name = "DIR")]
    ledger: Vec<PathBuf>,
}

pub(super) fn run(register: &Register, verify: &Verify) -> Result<(), Failure> {
    let mut heads = verify
        .head
        .iter()
        .map(|text| {
            head(text, &verify.controller).ok_or_else(|| {
                let what =
                    format_args!("--head {text}: it should be [CONTROLLER=]N:HEX").to_string();
                Failure::new(Exit::Usage, what)
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    heads.extend(published(&verify.ledger)?);
    let compared = heads.len();
    let verified = register.verify(&heads).map_err(failure)?;
    let mut text = format!(
        "verified: {} people, {} changes, {} contact records, {} blanked, {} notes, {} defence records; {compared} heads compared\n",
        verified.subjects,
        verified.changes,
        verified.contacts,
        verified.blanked,
        verified.notes,
        verified.defences
    );
    for head in &verified.heads {
        text.push_str(&format!("{}={}:{}\n", head.controller, head.n, head.hash));
    }
    say(&text)
}

/// A controller's name may hold `=` and `:`, a number and a hash hold neither.
fn head(text: &str, controller: &str) -> Option<Head> {
    let (controller, rest) = text.rsplit_once('=').unwrap_or((controller, text));
    let (n, hash) = rest.split_once(':')?;
    let digits = hash.len() == 64 && hash.bytes().all(|octet| octet.is_ascii_hexdigit());
    let n = n.parse().ok().filter(|n| *n > 0 && digits)?;
    Some(Head {
        controller: controller.to_owned(),
        n,
        hash: hash.to_owned(),
    })
}

fn published(directories: &[PathBuf]) -> Result<Vec<Head>, Failure> {
    if directories.is_empty() {
        return Ok(Vec::new());
    }
    let unavailable = |error| Failure::new(Exit::Unavailable, error);
    for directory in directories {
        let shown = directory.display();
        // A head in a ledger that was changed is no head; and a directory that holds no ledger compares nothing.
        let verified = crate::ledger::verify(directory).map_err(|error| {
            let exit = match error {
                VerifyError::Ledger(_) => Exit::Unavailable,
                _ => Exit::Data,
            };
            Failure::new(exit, format_args!("{shown}: {error}"))
        })?;
        if verified.files + verified.dropped == 0 {
            let what = format_args!("{shown}: there is no ledger").to_string();
            return Err(Failure::new(Exit::Data, what));
        }
    }
    let ledgers = Ledgers::open(directories).map_err(unavailable)?;
    let mut heads = Vec::new();
    for line in ledgers.lines(None, None) {
        if let Body::Head(head) = line.map_err(unavailable)?.body {
            heads.push(Head {
                controller: head.controller,
                n: head.n,
                hash: head.hash,
            });
        }
    }
    Ok(heads)
}
