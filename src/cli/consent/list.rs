//! A list as the command line names it: the file, how it is written, and its evidence.
//!
//! An evidence file that is wrong is answered like a configuration: file, line, key and the nearest right one.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::cli::{Exit, Failure};
use crate::config::error::{Source, Step, nearest};
use crate::register::import::{Evidence, EvidenceError, Format, ImportError, Written};

/// The largest evidence file, in octets.
const EVIDENCE_OCTETS_MAX: u64 = 16 * 1024 * 1024;

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// One JSON object a line
    Jsonl,
    /// A table
    Csv,
}

impl From<Kind> for Format {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Jsonl => Self::Lines,
            Kind::Csv => Self::Table,
        }
    }
}

/// What a command says about a list.
#[derive(Debug, Clone, Args)]
pub(super) struct List {
    /// What the rows do not say: the form, its wording, when it was shown; how a table is to be read (TOML)
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
    /// How the list is written [default: csv for a name in .csv, else jsonl]
    #[arg(long, value_enum)]
    format: Option<Kind>,
    /// The list
    pub(super) file: PathBuf,
}

impl List {
    pub(super) fn format(&self) -> Format {
        let csv = || {
            self.file
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
        };
        match self.format {
            Some(kind) => kind.into(),
            None if csv() => Format::Table,
            None => Format::Lines,
        }
    }

    pub(super) fn open(&self) -> Result<File, Failure> {
        File::open(&self.file).map_err(|error| self.failure(&error))
    }

    pub(super) fn evidence(&self) -> Result<Evidence, Failure> {
        match &self.evidence {
            Some(path) => evidence(path),
            None => Ok(Evidence::default()),
        }
    }

    /// What stopped the reading of the list.
    pub(super) fn stopped(&self, error: ImportError) -> Failure {
        match error {
            ImportError::Register(error) => super::failure(error),
            ImportError::Changed => Failure::new(Exit::Again, self.about(&error)),
            other => self.failure(&other),
        }
    }

    fn failure(&self, what: &dyn std::fmt::Display) -> Failure {
        Failure::new(Exit::Data, self.about(what))
    }

    fn about(&self, what: &dyn std::fmt::Display) -> String {
        format!("{}: {what}", self.file.display())
    }
}

fn evidence(path: &Path) -> Result<Evidence, Failure> {
    let data = |what: &dyn std::fmt::Display| Failure::new(Exit::Data, what);
    let at = |what: &dyn std::fmt::Display| data(&format_args!("{}: {what}", path.display()));
    let octets = path.metadata().map_err(|error| at(&error))?.len();
    if octets > EVIDENCE_OCTETS_MAX {
        return Err(at(&format_args!(
            "{octets} octets are no evidence file; at most {EVIDENCE_OCTETS_MAX}"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| at(&error))?;
    let source = Source {
        file: path,
        text: &text,
    };
    let written: Written =
        toml::from_str(&text).map_err(|error| data(&source.from_toml(&error)))?;
    let directory = path.parent().unwrap_or(Path::new("."));
    Evidence::new(&written, &text, directory).map_err(|error| data(&placed(&source, &error)))
}

/// The error with its line.
fn placed(source: &Source<'_>, error: &EvidenceError) -> crate::config::ConfigError {
    let mut path = Vec::new();
    match error.list {
        Some(list) => path.extend([Step::Key("list"), Step::Index(list)]),
        None => path.extend(
            error
                .table
                .split('.')
                .filter(|key| !key.is_empty())
                .map(Step::Key),
        ),
    }
    path.push(Step::Key(&error.key));
    let mut placed = source.at_key(&path, error.to_string(), "");
    placed.repair = nearest(&error.key, &error.known).map(|key| format!("did you mean `{key}`?"));
    placed
}
