//! Replies (RFC 5321 4.2): values, not errors. The texts that a client may read from us stand in `replies`.
//!
//! A reply that came from a next hop keeps its code and its lines; controls in it were replaced when it was read.

use std::fmt::Write as _;

/// What a reply code says, by its first digit (RFC 5321 4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// 2xx.
    Done,
    /// 3xx.
    GoOn,
    /// 4xx.
    NotNow,
    /// 5xx.
    Refused,
}

/// One reply, possibly of several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    /// A reply from its code and its text lines (enhanced code included in the text where there is one). Control
    /// characters become spaces, no line is empty of everything but its code by accident: an empty list is one empty line.
    pub fn new(code: u16, lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut lines: Vec<String> = lines
            .into_iter()
            .map(|line| {
                line.into()
                    .chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .collect()
            })
            .collect();
        if lines.is_empty() {
            lines.push(String::new());
        }
        Self { code, lines }
    }

    /// The three-digit code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The text lines, without codes.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// All text on one line, for logs and DSNs.
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// The enhanced status code at the start of the text (RFC 3463), e.g. `5.1.1`.
    pub fn enhanced(&self) -> Option<&str> {
        let first = self.lines.first()?.split(' ').next()?;
        let mut numbers = first.split('.');
        let class = numbers.next()?;
        let rest: Vec<&str> = numbers.collect();
        let digits = |part: &&str| {
            !part.is_empty() && part.len() <= 3 && part.bytes().all(|octet| octet.is_ascii_digit())
        };
        (matches!(class, "2" | "4" | "5") && rest.len() == 2 && rest.iter().all(digits))
            .then_some(first)
    }

    /// What the code says.
    pub fn severity(&self) -> Severity {
        match self.code {
            200..=299 => Severity::Done,
            300..=399 => Severity::GoOn,
            500..=599 => Severity::Refused,
            _ => Severity::NotNow,
        }
    }

    /// Whether the code is 2xx.
    pub fn is_done(&self) -> bool {
        self.severity() == Severity::Done
    }

    /// The octets on the wire, CRLF included.
    pub fn to_wire(&self) -> String {
        let mut wire = String::new();
        let last = self.lines.len().saturating_sub(1);
        for (index, line) in self.lines.iter().enumerate() {
            let mark = if index == last { ' ' } else { '-' };
            let _ = write!(wire, "{}{mark}{line}\r\n", self.code);
        }
        wire
    }
}
