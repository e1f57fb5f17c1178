//! Whatever a client says in AUTH: what is read as a name and a password is exactly what stood there, said again it is read as the
//! same, and no `Debug` of it shows either.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pixelgate::smtp::auth::{Mechanism, credentials, parse, plain, response};

/// Holds for every input: the argument of AUTH, then the client's lines.
pub(crate) fn hold(input: &[u8]) {
    let mut lines = input.split(|octet| *octet == b'\n');
    let Some(Ok(argument)) = lines.next().map(std::str::from_utf8) else {
        return;
    };
    let start = match parse(argument) {
        Ok(start) => start,
        Err(reply) => return assert!(reply.code() >= 500),
    };
    let initial = start.initial.as_ref().map(|initial| initial.as_bytes());
    let mut said = initial.into_iter().chain(lines).map(response);
    let Some(Ok(first)) = said.next() else {
        return;
    };
    let read = match start.mechanism {
        Mechanism::Plain => plain(&first),
        Mechanism::Login => match said.next() {
            Some(Ok(password)) => credentials(&first, &password),
            _ => return,
        },
    };
    let known = match read {
        Ok(known) => known,
        Err(reply) => {
            return assert!(reply.code() >= 500 && reply.to_wire().matches("\r\n").count() == 1);
        }
    };
    assert!(!known.name.is_empty() && !known.password.is_empty());
    assert_eq!(format!("{known:?}"), "Credentials");
    match start.mechanism {
        Mechanism::Login => assert_eq!(first, known.name.as_bytes()),
        Mechanism::Plain => {
            assert!(!known.name.contains('\0') && !known.password.contains(&0));
            assert!(
                first.ends_with(&[&[0], known.name.as_bytes(), &[0], &known.password].concat())
            );
            let message = [&[0], known.name.as_bytes(), &[0], &known.password].concat();
            let again = response(STANDARD.encode(&message).as_bytes());
            assert!(again.is_ok_and(|octets| plain(&octets).is_ok_and(|again| again == known)));
        }
    }
    // Nobody speaks for somebody else.
    let other = [
        b"x",
        known.name.as_bytes(),
        &[0],
        known.name.as_bytes(),
        &[0],
        &known.password,
    ]
    .concat();
    assert!(plain(&other).is_err());
}
