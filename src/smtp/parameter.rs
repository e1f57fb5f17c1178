//! Parameters of MAIL and RCPT (RFC 5321 4.1.2 esmtp-param), with their value octets kept.
//!
//! Checked for syntax when parsed, sent or dropped later by the EHLO of the connection in use; never re-encoded.

use serde::{Deserialize, Serialize};

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
}
