use super::*;

#[tokio::test]
async fn a_stale_socket_is_taken_over_and_a_live_one_is_not() {
    let none = Handed::default();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smtp.sock");
    let address = Address::Unix(path.clone());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let socket = listen(&address, &none).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert!(matches!(
        listen(&address, &none).await,
        Err(ServerError::InUse(_))
    ));
    drop(socket);
    assert!(!path.exists());
    std::fs::write(&path, "mine").unwrap();
    assert!(matches!(
        listen(&address, &none).await,
        Err(ServerError::NotASocket(_))
    ));
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[tokio::test]
async fn a_taken_port_is_an_error_naming_it() {
    let none = Handed::default();
    let any = Address::Tcp("127.0.0.1:0".parse().unwrap());
    let first = listen(&any, &none).await.unwrap();
    let address = first[0].address().unwrap();
    let error = listen(&address, &none).await.unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot listen on {address}: ")),
        "{error}"
    );
}
