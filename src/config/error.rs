//! What is wrong with a configuration: file, line, key, repair.
//!
//! Every problem names the place and how to mend it; the first problem found ends the reading (exit code 78). Knows the
//! text of the file, not what its values mean.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// One problem in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as it was named.
    pub file: PathBuf,
    /// Line and column from 1, where the problem has a place.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub what: String,
    /// How to mend it, where that can be said.
    pub repair: Option<String>,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(formatter, ":{line}:{column}")?;
        }
        write!(formatter, ": {}", self.what)?;
        match &self.repair {
            Some(repair) => write!(formatter, "; {repair}"),
            None => Ok(()),
        }
    }
}

/// One step on the way to a value.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// A key of a table.
    Key(&'a str),
    /// An element of an array.
    Index(usize),
}

/// A configuration text with its name, to make errors that know their line.
#[derive(Debug)]
pub struct Source<'a> {
    /// The file as it was named.
    pub file: &'a Path,
    /// Its text.
    pub text: &'a str,
}

impl Source<'_> {
    /// An error at an octet offset of the text.
    pub fn at(
        &self,
        offset: Option<usize>,
        what: impl Into<String>,
        repair: Option<String>,
    ) -> ConfigError {
        ConfigError {
            file: self.file.to_owned(),
            place: offset.map(|offset| line_and_column(self.text, offset)),
            what: what.into(),
            repair,
        }
    }

    /// An error at the value that `path` leads to; where a step is missing, at the last table found.
    pub fn at_key(&self, path: &[Step<'_>], what: impl Into<String>, repair: &str) -> ConfigError {
        self.at(offset_of(self.text, path), what, Some(repair.to_owned()))
    }

    /// What the TOML parser said, with the nearest right key where a key is unknown.
    pub fn from_toml(&self, error: &toml::de::Error) -> ConfigError {
        let message = error.message().trim().replace('\n', " ");
        let repair =
            unknown_key(&message).and_then(|(key, known)| nearest(key, &known).map(str::to_owned));
        self.at(
            error.span().map(|span| span.start),
            message,
            repair.map(|key| format!("did you mean `{key}`?")),
        )
    }
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |rest| rest.chars().count())
        + 1;
    (line, column)
}

fn offset_of(text: &str, path: &[Step<'_>]) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut offset = table.span().start;
    let root = DeValue::Table(table.into_inner());
    let mut value = &root;
    for step in path {
        let next = match (step, value) {
            (Step::Key(key), DeValue::Table(table)) => table
                .iter()
                .find(|(name, _)| name.get_ref() == key)
                .map(|(name, inner)| (name.span().start, inner)),
            (Step::Index(index), DeValue::Array(array)) => {
                array.get(*index).map(|inner| (inner.span().start, inner))
            }
            _ => None,
        };
        let Some((start, inner)) = next else { break };
        offset = start;
        value = inner.get_ref();
    }
    Some(offset)
}

/// ``unknown field `x`, expected one of `a`, `b` `` → the key and the known ones.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let key = quoted.next()?;
    Some((key, quoted.collect()))
}

/// The known word nearest to what was written, when it is near enough to be meant.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()) / 2)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance over octets; words here are short.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = i;
        let mut previous = i + 1;
        for (slot, b) in row.iter_mut().skip(1).zip(right.bytes()) {
            let cost = (diagonal + usize::from(a != b))
                .min(previous + 1)
                .min(*slot + 1);
            diagonal = *slot;
            *slot = cost;
            previous = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_key_is_offered_only_when_near() {
        assert_eq!(
            nearest("registr", &["register", "directory"]),
            Some("register")
        );
        assert_eq!(nearest("kind_of", &["name", "controller"]), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_problem_names_line_and_column() {
        let text = "[consent]\nregister = \"x\"\n\n[[stream]]\nname = \"a\"\n[[stream]]\nname = \"b\"\nkind = \"c\"\n";
        let source = Source {
            file: Path::new("f.toml"),
            text,
        };
        let error = source.at_key(
            &[Step::Key("stream"), Step::Index(1), Step::Key("kind")],
            "no",
            "yes",
        );
        assert_eq!(error.place, Some((8, 1)));
        assert_eq!(error.to_string(), "f.toml:8:1: no; yes");
    }
}
