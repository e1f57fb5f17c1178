//! A paper to show to people: headings, sentences, lists and tables, as text for a terminal or as Markdown.
//!
//! It knows layout and no content. A word wider than the page stands on a line of its own and is not cut.

use std::fmt::Write as _;

/// How wide a page is, in characters.
const WIDTH: usize = 96;

/// How a paper is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// For a terminal, at most [`WIDTH`] wide where words allow it.
    Text,
    /// For pasting.
    Markdown,
}

#[derive(Debug, Clone)]
enum Block {
    Title(String),
    Section(String),
    Sentence(String),
    Loud(String),
    List(Vec<String>),
    Table {
        head: Vec<String>,
        rows: Vec<Vec<String>>,
    },
}

/// A paper that is being written.
#[derive(Debug, Clone, Default)]
pub(super) struct Paper(Vec<Block>);

impl Paper {
    pub(super) fn title(&mut self, text: impl Into<String>) {
        self.0.push(Block::Title(text.into()));
    }

    pub(super) fn section(&mut self, text: impl Into<String>) {
        self.0.push(Block::Section(text.into()));
    }

    pub(super) fn sentence(&mut self, text: impl Into<String>) {
        self.0.push(Block::Sentence(text.into()));
    }

    /// What nobody may overlook.
    pub(super) fn loud(&mut self, text: impl Into<String>) {
        self.0.push(Block::Loud(text.into()));
    }

    pub(super) fn list(&mut self, items: impl IntoIterator<Item = String>) {
        let items: Vec<String> = items.into_iter().collect();
        if !items.is_empty() {
            self.0.push(Block::List(items));
        }
    }

    /// Columns in which every cell is a number stand to the right.
    pub(super) fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) {
        let head = head.iter().map(|cell| (*cell).to_owned()).collect();
        self.0.push(Block::Table { head, rows });
    }

    /// All of it.
    pub(super) fn written(&self, look: Look) -> String {
        let mut text = String::new();
        for block in &self.0 {
            if !text.is_empty() {
                text.push('\n');
            }
            match look {
                Look::Text => block.as_text(&mut text),
                Look::Markdown => block.as_markdown(&mut text),
            }
        }
        text
    }
}

impl Block {
    fn as_text(&self, text: &mut String) {
        match self {
            Self::Title(line) => {
                let _ = writeln!(text, "{}\n{}", line, "=".repeat(line.chars().count()));
            }
            Self::Section(line) => {
                let _ = writeln!(text, "{}\n{}", line, "-".repeat(line.chars().count()));
            }
            Self::Sentence(line) => wrap(text, line, "", ""),
            Self::Loud(line) => wrap(text, line, "!! ", "!! "),
            Self::List(items) => items.iter().for_each(|item| wrap(text, item, "- ", "  ")),
            Self::Table { head, rows } => table_as_text(text, head, rows),
        }
    }

    fn as_markdown(&self, text: &mut String) {
        let _ = match self {
            Self::Title(line) => writeln!(text, "# {}", escaped(line)),
            Self::Section(line) => writeln!(text, "## {}", escaped(line)),
            Self::Sentence(line) => writeln!(text, "{}", escaped(line)),
            Self::Loud(line) => writeln!(text, "> **{}**", escaped(line)),
            Self::List(items) => items
                .iter()
                .try_for_each(|item| writeln!(text, "- {}", escaped(item))),
            Self::Table { head, rows } => {
                table_as_markdown(text, head, rows);
                Ok(())
            }
        };
    }
}

/// Breaks a line between words; every line but the first begins with `further`.
pub(super) fn wrap(text: &mut String, line: &str, first: &str, further: &str) {
    let mut width = first.chars().count();
    text.push_str(first);
    let mut fresh = true;
    for word in line.split(' ') {
        let octets = word.chars().count();
        if !fresh && width + 1 + octets > WIDTH {
            text.push('\n');
            text.push_str(further);
            width = further.chars().count();
            fresh = true;
        }
        if !fresh {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += octets;
        fresh = false;
    }
    text.push('\n');
}

fn columns(head: &[String], rows: &[Vec<String>]) -> Vec<(usize, bool)> {
    let columns = head.iter().enumerate().map(|(at, name)| {
        let cells = || rows.iter().filter_map(move |row| row.get(at));
        let widest = cells().map(|cell| cell.chars().count()).max().unwrap_or(0);
        let number = |cell: &String| {
            cell.bytes().any(|c| c.is_ascii_digit())
                && cell.bytes().all(|c| c.is_ascii_digit() || c == b',')
        };
        (
            widest.max(name.chars().count()),
            !rows.is_empty() && cells().all(number),
        )
    });
    columns.collect()
}

fn table_as_text(text: &mut String, head: &[String], rows: &[Vec<String>]) {
    let columns = columns(head, rows);
    let mut line = |cells: &[String]| {
        let mut written = String::new();
        for (cell, (width, right)) in cells.iter().zip(&columns) {
            let _ = match right {
                true => write!(written, "{cell:>width$}  "),
                false => write!(written, "{cell:<width$}  "),
            };
        }
        text.push_str(written.trim_end());
        text.push('\n');
    };
    line(head);
    let rule: Vec<String> = columns
        .iter()
        .map(|(width, _)| "-".repeat(*width))
        .collect();
    line(&rule);
    rows.iter().for_each(|row| line(row));
}

fn table_as_markdown(text: &mut String, head: &[String], rows: &[Vec<String>]) {
    let columns = columns(head, rows);
    let mut line = |cells: Vec<String>| {
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    };
    line(head.iter().map(|cell| escaped(cell)).collect());
    line(
        columns
            .iter()
            .map(|(_, right)| if *right { "---:" } else { "---" }.to_owned())
            .collect(),
    );
    for row in rows {
        line(row.iter().map(|cell| escaped(cell)).collect());
    }
}

/// What Markdown would take for its own signs; texts of the operator's must not change the paper around them.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '\r' | '\n' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A number with its thousands apart.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and what it counts: `1 message`, `2 messages`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

#[cfg(test)]
#[path = "paper_tests.rs"]
mod tests;
