//! Closed lists of words: an enum whose variants are spelled the same in files, in the register, in the ledger and in logs.
//!
//! It must never know what a word means. A word that is not on the list is an error that names the list and its words.

use thiserror::Error;

/// A word that is not on its list. The file or store that holds it is to blame; permanent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{word}` is no {list}; one of: {known}")]
pub struct UnknownWord {
    /// Which list was asked, e.g. `purpose`.
    pub list: &'static str,
    /// What stood there, escaped and cut to 64 characters.
    pub word: String,
    /// The words that would have been right.
    pub known: String,
}

impl UnknownWord {
    pub(crate) fn new(list: &'static str, word: &str, known: &[&'static str]) -> Self {
        let word = word.chars().take(64).flat_map(char::escape_default);
        Self {
            list,
            word: word.collect(),
            known: known.join(", "),
        }
    }
}

/// Defines an enum of words: `as_str`, `ALL`, `Display`, `FromStr` and serde, from one table.
macro_rules! words {
    ($(#[$outer:meta])* $name:ident, $list:literal, { $($(#[$inner:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$inner])* $variant,)+ }

        impl $name {
            /// Every word of the list, in its order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as it stands in files, register, ledger and logs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::consent::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::consent::UnknownWord::new($list, word, &[$($word),+])),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                word.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use words;
