//! JSON lines: one object a line, every value looked at by name so that an error can say which.
//!
//! It must never understand a value. A line past its limit is a fault of that line alone: the rest of it is skipped.

use std::fmt;
use std::io::{self, BufRead, Read};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::said::{Said, field, fields, holds_texts};

/// The longest line, in octets.
pub const LINE_OCTETS_MAX: usize = 16 * 1024;

/// Lines with their numbers, each bounded before it is held.
pub(super) struct Lines<R> {
    reader: R,
    line: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: 0 }
    }

    /// The next row with its line, or what is wrong with it.
    pub(super) fn next_row(&mut self) -> io::Result<Option<(u64, Result<Said, String>)>> {
        Ok(self
            .next_line()?
            .map(|(line, octets)| (line, read(&octets))))
    }

    /// The next line that is not blank. Of one past the limit only the excess tells; the rest of it is skipped.
    fn next_line(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        loop {
            let mut octets = Vec::new();
            let most = LINE_OCTETS_MAX as u64 + 1;
            if self
                .reader
                .by_ref()
                .take(most)
                .read_until(b'\n', &mut octets)?
                == 0
            {
                return Ok(None);
            }
            self.line += 1;
            if octets.len() as u64 == most && octets.last() != Some(&b'\n') {
                self.reader.skip_until(b'\n')?;
                return Ok(Some((self.line, octets)));
            }
            // A byte order mark, as spreadsheets write it, belongs to no row.
            let row = octets
                .strip_prefix(b"\xef\xbb\xbf")
                .filter(|_| self.line == 1);
            let row = row.unwrap_or(&octets).trim_ascii();
            if !row.is_empty() {
                return Ok(Some((self.line, row.to_vec())));
            }
        }
    }
}

fn read(octets: &[u8]) -> Result<Said, String> {
    if octets.len() > LINE_OCTETS_MAX {
        return Err(format!("longer than {LINE_OCTETS_MAX} octets"));
    }
    if std::str::from_utf8(octets).is_err() {
        return Err("is not UTF-8, which JSON is written in".to_owned());
    }
    if !octets.starts_with(b"{") {
        return Err("a row is one object, `{\"controller\":..}`".to_owned());
    }
    let members: Members = serde_json::from_slice(octets).map_err(|error| said(&error))?;
    let mut row = Said::default();
    for (name, value) in members.0 {
        put(&mut row, name, value)?;
    }
    Ok(row)
}

fn put(row: &mut Said, name: &'static str, value: Value) -> Result<(), String> {
    let wrong = || Err(format!("`{name}` must be a list of texts"));
    match value {
        Value::Null => Ok(()),
        Value::Object(_) if name == "standing" => {
            row.is_summary = true;
            Ok(())
        }
        Value::Array(values) if holds_texts(name) => {
            let mut texts = Vec::with_capacity(values.len());
            for value in values {
                match value {
                    Value::String(text) => texts.push(text),
                    _ => return wrong(),
                }
            }
            row.put_several(name, texts);
            Ok(())
        }
        _ if holds_texts(name) => wrong(),
        Value::String(text) => {
            row.put(name, text);
            Ok(())
        }
        _ => Err(format!("`{name}` must be a text in quotes")),
    }
}

/// The members of one object, each name known and there once: of two `state`s neither may be taken for the one meant.
struct Members(Vec<(&'static str, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("one object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members: Vec<(&'static str, Value)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    let Some(name) = field(&name) else {
                        let known = fields().join("`, `");
                        return Err(A::Error::custom(format_args!(
                            "unknown field `{name}`, expected one of `{known}`"
                        )));
                    };
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::duplicate_field(name));
                    }
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// serde's own words, without its line number (it only ever sees one) and without anything that could be an address.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    if what.contains('@') {
        return "a field name holds `@`".to_owned();
    }
    let what: String = what
        .chars()
        .take(800)
        .flat_map(char::escape_debug)
        .collect();
    format!("{what} (column {})", error.column())
}
