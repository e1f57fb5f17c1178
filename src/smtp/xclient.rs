//! XCLIENT (Postfix XCLIENT_README): a trusted peer says on whose behalf it speaks.
//!
//! Values are decoded and checked here; who may send the command is the session's business. It must never change what is
//! believed of anybody. What cannot be read is the [`Reply`] that the peer deserves, and then nothing of it counts.

use std::net::IpAddr;

use super::replies;
use super::reply::Reply;
use super::xforward::{VALUE_OCTETS, decode};

/// The attributes, in the order in which they are announced.
pub const ATTRIBUTES: [&str; 8] = [
    "NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT",
];

/// What one command says. `None`: not said. `Some(None)`: said to be unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xclient {
    /// ADDR.
    pub address: Option<Option<IpAddr>>,
    /// PORT.
    pub port: Option<Option<u16>>,
    /// LOGIN.
    pub login: Option<Option<String>>,
    /// HELO.
    pub helo: Option<Option<String>>,
}

/// Reads what stands behind `XCLIENT`. NAME, PROTO, DESTADDR and DESTPORT are checked and change nothing here: no decision
/// of ours rests on them.
pub fn parse(arguments: &str) -> Result<Xclient, Reply> {
    let mut said = Xclient::default();
    let mut seen: Vec<String> = Vec::new();
    for word in arguments.split([' ', '\t']).filter(|word| !word.is_empty()) {
        let (name, raw) = word.split_once('=').ok_or_else(wrong)?;
        let name = name.to_ascii_uppercase();
        if !ATTRIBUTES.contains(&name.as_str()) || seen.contains(&name) {
            return Err(wrong());
        }
        let value = value(raw)?;
        match name.as_str() {
            "ADDR" => said.address = Some(value.as_deref().map(address).transpose()?),
            "PORT" | "DESTPORT" => {
                let port = value.as_deref().map(port).transpose()?;
                if name == "PORT" {
                    said.port = Some(port);
                }
            }
            "DESTADDR" => {
                value.as_deref().map(address).transpose()?;
            }
            "PROTO" => {
                let known = |proto: &String| ["SMTP", "ESMTP", "LMTP"].contains(&proto.as_str());
                if !value.as_ref().is_none_or(known) {
                    return Err(wrong());
                }
            }
            "LOGIN" => said.login = Some(value),
            "HELO" => said.helo = Some(value),
            _ => {}
        }
        seen.push(name);
    }
    if seen.is_empty() {
        return Err(wrong());
    }
    Ok(said)
}

fn wrong() -> Reply {
    replies::syntax("XCLIENT attribute=value")
}

/// The decoded value; `None` where it is unavailable.
fn value(raw: &str) -> Result<Option<String>, Reply> {
    if raw.len() > VALUE_OCTETS {
        return Err(wrong());
    }
    let octets = decode(raw.as_bytes()).ok_or_else(wrong)?;
    let value = String::from_utf8(octets).map_err(|_| wrong())?;
    let unknown = ["[UNAVAILABLE]", "[TEMPUNAVAIL]"];
    if unknown.iter().any(|word| value.eq_ignore_ascii_case(word)) {
        return Ok(None);
    }
    if value.is_empty() || value.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(wrong());
    }
    Ok(Some(value))
}

fn address(value: &str) -> Result<IpAddr, Reply> {
    let prefixed = value
        .get(..5)
        .filter(|prefix| prefix.eq_ignore_ascii_case("IPV6:"));
    let bare = prefixed.and_then(|_| value.get(5..)).unwrap_or(value);
    bare.parse().map_err(|_| wrong())
}

fn port(value: &str) -> Result<u16, Reply> {
    let digits = value.bytes().all(|octet| octet.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read() {
        let said = parse("NAME=spike.example ADDR=IPV6:2001:db8::1 PORT=25 LOGIN=sh+6fp HELO=[UNAVAILABLE] PROTO=ESMTP DESTADDR=192.0.2.1 DESTPORT=25")
            .unwrap();
        assert_eq!(said.address, Some(Some("2001:db8::1".parse().unwrap())));
        assert_eq!(said.port, Some(Some(25)));
        assert_eq!(said.login, Some(Some("shop".to_owned())));
        assert_eq!(said.helo, Some(None));
        let said = parse("addr=[unavailable] NAME=[TEMPUNAVAIL]").unwrap();
        assert_eq!(said.address, Some(None));
        assert_eq!(said.login, None);
    }

    #[test]
    fn what_is_wrong_changes_nothing() {
        for text in [
            "",
            "ADDR",
            "ADDR=spike",
            "ADDR=192.0.2.1 ADDR=192.0.2.2",
            "WHO=me",
            "PORT=70000",
            "PORT=+32+35x",
            "LOGIN=",
            "LOGIN=a+0Db",
            "HELO=a+0Ab",
            "LOGIN=a+20b",
            "LOGIN=+zz",
            "PROTO=HTTP",
            "DESTADDR=nowhere",
        ] {
            assert_eq!(parse(text).unwrap_err().code(), 501, "{text}");
        }
        let long = format!("LOGIN={}", "a".repeat(256));
        assert_eq!(parse(&long).unwrap_err().code(), 501);
    }
}
