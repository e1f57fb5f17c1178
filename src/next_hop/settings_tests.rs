use super::*;

fn read(text: &str) -> Result<Settings, toml::de::Error> {
    toml::from_str(text)
}

#[test]
fn an_address_is_enough() {
    let settings = read("address = '127.0.0.1:10026'").unwrap();
    assert_eq!(settings, Settings::new("127.0.0.1:10026".parse().unwrap()));
    assert_eq!(settings.check(), Ok(()));
    assert_eq!(settings.limits.hold_before_data(), Duration::from_secs(10));
    assert_eq!(settings.limits.answer_within(), Duration::from_secs(90));
    assert_eq!(settings.limits.dot_time(), Duration::from_secs(30));
}

#[test]
fn everything_can_be_said() {
    let settings = read(
        "address = 'unix:/run/lmtp'\nprotocol = 'lmtp'\nhelo = 'relay.example'\nchained = true\n\
         [limits]\nmax_connections = 3\nidle_seconds = 5\n",
    )
    .unwrap();
    assert_eq!(settings.protocol, Protocol::Lmtp);
    assert!(settings.chained);
    assert_eq!(settings.limits.max_connections, 3);
    assert_eq!(settings.limits.connection_wait_seconds, 10);
    let written = toml::to_string(&settings).unwrap();
    assert_eq!(read(&written).unwrap(), settings);
}

#[test]
fn a_typo_is_an_error() {
    for text in [
        "address = 'a:1'\nmax_conections = 1",
        "address = 'a:1'\n[limits]\nmax_conections = 1",
        "address = 'a:1'\nprotocol = 'SMTP'",
        "address = 'a'",
        "protocol = 'smtp'",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn what_cannot_work_is_named() {
    let wrong = |change: fn(&mut Settings)| {
        let mut settings = Settings::new("127.0.0.1:1".parse().unwrap());
        change(&mut settings);
        settings.check().unwrap_err().to_string()
    };
    assert!(wrong(|s| s.limits.max_connections = 0).contains("max_connections"));
    assert!(wrong(|s| s.limits.command_timeout_seconds = 0).contains("command_timeout_seconds"));
    assert!(wrong(|s| s.limits.reply_line_octets = 100).contains("reply_line_octets"));
    assert!(wrong(|s| s.limits.dot_time_seconds = 90).contains("dot_time_seconds"));
    assert!(wrong(|s| s.helo = "a b".to_owned()).contains("helo"));
    assert!(wrong(|s| s.helo = "a\r\nQUIT".to_owned()).contains("helo"));
}

#[test]
fn nothing_said_of_certificates_is_passed_over() {
    let read = |tls: &str| {
        let text = format!("address = \"mx.example.net:25\"\ntls = {{ {tls} }}\n");
        toml::from_str::<Settings>(&text).unwrap().check()
    };
    let pin = format!("fingerprint = \"{}\"", "ab".repeat(32));
    for (tls, named) in [
        ("implicit = true", "implicit"),
        ("ca_file = \"ca.pem\"", "ca_file"),
        ("name = \"a.example\"", "name"),
        (pin.as_str(), "fingerprint"),
        ("mode = \"opportunistic\", ca_file = \"ca.pem\"", "ca_file"),
        (&format!("mode = \"required\", {pin}"), "fingerprint"),
    ] {
        let error = read(tls).unwrap_err();
        assert!(
            matches!(error, SettingsError::TlsIdle { key, .. } if key == named),
            "{tls}: {error}"
        );
    }
    for tls in [
        "mode = \"none\"",
        "mode = \"required\", implicit = true, name = \"a.example\"",
        &format!("mode = \"verified\", ca_file = \"ca.pem\", {pin}"),
    ] {
        assert_eq!(read(tls), Ok(()), "{tls}");
    }
}
