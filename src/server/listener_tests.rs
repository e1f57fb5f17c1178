use super::*;

fn read(text: &str) -> Result<ListenerSettings, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
}

#[test]
fn loopback_is_trusted_and_nobodys_xforward_believed_by_default() {
    let settings = read("address = \"127.0.0.1:2525\"").unwrap();
    assert_eq!(settings.protocol, Protocol::Smtp);
    assert_eq!(settings.address.to_string(), "127.0.0.1:2525");
    let trusted: Vec<String> = settings
        .trusted_networks
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(trusted, ["127.0.0.1/32", "::1/128"]);
    assert!(settings.xforward_networks.is_empty());
}

#[test]
fn settings_are_read_and_mistakes_named() {
    let settings = read(
        "address = \"unix:/run/x.sock\"\nprotocol = \"lmtp\"\ntrusted_networks = [\"192.0.2.7\", \"2001:db8::/32\"]",
    )
    .unwrap();
    assert_eq!(settings.address, Address::Unix("/run/x.sock".into()));
    assert_eq!(settings.protocol, Protocol::Lmtp);
    assert_eq!(settings.trusted_networks[0].to_string(), "192.0.2.7/32");
    for (text, named) in [
        ("address = \"localhost:25\"", "`localhost:25` is not"),
        ("address = \"unix:\"", "needs a path"),
        (
            "address = \"127.0.0.1:2525\"\ntrusted_networks = [\"10.0.0.0/33\"]",
            "`10.0.0.0/33`",
        ),
        (
            "address = \"127.0.0.1:2525\"\ntrusted = []",
            "unknown field `trusted`",
        ),
        (
            "address = \"127.0.0.1:2525\"\nprotocol = \"SMTP\"",
            "unknown variant",
        ),
        ("protocol = \"smtp\"", "missing field `address`"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(named), "{text}: {error}");
    }
}
