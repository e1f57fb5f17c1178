//! What may stand in a record as text, and what may be an address: everything that people write into lists.
//!
//! Pure. It must never quote what it refuses: an error names the field and the problem, never the value.

use thiserror::Error;

/// Longest controller name, in octets.
pub const CONTROLLER_OCTETS_MAX: usize = 128;
/// Longest address: a path of RFC 5321 4.5.3.1.3 with room for UTF-8 (RFC 6531).
pub const ADDRESS_OCTETS_MAX: usize = 320;

use jiff::Timestamp;

/// Why something cannot become a record. Whoever wrote it is to blame; permanent, but for `InTheFuture`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A grant dated later than its receipt (DESIGN 5).
    #[error(
        "`{field}` is {at}, more than 5 minutes after receipt: what permits cannot come from the future"
    )]
    InTheFuture {
        /// The field.
        field: &'static str,
        /// The date it bears.
        at: Timestamp,
    },
    /// More names than a list may hold.
    #[error("`{field}` holds {count} names; at most {limit}")]
    TooMany {
        /// The field.
        field: &'static str,
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A country that is no code of two letters.
    #[error("`country` is not a code of two letters (ISO 3166), such as FR")]
    Country,
    /// A text that is empty, too long, or holds what it may not.
    #[error("`{field}` {problem}")]
    Text {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: TextProblem,
    },
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TextProblem {
    /// Empty is neither given nor left out.
    #[error("is empty: name it or leave it out")]
    Empty,
    /// Past its limit.
    #[error("is longer than {limit} octets")]
    TooLong {
        /// The limit, in octets.
        limit: usize,
    },
    /// A control character.
    #[error("holds a control character")]
    Control,
    /// Not the digits it should be.
    #[error("is not 32 hex digits")]
    NotHex,
    /// It looks like an address, which stands in clear nowhere.
    #[error("holds `@`: an address may not stand in clear here")]
    AddressInClear,
}

/// Whether a controller's name can stand in files, ledger and subject (no NUL, see [`super::Subject`]).
pub fn check_controller(controller: &str) -> Result<(), Refusal> {
    check_text("controller", controller, CONTROLLER_OCTETS_MAX)
}

/// Whether this can be an address in a list. What a client puts on the wire is judged elsewhere.
pub fn check_address(address: &str) -> Result<(), AddressProblem> {
    let address = address.trim();
    if address.len() > ADDRESS_OCTETS_MAX {
        return Err(AddressProblem::TooLong);
    }
    if address.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Err(AddressProblem::Control);
    }
    let (local, domain) = address.rsplit_once('@').ok_or(AddressProblem::NoAt)?;
    if local.is_empty() || domain.is_empty() {
        return Err(AddressProblem::HalfEmpty);
    }
    let quoted = local.len() >= 2 && local.starts_with('"') && local.ends_with('"');
    // `Anna <anna@example.net>` and `a@x, b@y` are lists, not an address; taken as one they would name nobody.
    let strange = |text: &str| {
        text.chars()
            .any(|c| c.is_whitespace() || "<>,;".contains(c))
    };
    if strange(domain) || (!quoted && (strange(local) || local.contains('@'))) {
        return Err(AddressProblem::Strange);
    }
    Ok(())
}

/// Characters that lists carry along and nobody sees: soft hyphen, zero width, direction, byte order. With one of them a
/// withdrawal would be taken and name nobody.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Why a text is no address. It never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressProblem {
    /// Past the limit.
    #[error("`address` is longer than {ADDRESS_OCTETS_MAX} octets")]
    TooLong,
    /// A control character, or another that nobody sees.
    #[error("`address` holds a control character or one that cannot be seen")]
    Control,
    /// No `@`.
    #[error("`address` holds no `@`")]
    NoAt,
    /// Nothing before or after the `@`.
    #[error("`address` has an empty local part or domain")]
    HalfEmpty,
    /// A display name, a list, a blank.
    #[error(
        "`address` holds a blank, comma, semicolon, angle bracket or second `@`: give one bare address"
    )]
    Strange,
}

pub(super) fn check_text(field: &'static str, text: &str, limit: usize) -> Result<(), Refusal> {
    let problem = if text.trim().is_empty() {
        TextProblem::Empty
    } else if text.len() > limit {
        TextProblem::TooLong { limit }
    } else if text.chars().any(char::is_control) {
        TextProblem::Control
    } else if text.contains('@') {
        TextProblem::AddressInClear
    } else {
        return Ok(());
    };
    Err(Refusal::Text { field, problem })
}
