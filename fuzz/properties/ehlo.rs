//! Whatever stands in a reply to EHLO: what is understood can be announced again and is then understood as the same; what two
//! servers have in common is had by both; nothing of it could end a line.

use std::collections::BTreeSet;

use pixelgate::smtp::extensions::Extensions;
use pixelgate::smtp::reply_reader::{ReplyLimits, ReplyReader};

fn understood(octets: &[u8]) -> Option<Extensions> {
    let mut reader = ReplyReader::new(ReplyLimits::default());
    let (_, reply) = reader.push(octets).ok()?;
    let reply = reply?;
    Some(Extensions::from_ehlo_lines(
        reply.lines().iter().skip(1).map(String::as_str),
    ))
}

/// The reply of a server that has exactly these.
fn announced(extensions: &Extensions) -> Vec<u8> {
    let words = |words: &BTreeSet<String>| {
        words
            .iter()
            .fold(String::new(), |all, word| all + " " + word)
    };
    let mut lines = vec!["server.example".to_owned()];
    let named = [
        ("PIPELINING", extensions.pipelining),
        ("8bitmime", extensions.eight_bit_mime),
        ("SMTPUTF8", extensions.smtputf8),
        ("DSN", extensions.dsn),
        ("EnhancedStatusCodes", extensions.enhanced_status_codes),
        ("STARTTLS", extensions.starttls),
        ("REQUIRETLS", extensions.requiretls),
        ("XPIXELGATE", extensions.xpixelgate),
    ];
    lines.extend(
        named
            .iter()
            .filter(|(_, has)| *has)
            .map(|(name, _)| (*name).to_owned()),
    );
    lines.extend(extensions.size.map(|octets| format!("SIZE {octets}")));
    for (name, set) in [
        ("AUTH", &extensions.auth),
        ("XFORWARD", &extensions.xforward),
    ] {
        if !set.is_empty() {
            lines.push(format!("{name}{}", words(set)));
        }
    }
    let last = lines.len() - 1;
    let lines = lines.iter().enumerate().map(|(index, line)| {
        let mark = if index == last { ' ' } else { '-' };
        format!("250{mark}{line}\r\n")
    });
    lines.collect::<String>().into_bytes()
}

/// Holds for every input: one reply, or two with a NUL between them.
pub(crate) fn hold(input: &[u8]) {
    let (one, other) = match input.iter().position(|octet| *octet == 0) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, input),
    };
    let Some(extensions) = understood(one) else {
        return;
    };
    for word in extensions.auth.iter().chain(&extensions.xforward) {
        assert!(
            !word.is_empty() && !word.chars().any(|c| c.is_control() || c == ' '),
            "{word:?}"
        );
        assert_eq!(*word, word.to_ascii_uppercase());
    }
    let again = announced(&extensions);
    if again
        .split(|octet| *octet == b'\n')
        .all(|line| line.len() < 4000)
    {
        assert_eq!(understood(&again).as_ref(), Some(&extensions));
    }
    assert_eq!(extensions.and(&extensions), extensions);
    let Some(other) = understood(other) else {
        return;
    };
    let both = extensions.and(&other);
    assert_eq!(both, other.and(&extensions));
    assert_eq!(both.and(&other), both);
    assert!(!both.smtputf8 || (extensions.smtputf8 && other.smtputf8));
    assert!(both.auth.is_subset(&other.auth) && both.xforward.is_subset(&other.xforward));
}
