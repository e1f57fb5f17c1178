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

#[tokio::test]
async fn a_stale_socket_is_taken_over_and_a_live_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smtp.sock");
    let address = Address::Unix(path.clone());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let socket = listen(&address).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert!(matches!(listen(&address).await, Err(ServerError::InUse(_))));
    drop(socket);
    assert!(!path.exists());
    std::fs::write(&path, "mine").unwrap();
    assert!(matches!(
        listen(&address).await,
        Err(ServerError::NotASocket(_))
    ));
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[tokio::test]
async fn a_taken_port_is_an_error_naming_it() {
    let first = listen(&Address::Tcp("127.0.0.1:0".parse().unwrap()))
        .await
        .unwrap();
    let address = first.address().unwrap();
    let error = listen(&address).await.unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot listen on {address}: ")),
        "{error}"
    );
}
