//! Tables: CSV as spreadsheets and mail services export it, by a mapping that says which column is which field.
//!
//! Without a mapping the first line must name fields, as an export of ours does. It must never guess a delimiter, an
//! encoding or what a word means: `[csv]` of the evidence file says so. An empty cell says nothing at all. A quote that is
//! never closed would make one row of the rest of the file, so a row is bounded while it is read.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::rc::Rc;

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8};

use super::mapping::Mapping;
use super::said::{RowError, Said, field, fields, holds_texts, shown};

/// The longest row, in octets, line ends inside quotes included.
pub const ROW_OCTETS_MAX: usize = 64 * 1024;
/// What the reader fetches at once.
const BUFFER_OCTETS: usize = 16 * 1024;

/// The rows of a table.
pub(super) struct Table<'a> {
    reader: csv::Reader<Bounded<'a>>,
    mapping: &'a Mapping,
    states: BTreeMap<String, &'static str>,
    /// Field and column, from 0.
    columns: Vec<(&'static str, usize)>,
    constant: Vec<(&'static str, String)>,
    /// How many fields a row has: those of the first line.
    width: Option<usize>,
    octets: Rc<Cell<usize>>,
    /// Columns that no field names, for whoever wonders.
    unread: Vec<String>,
}

impl<'a> Table<'a> {
    /// Reads the first line where there is one.
    ///
    /// # Errors
    /// `Ok(Err)` when the first line does not fit the mapping.
    pub(super) fn open(
        inner: impl Read + 'a,
        mapping: &'a Mapping,
    ) -> io::Result<Result<Self, RowError>> {
        let wrong = |problem: String| Ok(Err(RowError { line: 1, problem }));
        let encoding = Encoding::for_label(mapping.encoding.as_bytes()).unwrap_or(UTF_8);
        let octets = Rc::new(Cell::new(0));
        let inner: Box<dyn Read + 'a> = if encoding == UTF_8 {
            Box::new(inner)
        } else {
            Box::new(Decoded::new(inner, encoding))
        };
        let reader = csv::ReaderBuilder::new()
            .delimiter(mapping.delimiter_octet().unwrap_or(b','))
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(BUFFER_OCTETS)
            .from_reader(Bounded::new(inner, Rc::clone(&octets)));
        let mut table = Self {
            reader,
            mapping,
            states: mapping.states(),
            columns: Vec::new(),
            constant: Vec::new(),
            width: None,
            octets,
            unread: Vec::new(),
        };
        for (name, value) in &mapping.constant {
            match field(name) {
                Some(known) => table.constant.push((known, value.clone())),
                None => return wrong(format!("[csv.constant] {} is no field", shown(name))),
            }
        }
        let names = if mapping.header {
            match table.next_record()? {
                None => Vec::new(),
                Some((_, Err(problem))) => return wrong(problem),
                Some((_, Ok(names))) => names.iter().map(|name| name.trim().to_owned()).collect(),
            }
        } else {
            Vec::new()
        };
        Ok(table
            .find_columns(&names)
            .map(|()| table)
            .map_err(|problem| RowError { line: 1, problem }))
    }

    /// Columns that nothing is read from.
    pub(super) fn unread(&self) -> &[String] {
        &self.unread
    }

    fn find_columns(&mut self, names: &[String]) -> Result<(), String> {
        if !self.mapping.header {
            for (name, number) in &self.mapping.columns {
                let known = field(name)
                    .ok_or_else(|| format!("[csv.columns] {} is no field", shown(name)))?;
                let column = number
                    .parse::<usize>()
                    .ok()
                    .and_then(|number| number.checked_sub(1))
                    .ok_or_else(|| {
                        format!(
                            "[csv.columns] {name}: without a header a column is a number from 1"
                        )
                    })?;
                self.columns.push((known, column));
            }
            return Ok(());
        }
        self.width = (!names.is_empty()).then_some(names.len());
        if self.mapping.columns.is_empty() {
            for (column, name) in names.iter().enumerate() {
                let known = field(name).ok_or_else(|| {
                    format!(
                        "column {} is no field, and `[csv.columns]` of an evidence file says nothing about it; the fields are {}",
                        shown(name),
                        fields().join(", ")
                    )
                })?;
                if self.columns.iter().any(|(field, _)| *field == known) {
                    return Err(format!("column `{known}` stands there twice"));
                }
                self.columns.push((known, column));
            }
            return Ok(());
        }
        for (name, wanted) in &self.mapping.columns {
            let known =
                field(name).ok_or_else(|| format!("[csv.columns] {} is no field", shown(name)))?;
            let mut found = names
                .iter()
                .enumerate()
                .filter(|(_, name)| name == &wanted.trim());
            match (found.next(), found.next()) {
                (Some((column, _)), None) => self.columns.push((known, column)),
                (None, _) => {
                    let there: Vec<String> = names.iter().map(|name| shown(name)).collect();
                    return Err(format!(
                        "`{known}` should be column {}, which is not there; the first line has {} (delimiter `{}`)",
                        shown(wanted),
                        there.join(", "),
                        self.mapping.delimiter.escape_debug()
                    ));
                }
                _ => return Err(format!("column {} stands there twice", shown(wanted))),
            }
        }
        let read = |column: usize| self.columns.iter().any(|(_, known)| *known == column);
        self.unread = names
            .iter()
            .enumerate()
            .filter(|(column, _)| !read(*column))
            .map(|(_, name)| shown(name))
            .collect();
        Ok(())
    }

    /// The next row with its line, or what is wrong with it.
    pub(super) fn next_row(&mut self) -> io::Result<Option<(u64, Result<Said, String>)>> {
        Ok(self
            .next_record()?
            .map(|(line, record)| (line, record.and_then(|record| self.read(&record)))))
    }

    fn read(&self, record: &csv::StringRecord) -> Result<Said, String> {
        if let Some(width) = self.width
            && record.len() != width
        {
            return Err(format!(
                "has {} fields and the first line {width}: is a quote missing, or the delimiter not `{}`?",
                record.len(),
                self.mapping.delimiter.escape_debug()
            ));
        }
        let mut said = Said::default();
        said.of_table = true;
        for (name, value) in &self.constant {
            self.put(&mut said, name, value)?;
        }
        for (name, column) in &self.columns {
            let Some(value) = record.get(*column) else {
                return Err(format!("has no column {} for `{name}`", column + 1));
            };
            if value.trim().is_empty() {
                continue;
            }
            if said.has(name) {
                return Err(format!("`{name}` is a column and in `[csv.constant]`"));
            }
            self.put(&mut said, name, value.trim())?;
        }
        Ok(said)
    }

    fn put(&self, said: &mut Said, name: &'static str, value: &str) -> Result<(), String> {
        if holds_texts(name) {
            let texts = value.split(self.mapping.separator.as_str()).map(str::trim);
            let texts = texts.filter(|text| !text.is_empty()).map(str::to_owned);
            said.put_several(name, texts.collect());
        } else if name == "state" {
            let state = self.states.get(&value.to_lowercase()).ok_or_else(|| {
                format!(
                    "`state`: {} is no state; say in `[csv]` what it means: yes, no, withdrawn, objected or erased",
                    shown(value)
                )
            })?;
            said.put(name, (*state).to_owned());
        } else {
            said.put(name, value.to_owned());
        }
        Ok(())
    }

    fn next_record(&mut self) -> io::Result<Option<(u64, Result<csv::StringRecord, String>)>> {
        let mut record = csv::ByteRecord::new();
        self.octets.set(0);
        if !self
            .reader
            .read_byte_record(&mut record)
            .map_err(io::Error::from)?
        {
            return Ok(None);
        }
        // The position of a record is before the blank lines that are skipped; that of the reader is after its line end.
        let inside = record
            .as_slice()
            .iter()
            .filter(|octet| **octet == b'\n')
            .count() as u64;
        let line = self.reader.position().line().saturating_sub(1 + inside);
        let size: usize = record.as_slice().len();
        if size > ROW_OCTETS_MAX {
            return Ok(Some((line, Err(too_long()))));
        }
        let record = csv::StringRecord::from_byte_record(record).map_err(|_| {
            "is not UTF-8; if a spreadsheet wrote it, `encoding = \"windows-1252\"` in `[csv]` of the evidence file may be right"
                .to_owned()
        });
        Ok(Some((line, record)))
    }
}

fn too_long() -> String {
    format!("a row is longer than {ROW_OCTETS_MAX} octets: is a quote never closed?")
}

/// Gives up when more than one row's worth is read without one row's end. Every line end becomes one line feed, so that
/// lines are counted alike however they end.
struct Bounded<'a> {
    inner: Box<dyn Read + 'a>,
    octets: Rc<Cell<usize>>,
    chunk: Vec<u8>,
    last: u8,
    ended: bool,
}

impl<'a> Bounded<'a> {
    fn new(inner: Box<dyn Read + 'a>, octets: Rc<Cell<usize>>) -> Self {
        Self {
            inner,
            octets,
            chunk: Vec::new(),
            last: b'\n',
            ended: false,
        }
    }
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The reader is ahead of the rows by one buffer at most.
        if self.octets.get() > ROW_OCTETS_MAX + BUFFER_OCTETS {
            return Err(io::Error::new(io::ErrorKind::InvalidData, too_long()));
        }
        loop {
            self.chunk.resize(buffer.len(), 0);
            let read = self.inner.read(&mut self.chunk)?;
            self.octets.set(self.octets.get() + read);
            let mut given = 0;
            let mut room = buffer.iter_mut();
            let mut give = |octet| {
                if let Some(slot) = room.next() {
                    *slot = octet;
                    given += 1;
                }
            };
            for octet in self.chunk.iter().take(read).copied() {
                match octet {
                    b'\n' if self.last == b'\r' => {}
                    b'\r' => give(b'\n'),
                    other => give(other),
                }
                self.last = octet;
            }
            if read == 0
                && !std::mem::replace(&mut self.ended, true)
                && !matches!(self.last, b'\r' | b'\n')
            {
                give(b'\n');
            }
            if given > 0 || read == 0 {
                return Ok(given);
            }
        }
    }
}

/// Another encoding, read as UTF-8.
struct Decoded<R> {
    inner: R,
    decoder: Decoder,
    encoded: Vec<u8>,
    /// The part of `encoded` that is not decoded yet.
    from: usize,
    decoded: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R: Read> Decoded<R> {
    fn new(inner: R, encoding: &'static Encoding) -> Self {
        Self {
            inner,
            decoder: encoding.new_decoder(),
            encoded: Vec::new(),
            from: 0,
            decoded: Vec::new(),
            given: 0,
            ended: false,
        }
    }

    fn decode(&mut self) -> io::Result<()> {
        self.decoded.clear();
        self.given = 0;
        if self.from >= self.encoded.len() {
            self.encoded.resize(BUFFER_OCTETS, 0);
            let read = self.inner.read(&mut self.encoded)?;
            self.encoded.truncate(read);
            self.from = 0;
            self.ended = read == 0;
        }
        self.decoded.resize(3 * BUFFER_OCTETS + 16, 0);
        let from = self.encoded.get(self.from..).unwrap_or_default();
        let (result, read, written, malformed) =
            self.decoder
                .decode_to_utf8(from, &mut self.decoded, self.ended);
        self.from += read;
        self.decoded.truncate(written);
        if malformed {
            let problem = format!("it is not {}", self.decoder.encoding().name());
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        debug_assert!(result == CoderResult::InputEmpty || written > 0);
        Ok(())
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given >= self.decoded.len() {
            if self.ended {
                return Ok(0);
            }
            self.decode()?;
        }
        let ready = self.decoded.get(self.given..).unwrap_or_default();
        let octets = ready.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(ready) {
            *to = *from;
        }
        self.given += octets;
        Ok(octets)
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
