//! Whatever stands behind XCLIENT: what is read holds nothing that could end a line or part two words, and, said again, is read as
//! the same.

use std::fmt::Write as _;

use pixelgate::smtp::xclient::{Xclient, parse};

/// xtext (RFC 3461 4), every octet of it.
fn xtext(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "+{octet:02X}");
        text
    })
}

fn again(said: &Xclient) -> String {
    let mut words = Vec::new();
    let mut word = |name: &str, value: Option<Option<String>>| {
        if let Some(value) = value {
            let value = value.map_or("[UNAVAILABLE]".to_owned(), |value| xtext(&value));
            words.push(format!("{name}={value}"));
        }
    };
    word(
        "ADDR",
        said.address
            .map(|address| address.map(|address| address.to_string())),
    );
    word(
        "PORT",
        said.port.map(|port| port.map(|port| port.to_string())),
    );
    word("LOGIN", said.login.clone());
    word("HELO", said.helo.clone());
    words.join(" ")
}

/// Holds for every input.
pub(crate) fn hold(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let said = match parse(text) {
        Ok(said) => said,
        Err(reply) => {
            return assert!(reply.code() >= 500 && reply.to_wire().matches("\r\n").count() == 1);
        }
    };
    for value in [&said.login, &said.helo].into_iter().flatten().flatten() {
        assert!(
            !value.is_empty() && !value.chars().any(|c| c.is_control() || c.is_whitespace()),
            "{value:?}"
        );
    }
    let line = again(&said);
    // Three octets for one: a long value does not fit twice.
    let fits = line.split(' ').all(|word| word.len() <= 255);
    if !line.is_empty() && fits {
        assert_eq!(parse(&line), Ok(said), "{line}");
    }
}
