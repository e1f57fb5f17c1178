//! Whatever stands behind XFORWARD: what is read is said again in lines of at most 512 octets without a control character, and
//! a server that reads those knows the same.

use std::collections::BTreeSet;

use pixelgate::smtp::xforward::{Attribute, LINE_OCTETS, UNAVAILABLE, Xforward, parse};

/// Holds for every input: arguments of one command after the other, a line each.
pub(crate) fn hold(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let mut said = Xforward::default();
    for line in text.split('\n') {
        if let Ok(pairs) = parse(line) {
            for (attribute, value) in &pairs {
                assert!(
                    !value.is_empty() && !value.chars().any(char::is_control),
                    "{attribute} {value:?}"
                );
            }
            said.update(pairs);
        }
    }
    let all: BTreeSet<String> = Attribute::ALL
        .iter()
        .map(|name| name.as_str().to_owned())
        .collect();
    let commands = said.to_commands(&all);
    assert_eq!(commands.is_empty(), said.is_empty());
    let mut heard = Xforward::default();
    for command in &commands {
        assert!(
            command.len() + 2 <= LINE_OCTETS,
            "{} octets",
            command.len() + 2
        );
        assert!(
            command.bytes().all(|octet| (0x20..0x7f).contains(&octet)),
            "{command:?}"
        );
        let arguments = command.strip_prefix("XFORWARD ").expect("the verb");
        heard.update(parse(arguments).expect("what we write can be read"));
    }
    assert_eq!(heard, said);
    // A server that announced one attribute hears of no other.
    let one = BTreeSet::from(["HELO".to_owned()]);
    let commands = said.to_commands(&one);
    assert!(commands.len() <= 1 && commands.iter().all(|line| line.matches('=').count() >= 1));
    assert!(
        commands
            .iter()
            .all(|line| line.starts_with("XFORWARD HELO=") && line.split(' ').count() == 2)
    );
    assert!(said.is_empty() || Attribute::ALL.iter().all(|name| said.0.contains_key(name)));
    assert!(
        said.get(Attribute::Helo)
            .is_none_or(|helo| helo != UNAVAILABLE)
    );
}
