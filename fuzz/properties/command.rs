//! Any line: what parses holds no control character, is said again by its parts, and is then read as the same.

use pixelgate::smtp::command::Command;
use pixelgate::smtp::parameter::Parameters;

/// A line of ours that says these parts.
fn again(start: &str, path: &str, parameters: &Parameters) -> Vec<u8> {
    let mut line = format!("{start}<{path}>");
    for parameter in &parameters.0 {
        line.push(' ');
        line.push_str(&parameter.keyword);
        if let Some(value) = &parameter.value {
            line.push('=');
            line.push_str(value);
        }
    }
    assert!(!line.chars().any(char::is_control), "{line:?}");
    line.into_bytes()
}

/// Holds for every input.
pub(crate) fn hold(line: &[u8]) {
    let read = Command::parse(line);
    let said = match &read {
        Ok(Command::Mail(mail)) => {
            again("MAIL FROM:", mail.reverse_path.as_str(), &mail.parameters)
        }
        Ok(Command::Rcpt(rcpt)) => again("RCPT TO:", rcpt.forward_path.as_str(), &rcpt.parameters),
        Ok(Command::Ehlo(name)) => format!("EHLO {name}").into_bytes(),
        Ok(Command::Lhlo(name)) => format!("LHLO {name}").into_bytes(),
        Ok(Command::Helo(name)) => format!("HELO {name}").into_bytes(),
        Ok(Command::Bdat { octets, last }) => {
            format!("BDAT {octets}{}", if *last { " LAST" } else { "" }).into_bytes()
        }
        // The same in capitals, without what stands around it.
        Ok(Command::Data) => b"DATA".to_vec(),
        Ok(Command::Rset) => b"RSET".to_vec(),
        Ok(Command::Quit) => b"QUIT".to_vec(),
        Ok(Command::Starttls) => b"STARTTLS".to_vec(),
        Ok(_) => return,
        Err(reply) => {
            assert!(reply.code() >= 500, "{reply:?}");
            let wire = reply.to_wire();
            assert_eq!(wire.matches("\r\n").count(), 1, "{wire:?}");
            assert!(!wire.trim_end_matches("\r\n").chars().any(char::is_control));
            return;
        }
    };
    assert!(!said.iter().any(u8::is_ascii_control));
    assert_eq!(Command::parse(&said), read, "{}", said.escape_ascii());
    // Blanks behind a command mean nothing.
    assert_eq!(Command::parse(&[&said[..], b" \t"].concat()), read);
    // It is one line, whatever is read of it.
    for end in [&b"\r"[..], b"\n", b"\0"] {
        let two = Command::parse(&[&said[..], end, b"DATA"].concat());
        // A BDAT that cannot be read ends the session: what follows it is no command.
        assert!(matches!(two, Err(_) | Ok(Command::BadBdat)), "{two:?}");
    }
}
