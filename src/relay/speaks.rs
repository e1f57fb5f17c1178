//! For which controllers a connection may speak (D20).
//!
//! One value, said by the listener; an authenticated name or a client certificate can say it in the same way. The message
//! only picks among these. It must never know a stream or a record. A name that is not well formed is none: who cannot be
//! told has no records.

use std::collections::BTreeSet;

use serde::Deserialize;

/// The field by which a message names its controller. Ours, hence removed before the mail goes on.
pub const FIELD: &str = "Pixelgate-Controller";
/// The controller of mail that belongs to nobody known. Nobody may be called so.
pub const UNASSIGNED: &str = "unassigned";
/// Longest name that an operator may give, in octets, as in the register.
const OWN_NAME_OCTETS: usize = 128;
/// Longest name that a message may give, in octets.
const NAME_OCTETS: usize = 64;

/// For whom a connection may speak.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub enum Speaks {
    /// Nothing is said: for the controllers that its streams name.
    #[default]
    OfItsStreams,
    /// `["shop", "bank"]`: for these.
    Listed(BTreeSet<String>),
    /// `{ header = "Pixelgate-Controller" }`: for whomever the message names. For injectors that are trusted with that.
    Named,
}

impl Speaks {
    /// Whether it may speak for this controller, as far as that can be told without its streams; `None`: they say it.
    pub fn may(&self, controller: &str) -> Option<bool> {
        match self {
            Self::OfItsStreams => None,
            Self::Listed(names) => Some(names.contains(controller)),
            Self::Named => Some(is_well_formed(controller)),
        }
    }
}

impl TryFrom<toml::Value> for Speaks {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::Array(names) => listed(names),
            toml::Value::Table(table) => {
                let field = match (table.get("header"), table.len()) {
                    (Some(toml::Value::String(field)), 1) => field,
                    _ => {
                        return Err(format!(
                            "write [\"shop\", \"bank\"] or {{ header = \"{FIELD}\" }}, not both"
                        ));
                    }
                };
                match field.eq_ignore_ascii_case(FIELD) {
                    true => Ok(Self::Named),
                    false => Err(format!(
                        "`{field}` would go on to the recipient; only {FIELD} is removed"
                    )),
                }
            }
            _ => Err(format!(
                "write [\"shop\", \"bank\"] or {{ header = \"{FIELD}\" }}"
            )),
        }
    }
}

fn listed(names: Vec<toml::Value>) -> Result<Speaks, String> {
    let mut known = BTreeSet::new();
    for name in names {
        let toml::Value::String(name) = name else {
            return Err("a controller's name is a text".to_owned());
        };
        if !is_name(&name) {
            return Err(format!(
                "`{}` cannot be a controller's name",
                name.escape_debug()
            ));
        }
        if known.contains(&name) {
            return Err(format!("`{name}` stands there twice"));
        }
        known.insert(name);
    }
    match known.is_empty() {
        true => Err("it speaks for nobody: nothing in its mail could be kept".to_owned()),
        false => Ok(Speaks::Listed(known)),
    }
}

/// Whether an operator may call a controller so.
pub fn is_name(name: &str) -> bool {
    let is_text = !name.trim().is_empty() && !name.chars().any(char::is_control);
    is_text && name.len() <= OWN_NAME_OCTETS && name != UNASSIGNED
}

/// Whether a message may call a controller so: 1 to 64 of `A-Z a-z 0-9 . _ -`. Less than an operator may, because what a
/// message says reaches the ledger.
pub fn is_well_formed(name: &str) -> bool {
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'_' | b'-');
    (1..=NAME_OCTETS).contains(&name.len()) && name.bytes().all(fits) && name != UNASSIGNED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Speaks, String> {
        let table: toml::Table = format!("x = {value}").parse().unwrap();
        table["x"]
            .clone()
            .try_into()
            .map_err(|error: toml::de::Error| error.to_string())
    }

    #[test]
    fn a_list_or_a_field() {
        let names = BTreeSet::from(["bank".to_owned(), "My Shop".to_owned()]);
        assert_eq!(read("[\"bank\", \"My Shop\"]"), Ok(Speaks::Listed(names)));
        assert_eq!(
            read("{ header = \"pixelgate-controller\" }"),
            Ok(Speaks::Named)
        );
        for wrong in [
            "[]",
            "[\"\"]",
            "[\" \"]",
            "[\"unassigned\"]",
            &format!("[\"{}\"]", "a".repeat(129)),
            "[\"a\", \"a\"]",
            "[\"a\\nb\"]",
            "[1]",
            "\"shop\"",
            "{ header = \"X-Tenant\" }",
            "{ header = \"Pixelgate-Controller\", list = [\"a\"] }",
            "{}",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_message_may_call_a_controller() {
        for right in ["shop", "Shop-1.eu_x", "a", &"a".repeat(64)] {
            assert!(is_well_formed(right), "{right}");
        }
        for wrong in [
            "",
            " shop",
            "shop,bank",
            "shop bank",
            "shop@bank",
            "sh\u{f6}p",
            "\u{fffd}",
            "unassigned",
            "a\tb",
            "a;b",
            "=?utf-8?q?shop?=",
            &"a".repeat(65),
        ] {
            assert!(!is_well_formed(wrong), "{wrong}");
        }
    }
}
