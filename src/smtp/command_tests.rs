use super::*;
use proptest::prelude::*;

fn code(line: &[u8]) -> String {
    match Command::parse(line) {
        Ok(command) => format!("{command:?}"),
        Err(reply) => format!("{} {}", reply.code(), reply.enhanced().unwrap_or("-")),
    }
}

fn parsed_mail(line: &str) -> Mail {
    match Command::parse(line.as_bytes()) {
        Ok(Command::Mail(mail)) => mail,
        other => panic!("{line}: {other:?}"),
    }
}

fn parsed_rcpt(line: &str) -> Rcpt {
    match Command::parse(line.as_bytes()) {
        Ok(Command::Rcpt(rcpt)) => rcpt,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn verbs_in_any_case_with_blanks_behind() {
    for (line, command) in [
        (
            "ehlo client.example ",
            Command::Ehlo("client.example".into()),
        ),
        ("EHLO [127.0.0.1]", Command::Ehlo("[127.0.0.1]".into())),
        ("LhLo \tx", Command::Lhlo("x".into())),
        ("HELO under_score", Command::Helo("under_score".into())),
        ("data\t ", Command::Data),
        ("RSET", Command::Rset),
        ("NOOP whatever", Command::Noop),
        ("quit", Command::Quit),
        ("VRFY root", Command::Vrfy),
        ("EXPN list", Command::Expn),
        ("HELP", Command::Help),
        ("HELP MAIL", Command::Help),
        ("STARTTLS", Command::Starttls),
        (
            "AUTH PLAIN AGEAYg==",
            Command::Auth(auth::parse("PLAIN AGEAYg==").unwrap()),
        ),
        (
            "BDAT 10 LAST",
            Command::Bdat {
                octets: 10,
                last: true,
            },
        ),
        (
            "bdat 0",
            Command::Bdat {
                octets: 0,
                last: false,
            },
        ),
        ("BDAT LAST", Command::BadBdat),
        (
            "XCLIENT ADDR=1.2.3.4",
            Command::Xclient(xclient::parse("ADDR=1.2.3.4").unwrap()),
        ),
        ("GET / HTTP/1.1", Command::Foreign),
        ("ETRN x", Command::Unknown),
        ("", Command::Unknown),
        (" MAIL FROM:<>", Command::Unknown),
        ("DATAX", Command::Unknown),
    ] {
        assert_eq!(Command::parse(line.as_bytes()), Ok(command), "{line}");
    }
}

#[test]
fn paths_keep_their_octets() {
    for inside in [
        "",
        "user@example.com",
        "\"a b>c\\\"\"@example.com",
        "A..B@Example.COM",
        "x@[192.0.2.1]",
        "x@[IPv6:2001:db8::1]",
    ] {
        for line in [
            format!("MAIL FROM:<{inside}>"),
            format!("mail from: <{inside}>  "),
            format!("Mail From:<{inside}> SIZE=10"),
        ] {
            assert_eq!(parsed_mail(&line).reverse_path.as_str(), inside, "{line}");
        }
    }
    assert_eq!(
        parsed_rcpt("RCPT TO:<PostMaster>").forward_path,
        ForwardPath::Postmaster("PostMaster".into())
    );
    assert_eq!(
        parsed_rcpt("RCPT TO:<@a.example,@b.example:c@d.example> NOTIFY=NEVER")
            .forward_path
            .as_str(),
        "c@d.example"
    );
}

#[test]
fn bad_arguments_get_their_own_reply() {
    for (line, expected) in [
        ("EHLO", "501 5.5.4"),
        ("EHLO two words", "501 5.5.4"),
        ("HELO ", "501 5.5.4"),
        ("DATA now", "501 5.5.4"),
        ("RSET x", "501 5.5.4"),
        ("QUIT x", "501 5.5.4"),
        ("VRFY", "501 5.5.4"),
        ("MAIL", "501 5.5.4"),
        ("MAIL <a@b.example>", "501 5.5.4"),
        ("MAIL FROM <a@b.example>", "501 5.5.4"),
        ("RCPT FROM:<a@b.example>", "501 5.5.4"),
        ("MAIL FROM:a@b.example", "501 5.1.7"),
        ("MAIL FROM:<a@b.example", "501 5.1.7"),
        ("MAIL FROM:<a@b.example>SIZE=1", "501 5.1.7"),
        ("MAIL FROM:<root>", "501 5.1.7"),
        ("MAIL FROM:<a b@c.example>", "501 5.1.7"),
        ("RCPT TO:<>", "501 5.1.3"),
        ("RCPT TO:<a@b@c.example>", "501 5.1.3"),
        ("RCPT TO:<<a@b.example>>", "501 5.1.3"),
        ("MAIL FROM:<\u{fc}@b.example>", "550 5.6.7"),
        ("MAIL FROM:<a@\u{fc}.example> BODY=8BITMIME", "550 5.6.7"),
        ("MAIL FROM:<> BODY=BINARYMIME", "554 5.6.3"),
        ("MAIL FROM:<> FOO=1", "555 5.5.4"),
        ("MAIL FROM:<> SIZE=x", "501 5.5.4"),
        ("MAIL FROM:<> SIZE=99999999999999999999", "552 5.3.4"),
        ("MAIL FROM:<> ENVID=a ENVID=b", "501 5.5.4"),
        ("RCPT TO:<a@b.example> RET=FULL", "555 5.5.4"),
        ("XFORWARD", "501 5.5.4"),
        ("XFORWARD NAME=a+0D", "501 5.5.4"),
        ("XFORWARD LOGIN=a", "501 5.5.4"),
    ] {
        assert_eq!(code(line.as_bytes()), expected, "{line}");
    }
    let long = format!("EHLO {}", "x".repeat(256));
    assert_eq!(code(long.as_bytes()), "501 5.5.4");
}

#[test]
fn international_paths_need_the_parameter() {
    let mail = parsed_mail("MAIL FROM:<\u{fc}@b.example> SMTPUTF8");
    assert_eq!(mail.reverse_path.as_str(), "\u{fc}@b.example");
    // The dialog knows what MAIL said; see there for RCPT.
    assert!(
        !parsed_rcpt("RCPT TO:<\u{fc}@b.example>")
            .forward_path
            .as_str()
            .is_ascii()
    );
}

#[test]
fn no_control_octet_gets_through() {
    for octet in (0..0x20).chain([0x7f]).filter(|octet| *octet != b'\t') {
        for line in [
            &[b"MAIL FROM:<a", &[octet][..], b"@b.example>"].concat()[..],
            &[b"RCPT TO:<\"a", &[octet][..], b"\"@b.example>"].concat(),
            &[b"EHLO a", &[octet][..]].concat(),
            &[b"MAIL FROM:<> ENVID=", &[octet][..]].concat(),
        ] {
            assert_eq!(code(line), "500 5.5.2", "{line:?}");
        }
    }
    assert_eq!(code(b"MAIL FROM:<\xff@b.example> SMTPUTF8"), "500 5.5.2");
    assert_eq!(code(b"MAIL FROM:<\"a\tb\"@c.example>"), "501 5.1.7");
    assert_eq!(code("EHLO a\u{85}".as_bytes()), "501 5.5.4");
}

#[test]
fn what_real_clients_send_is_understood() {
    for line in [
        "mail FROM:<a@b.example> size=512",
        "MAIL FROM:<a@b.example> SMTPUTF8 BODY=8BITMIME",
        "MAIL FROM:<a@b.example> SIZE=3210 BODY=8BITMIME RET=HDRS ENVID=QQ314159",
        "MAIL FROM:<a@b.example> AUTH=<>",
        "MAIL FROM:<a@b.example> AUTH=e+3Dmc2@example.com",
        "RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bx@b.example",
        "RCPT TO:<a@b.example> NOTIFY=NEVER",
        "XFORWARD NAME=spike.porcupine.org ADDR=168.100.189.2 PROTO=ESMTP",
        "XFORWARD NAME=[UNAVAILABLE] ADDR=IPV6:::1 PORT=4242 HELO=a IDENT=3xyz SOURCE=LOCAL",
    ] {
        assert!(Command::parse(line.as_bytes()).is_ok(), "{line}");
    }
}

/// smtp-proto's view of the same line, where it has one without loss (notes: it drops quotes and decodes xtext).
fn oracle(line: &str) -> Option<(String, Vec<&'static str>)> {
    let wire = format!("{line}\r\n");
    let flags = |known: &[(u64, &'static str)], flags: u64| {
        known
            .iter()
            .filter(|(flag, _)| flags & flag != 0)
            .map(|(_, name)| *name)
            .collect()
    };
    match smtp_proto::Request::parse(&mut wire.as_bytes().iter()).ok()? {
        smtp_proto::Request::Mail { from } => Some((
            from.address.to_string(),
            flags(
                &[
                    (smtp_proto::MAIL_BODY_8BITMIME, "8BITMIME"),
                    (smtp_proto::MAIL_SMTPUTF8, "SMTPUTF8"),
                    (smtp_proto::MAIL_RET_FULL, "FULL"),
                    (smtp_proto::MAIL_RET_HDRS, "HDRS"),
                ],
                from.flags,
            ),
        )),
        smtp_proto::Request::Rcpt { to } => Some((
            to.address.to_string(),
            flags(
                &[
                    (smtp_proto::RCPT_NOTIFY_SUCCESS, "SUCCESS"),
                    (smtp_proto::RCPT_NOTIFY_FAILURE, "FAILURE"),
                    (smtp_proto::RCPT_NOTIFY_DELAY, "DELAY"),
                    (smtp_proto::RCPT_NOTIFY_NEVER, "NEVER"),
                ],
                to.flags,
            ),
        )),
        _ => None,
    }
}

fn said(parameters: &Parameters) -> String {
    ["BODY", "RET", "NOTIFY"]
        .iter()
        .filter_map(|keyword| parameters.get(keyword))
        .chain(parameters.has("SMTPUTF8").then_some("SMTPUTF8"))
        .collect::<Vec<_>>()
        .join(",")
        .to_ascii_uppercase()
}

fn ours(line: &str) -> Option<(String, String)> {
    match Command::parse(line.as_bytes()).ok()? {
        Command::Mail(mail) => Some((
            mail.reverse_path.as_str().to_owned(),
            said(&mail.parameters),
        )),
        Command::Rcpt(rcpt) => Some((
            rcpt.forward_path.as_str().to_owned(),
            said(&rcpt.parameters),
        )),
        _ => None,
    }
}

/// Everything of a command that goes on to somebody else.
fn octets_of(command: &Command) -> Vec<String> {
    let values = |parameters: &Parameters| -> Vec<String> {
        parameters
            .0
            .iter()
            .flat_map(|parameter| [Some(parameter.keyword.clone()), parameter.value.clone()])
            .flatten()
            .collect()
    };
    match command {
        Command::Ehlo(name) | Command::Lhlo(name) | Command::Helo(name) => vec![name.clone()],
        Command::Mail(mail) => {
            let mut octets = values(&mail.parameters);
            octets.push(mail.reverse_path.as_str().to_owned());
            octets
        }
        Command::Rcpt(rcpt) => {
            let mut octets = values(&rcpt.parameters);
            octets.push(rcpt.forward_path.as_str().to_owned());
            octets
        }
        Command::Xforward(pairs) => pairs.iter().map(|(_, value)| value.clone()).collect(),
        _ => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn agrees_with_an_independent_parser_where_both_speak(
        mail in any::<bool>(),
        address in "[a-zA-Z0-9+=_-]{1,12}(\\.[a-z0-9]{1,5}){0,2}@[a-z0-9]{1,9}(\\.[a-z]{2,6}){1,3}",
        mail_parameters in proptest::sample::subsequence(
            vec!["SIZE=12345", "body=8BITMIME", "SMTPUTF8", "RET=FULL", "ENVID=abc+2B"], 0..=5),
        rcpt_parameters in proptest::sample::subsequence(
            vec!["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;x@y.example"], 0..=2),
    ) {
        let (verb, parameters) = if mail {
            ("MAIL FROM:", mail_parameters)
        } else {
            ("rcpt to:", rcpt_parameters)
        };
        let line = format!("{verb}<{address}> {}", parameters.join(" ")).trim_end().to_owned();
        let (their_address, mut their_flags) = oracle(&line).expect("the oracle understands its own subset");
        let (our_address, our_words) = ours(&line).expect("and so do we");
        prop_assert_eq!(our_address.to_ascii_lowercase(), their_address.to_ascii_lowercase());
        let mut our_flags: Vec<&str> = our_words.split(',').filter(|word| !word.is_empty()).collect();
        our_flags.sort_unstable();
        their_flags.sort_unstable();
        prop_assert_eq!(our_flags, their_flags);
    }

    #[test]
    fn never_panics_and_never_lets_a_line_end_through(line in proptest::collection::vec(any::<u8>(), 0..80), start in 0usize..6) {
        let prefix = ["", "MAIL FROM:<", "RCPT TO:<a@b.example> ", "XFORWARD HELO=", "EHLO ", "MAIL FROM:<> ENVID="][start];
        let line = [prefix.as_bytes(), &line].concat();
        match Command::parse(&line) {
            Ok(command) => {
                let controls = octets_of(&command).into_iter().any(|text| text.contains(char::is_control));
                prop_assert!(!controls, "{:?}", command);
            }
            Err(reply) => prop_assert!(reply.code() >= 500),
        }
    }
}

#[test]
fn a_chunk_whose_command_cannot_be_read_is_still_a_chunk() {
    for line in [
        &b"BDAT"[..],
        b"bdat x",
        b"BDAT 5\x01",
        b"BDAT\x00 5",
        b"BDAT \xff",
        b"BDAT 5 LAST \xc3",
        b"BDAT 5 LAST LAST",
    ] {
        assert_eq!(Command::parse(line), Ok(Command::BadBdat), "{line:?}");
    }
    assert_eq!(Command::parse(b"BDATA 5"), Ok(Command::Unknown));
    assert!(Command::parse(b"NOOP \x01").is_err());
}
