use super::*;
use proptest::prelude::*;

fn announced(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn all() -> BTreeSet<String> {
    Attribute::ALL
        .iter()
        .map(|attribute| attribute.as_str().to_owned())
        .collect()
}

#[test]
fn first_command_makes_the_rest_unavailable_and_later_ones_update() {
    let mut xforward = Xforward::default();
    xforward.update(parse("NAME=spike.example ADDR=192.0.2.7").unwrap());
    assert_eq!(xforward.get(Attribute::Name), Some("spike.example"));
    assert_eq!(xforward.get(Attribute::Port), None);
    assert_eq!(xforward.0.len(), 7);
    xforward.update(parse("port=2525 ADDR=[unavailable]").unwrap());
    assert_eq!(xforward.get(Attribute::Name), Some("spike.example"));
    assert_eq!(xforward.get(Attribute::Port), Some("2525"));
    assert_eq!(xforward.get(Attribute::Addr), None);
}

#[test]
fn only_announced_attributes_go_on() {
    let mut xforward = Xforward::default();
    xforward.update(parse("NAME=a ADDR=192.0.2.7 IDENT=Q1").unwrap());
    assert_eq!(
        xforward.to_commands(&announced(&["ADDR", "IDENT", "SOURCE"])),
        ["XFORWARD ADDR=192.0.2.7 IDENT=Q1 SOURCE=[UNAVAILABLE]"]
    );
    assert!(xforward.to_commands(&announced(&[])).is_empty());
    assert!(Xforward::default().to_commands(&all()).is_empty());
}

#[test]
fn an_encoded_line_end_is_refused() {
    for raw in ["HELO=a+0D+0AMAIL", "NAME=a+00b", "IDENT=+7F", "HELO=+C2+85"] {
        assert!(matches!(parse(raw), Err(XforwardError::Value(_))), "{raw}");
    }
}

#[test]
fn values_are_checked() {
    let good = [
        "ADDR=IPV6:2001:db8::1",
        "ADDR=ipv6:::1",
        "ADDR=2001:db8::1",
        "PORT=65535",
        "SOURCE=local",
        "HELO=a=b",
        "HELO=two+20words",
        "HELO=[192.0.2.1]",
        "NAME=[TEMPUNAVAIL]",
    ];
    for raw in good {
        assert!(parse(raw).is_ok(), "{raw}");
    }
    for (raw, error) in [
        ("", XforwardError::Empty),
        (" \t", XforwardError::Empty),
        ("NAME", XforwardError::NotAPair),
        ("LOGIN=x", XforwardError::UnknownAttribute),
        ("NAME=a NAME=b", XforwardError::Duplicate(Attribute::Name)),
        ("NAME=", XforwardError::Value(Attribute::Name)),
        ("NAME=a+20b", XforwardError::Value(Attribute::Name)),
        ("ADDR=example.com", XforwardError::Value(Attribute::Addr)),
        ("ADDR=IPV6:192.0.2.1", XforwardError::Value(Attribute::Addr)),
        ("PORT=65536", XforwardError::Value(Attribute::Port)),
        ("PORT=+2B1", XforwardError::Value(Attribute::Port)),
        ("SOURCE=elsewhere", XforwardError::Value(Attribute::Source)),
        ("HELO=+G0", XforwardError::Xtext(Attribute::Helo)),
        ("HELO=a+2", XforwardError::Xtext(Attribute::Helo)),
        ("HELO=+FF", XforwardError::Value(Attribute::Helo)),
    ] {
        assert_eq!(parse(raw), Err(error), "{raw}");
    }
}

#[test]
fn the_value_limit_holds_for_what_would_be_written() {
    assert!(parse(&format!("HELO={}", "x".repeat(255))).is_ok());
    let long = XforwardError::TooLong(Attribute::Helo);
    assert_eq!(
        parse(&format!("HELO={}", "x".repeat(256))),
        Err(long.clone())
    );
    assert_eq!(parse(&format!("HELO={}", "=".repeat(86))), Err(long));
}

#[test]
fn names_survive_the_spool() {
    let mut xforward = Xforward::default();
    xforward.update(parse("NAME=b\u{fc}cher.example").unwrap());
    let text = serde_json::to_string(&xforward).unwrap();
    assert!(text.contains("\"NAME\":\"bücher.example\""), "{text}");
    assert_eq!(serde_json::from_str::<Xforward>(&text).unwrap(), xforward);
}

proptest! {
    #[test]
    fn xtext_goes_there_and_back(value in any::<String>()) {
        let encoded = encode(&value);
        prop_assert!(encoded.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'='));
        prop_assert_eq!(decode(encoded.as_bytes()), Some(value.into_bytes()));
    }

    #[test]
    fn what_we_write_is_legal_and_reads_the_same(
        helo in "[ -~]{1,85}", name in "[!-*,-~]{1,255}", ident in "[0-9A-F]{1,255}", proto in "[A-Z]{1,255}"
    ) {
        let mut xforward = Xforward::default();
        xforward.update(vec![
            (Attribute::Helo, helo), (Attribute::Ident, ident), (Attribute::Proto, proto),
        ]);
        if let Ok(pairs) = parse(&format!("NAME={name}")) {
            xforward.update(pairs);
        }
        let mut read = Xforward::default();
        for command in xforward.to_commands(&all()) {
            prop_assert!(command.len() + 2 <= LINE_OCTETS);
            read.update(parse(command.strip_prefix("XFORWARD ").unwrap()).unwrap());
        }
        prop_assert_eq!(read, xforward);
    }
}
