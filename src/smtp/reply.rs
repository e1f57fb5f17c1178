//! Replies (RFC 5321 4.2): values, not errors. The texts that a client may read from us stand in `replies`.
//!
//! A reply that came from a next hop keeps its code and its text; controls in it were replaced when it was read, and a line of
//! it that is longer than ours may be goes on in another line of the same reply.

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

/// Octets of text in one line that we write: with its code and a blank no more than 998 (RFC 5322 2.1.1).
const TEXT_OCTETS: usize = 994;

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
        let lines: Vec<&str> = self.lines.iter().flat_map(|line| fitting(line)).collect();
        let last = lines.len().saturating_sub(1);
        for (index, line) in lines.into_iter().enumerate() {
            let mark = if index == last { ' ' } else { '-' };
            let _ = write!(wire, "{}{mark}{line}\r\n", self.code);
        }
        wire
    }
}

/// The text in pieces that fit into a line, nothing left out.
fn fitting(text: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while rest.len() > TEXT_OCTETS {
        let end = rest.floor_char_boundary(TEXT_OCTETS);
        let (piece, later) = rest.split_at_checked(end).unwrap_or((rest, ""));
        pieces.push(piece);
        rest = later;
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_goes_on_in_another_and_nothing_is_left_out() {
        for text in ["x".repeat(4_000), "\u{20ac}".repeat(1_400), "x".repeat(994)] {
            let wire = Reply::new(550, [text.as_str(), "5.1.1 end"]).to_wire();
            let lines: Vec<&str> = wire.split_terminator("\r\n").collect();
            assert!(lines.iter().all(|line| line.len() <= 998), "{wire}");
            let (last, before) = lines.split_last().unwrap();
            assert_eq!(*last, "550 5.1.1 end");
            assert!(before.iter().all(|line| line.starts_with("550-")));
            let said: String = before.iter().filter_map(|line| line.get(4..)).collect();
            assert_eq!(said, text);
        }
        assert_eq!(Reply::new(250, [""]).to_wire(), "250 \r\n");
    }

    #[test]
    fn no_text_makes_a_line_of_its_own() {
        let reply = Reply::new(250, ["a\r\n354 go\0\u{85}\u{7f}b"]);
        assert_eq!(reply.to_wire(), "250 a  354 go   b\r\n");
    }
}
