//! Parameters of MAIL and RCPT (RFC 5321 4.1.2 esmtp-param), with their value octets kept.
//!
//! Checked for syntax when parsed, sent or dropped later by the EHLO of the connection in use; never re-encoded.
//! It must never know what a server announced: Postfix's smtpd_proxy_filter sends parameters whatever we announce.
//! What is wrong is a [`ParameterError`] naming the keyword; nothing is skipped.

use serde::{Deserialize, Serialize};

use super::xforward;

/// Characters of an ENVID (RFC 3461 4.4).
const ENVID_OCTETS: usize = 100;
/// Characters of an ORCPT (RFC 3461 4.2) or AUTH (RFC 4954 5) value.
const LONG_VALUE_OCTETS: usize = 500;
/// Digits of a SIZE (RFC 1870 3).
const SIZE_DIGITS: usize = 20;

/// One `KEYWORD` or `KEYWORD=value`; the keyword is upper-cased, the value is the client's octets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Parameter {
    /// Upper-case keyword, e.g. `ENVID`.
    pub keyword: String,
    /// The octets behind `=`, still xtext where the client wrote xtext.
    pub value: Option<String>,
}

/// The parameters of one MAIL or RCPT, in the client's order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameters(pub Vec<Parameter>);

/// Why parameters were not understood. The client is to blame and repeating them does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// Not `KEYWORD` or `KEYWORD=value`.
    #[error("Parameters must be KEYWORD or KEYWORD=value")]
    Syntax,
    /// Nothing we announce and nothing Postfix sends regardless.
    #[error("Unknown parameter")]
    Unknown,
    /// The same keyword twice.
    #[error("{0} given twice")]
    Duplicate(&'static str),
    /// A value this keyword cannot have.
    #[error("Bad {0} value")]
    Value(&'static str),
    /// `BODY=BINARYMIME` without BDAT cannot be carried (RFC 3030 3).
    #[error("BODY=BINARYMIME not supported")]
    BinaryMime,
    /// A SIZE that no number of ours holds.
    #[error("SIZE over any limit")]
    SizeOverflow,
}

impl Parameters {
    /// The value of a keyword (upper-case); `Some("")` for one without a value.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|parameter| parameter.keyword == keyword)
            .map(|parameter| parameter.value.as_deref().unwrap_or(""))
    }

    /// Whether the keyword was given.
    pub fn has(&self, keyword: &str) -> bool {
        self.get(keyword).is_some()
    }

    /// The octets the client announced with SIZE.
    pub fn size(&self) -> Option<u64> {
        self.get("SIZE")?.parse().ok()
    }

    /// Whether every value is ASCII.
    pub fn is_ascii(&self) -> bool {
        self.0
            .iter()
            .all(|parameter| parameter.value.as_deref().unwrap_or("").is_ascii())
    }

    /// Reads what follows the path of MAIL.
    pub fn parse_mail(text: &str) -> Result<Self, ParameterError> {
        Self::parse(text, &MAIL)
    }

    /// Reads what follows the path of RCPT.
    pub fn parse_rcpt(text: &str) -> Result<Self, ParameterError> {
        Self::parse(text, &RCPT)
    }

    fn parse(text: &str, rules: &[Rule]) -> Result<Self, ParameterError> {
        let mut parameters = Self::default();
        for word in text.split([' ', '\t']).filter(|word| !word.is_empty()) {
            let (raw_keyword, value) = match word.split_once('=') {
                Some((keyword, value)) => (keyword, Some(value)),
                None => (word, None),
            };
            if !is_keyword(raw_keyword) || !value.is_none_or(is_value) {
                return Err(ParameterError::Syntax);
            }
            let keyword = raw_keyword.to_ascii_uppercase();
            let rule = rules
                .iter()
                .find(|rule| rule.keyword == keyword)
                .ok_or(ParameterError::Unknown)?;
            if parameters.has(&keyword) {
                return Err(ParameterError::Duplicate(rule.keyword));
            }
            (rule.check)(value).map_err(|wrong| match wrong {
                Wrong::Value => ParameterError::Value(rule.keyword),
                Wrong::BinaryMime => ParameterError::BinaryMime,
                Wrong::SizeOverflow => ParameterError::SizeOverflow,
            })?;
            parameters.0.push(Parameter {
                keyword,
                value: value.map(str::to_owned),
            });
        }
        Ok(parameters)
    }
}

enum Wrong {
    Value,
    BinaryMime,
    SizeOverflow,
}

struct Rule {
    keyword: &'static str,
    check: fn(Option<&str>) -> Result<(), Wrong>,
}

const MAIL: [Rule; 7] = [
    // RFC 8689 3.
    Rule {
        keyword: "REQUIRETLS",
        check: |value| fits(value.is_none()),
    },
    Rule {
        keyword: "SIZE",
        check: size,
    },
    Rule {
        keyword: "BODY",
        check: body,
    },
    Rule {
        keyword: "SMTPUTF8",
        check: |value| fits(value.is_none()),
    },
    Rule {
        keyword: "RET",
        check: |value| fits(is_one_of(value, &["FULL", "HDRS"])),
    },
    Rule {
        keyword: "ENVID",
        check: |value| fits(value.is_some_and(|id| id.len() <= ENVID_OCTETS && is_xtext(id))),
    },
    Rule {
        keyword: "AUTH",
        check: |value| {
            fits(value.is_some_and(|who| {
                who == "<>" || (who.len() <= LONG_VALUE_OCTETS && is_xtext(who))
            }))
        },
    },
];

const RCPT: [Rule; 2] = [
    Rule {
        keyword: "NOTIFY",
        check: |value| fits(value.is_some_and(is_notify)),
    },
    Rule {
        keyword: "ORCPT",
        check: |value| fits(value.is_some_and(is_original_recipient)),
    },
];

fn fits(condition: bool) -> Result<(), Wrong> {
    if condition { Ok(()) } else { Err(Wrong::Value) }
}

fn size(value: Option<&str>) -> Result<(), Wrong> {
    let digits = value.ok_or(Wrong::Value)?;
    if digits.len() > SIZE_DIGITS || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(Wrong::Value);
    }
    digits
        .parse::<u64>()
        .map(|_| ())
        .map_err(|_| Wrong::SizeOverflow)
}

fn body(value: Option<&str>) -> Result<(), Wrong> {
    if is_one_of(value, &["BINARYMIME"]) {
        return Err(Wrong::BinaryMime);
    }
    fits(is_one_of(value, &["7BIT", "8BITMIME"]))
}

fn is_one_of(value: Option<&str>, words: &[&str]) -> bool {
    value.is_some_and(|value| words.iter().any(|word| word.eq_ignore_ascii_case(value)))
}

fn is_notify(value: &str) -> bool {
    let mut seen: Vec<&str> = Vec::new();
    let known = value.split(',').all(|word| {
        let known = is_one_of(Some(word), &["NEVER", "SUCCESS", "FAILURE", "DELAY"]);
        let again = seen.iter().any(|other| other.eq_ignore_ascii_case(word));
        seen.push(word);
        known && !again
    });
    let never = seen.iter().any(|word| word.eq_ignore_ascii_case("NEVER"));
    // RFC 3461 4.1: NEVER stands alone.
    known && (!never || seen.len() == 1)
}

fn is_original_recipient(value: &str) -> bool {
    value.len() <= LONG_VALUE_OCTETS
        && value.split_once(';').is_some_and(|(kind, address)| {
            is_keyword(kind) && !address.is_empty() && is_xtext(address)
        })
}

/// Whether this is xtext whose octets hold no control character: an encoded line end must not wait in the envelope for
/// somebody downstream to decode it.
fn is_xtext(value: &str) -> bool {
    xforward::decode(value.as_bytes()).is_some_and(|octets| {
        !octets.is_empty() && octets.iter().all(|octet| *octet >= 0x20 && *octet != 0x7f)
    })
}

fn is_keyword(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
}

fn is_value(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|character| {
            // RFC 5321 4.1.2 and, for what is not ASCII, RFC 6531 3.3.
            (character.is_ascii_graphic() && character != '=')
                || !(character.is_ascii() || character.is_control() || character.is_whitespace())
        })
}

#[cfg(test)]
#[path = "parameter_tests.rs"]
mod tests;
