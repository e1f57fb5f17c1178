use super::*;

#[test]
fn values_keep_their_octets() {
    let parameters =
        Parameters::parse_mail("size=0123 Body=8bitmime SMTPUTF8 ret=hdrs ENVID=a+2Bb AUTH=<>  ")
            .unwrap();
    let pairs: Vec<_> = parameters
        .0
        .iter()
        .map(|parameter| (parameter.keyword.as_str(), parameter.value.as_deref()))
        .collect();
    assert_eq!(
        pairs,
        [
            ("SIZE", Some("0123")),
            ("BODY", Some("8bitmime")),
            ("SMTPUTF8", None),
            ("RET", Some("hdrs")),
            ("ENVID", Some("a+2Bb")),
            ("AUTH", Some("<>")),
        ]
    );
    assert_eq!(parameters.size(), Some(123));
    let parameters =
        Parameters::parse_rcpt("NOTIFY=success,DELAY ORCPT=rfc822;a+2B@b.example").unwrap();
    assert_eq!(parameters.get("NOTIFY"), Some("success,DELAY"));
    assert_eq!(parameters.get("ORCPT"), Some("rfc822;a+2B@b.example"));
}

#[test]
fn wrong_mail_parameters_are_named() {
    use ParameterError::{BinaryMime, Duplicate, SizeOverflow, Syntax, Unknown, Value};
    for (text, error) in [
        ("SIZE", Value("SIZE")),
        ("SIZE=", Syntax),
        ("SIZE=12x", Value("SIZE")),
        ("SIZE=-1", Value("SIZE")),
        ("SIZE=+1", Value("SIZE")),
        ("SIZE=99999999999999999999", SizeOverflow),
        ("SIZE=000000000000000000001", Value("SIZE")),
        ("SIZE=1 size=1", Duplicate("SIZE")),
        ("BODY=BinaryMIME", BinaryMime),
        ("BODY=9BIT", Value("BODY")),
        ("BODY", Value("BODY")),
        ("SMTPUTF8=yes", Value("SMTPUTF8")),
        ("RET=ALL", Value("RET")),
        ("ENVID=a+0D+0AQUIT", Value("ENVID")),
        ("ENVID=a+4", Value("ENVID")),
        ("ENVID=a=b", Syntax),
        ("AUTH=a+00", Value("AUTH")),
        ("NOTIFY=NEVER", Unknown),
        ("XVERP", Unknown),
        ("MT-PRIORITY=3", Unknown),
        ("=x", Syntax),
        ("-X=1", Syntax),
        ("X_Y=1", Syntax),
    ] {
        assert_eq!(Parameters::parse_mail(text), Err(error), "{text}");
    }
    let long = format!("ENVID={}", "x".repeat(101));
    assert_eq!(Parameters::parse_mail(&long), Err(Value("ENVID")));
}

#[test]
fn wrong_rcpt_parameters_are_named() {
    use ParameterError::{Duplicate, Unknown, Value};
    for (text, error) in [
        ("NOTIFY=NEVER,DELAY", Value("NOTIFY")),
        ("NOTIFY=DELAY,delay", Value("NOTIFY")),
        ("NOTIFY=DELAY,", Value("NOTIFY")),
        ("NOTIFY=SOMETIMES", Value("NOTIFY")),
        ("NOTIFY", Value("NOTIFY")),
        ("ORCPT=a@b.example", Value("ORCPT")),
        ("ORCPT=rfc822;", Value("ORCPT")),
        ("ORCPT=;a", Value("ORCPT")),
        ("ORCPT=rfc822;a+0A", Value("ORCPT")),
        ("ORCPT=rfc822;a ORCPT=rfc822;a", Duplicate("ORCPT")),
        ("RET=FULL", Unknown),
    ] {
        assert_eq!(Parameters::parse_rcpt(text), Err(error), "{text}");
    }
    let long = format!("ORCPT=rfc822;{}", "x".repeat(494));
    assert_eq!(Parameters::parse_rcpt(&long), Err(Value("ORCPT")));
}

#[test]
fn international_values_are_seen() {
    let parameters = Parameters::parse_rcpt("ORCPT=utf-8;\u{fc}@b.example").unwrap();
    assert!(!parameters.is_ascii());
    assert!(Parameters::parse_rcpt("ORCPT=utf-8;a\u{a0}b").is_err());
    assert!(Parameters::parse_rcpt("ORCPT=utf-8;a\u{85}b").is_err());
}
