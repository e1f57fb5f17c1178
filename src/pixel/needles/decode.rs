//! What a token of a URL may be an encoding of: hexadecimal, base64 in both alphabets, base32, each perhaps deflated.
//!
//! Every reading that is possible is given; which one is meant is not known. It must never grow: what is inflated is bounded. What
//! decodes to nothing sensible is left out.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use miniz_oxide::inflate::{decompress_to_vec_with_limit, decompress_to_vec_zlib_with_limit};

/// Octets that a token may inflate to.
const INFLATED_OCTETS: usize = 8 << 10;
/// Octets of a token; longer ones hold more than a name.
const TOKEN_OCTETS: usize = 16 << 10;
/// Of a text that was decoded by chance, at most one letter in so many is not to be printed.
const PRINTED_OF: usize = 8;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// One reading of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decoded {
    /// What it stands for.
    pub(super) octets: Vec<u8>,
    /// The name of the encoding.
    pub(super) by: &'static str,
}

impl Decoded {
    /// As text, where it is one.
    pub(super) fn text(&self) -> Option<String> {
        let text = std::str::from_utf8(&self.octets).ok()?;
        let strange = text.chars().filter(|c| c.is_control()).count();
        (!text.is_empty() && strange.saturating_mul(PRINTED_OF) <= text.len())
            .then(|| text.to_owned())
    }
}

/// Every reading of a token.
pub(super) fn all(token: &str) -> Vec<Decoded> {
    if token.len() > TOKEN_OCTETS {
        return Vec::new();
    }
    // The two alphabets differ in two letters: a token that has none of these reads alike in both.
    let base64 = match token.contains(['-', '_']) {
        true => ("base64url", BASE64_URL.decode(token).ok()),
        false => ("base64", BASE64.decode(token).ok()),
    };
    let simple = [("hex", hex(token)), base64, ("base32", base32(token))];
    let mut readings: Vec<Decoded> = Vec::new();
    for (by, octets) in simple {
        let Some(octets) = octets else { continue };
        if let Some(inflated) = inflated(&octets) {
            readings.push(Decoded {
                octets: inflated,
                by: "deflate",
            });
        }
        if !readings.iter().any(|known| known.octets == octets) {
            readings.push(Decoded { octets, by });
        }
    }
    readings
}

fn hex(token: &str) -> Option<Vec<u8>> {
    if !token.len().is_multiple_of(2) {
        return None;
    }
    let digit = |octet: &u8| char::from(*octet).to_digit(16);
    token
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

/// RFC 4648 6, either case, with or without padding.
fn base32(token: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(token.len());
    let (mut bits, mut held) = (0_u32, 0_u32);
    for letter in token.trim_end_matches('=').bytes() {
        let value = match letter.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        held = (held << 5) | u32::from(value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            octets.push(u8::try_from((held >> bits) & 0xff).ok()?);
            held &= (1 << bits) - 1;
        }
    }
    Some(octets)
}

/// What zlib or gzip made smaller (RFC 1950, RFC 1952), or a bare deflate stream that ends where it should.
fn inflated(octets: &[u8]) -> Option<Vec<u8>> {
    match octets {
        [0x78, ..] => decompress_to_vec_zlib_with_limit(octets, INFLATED_OCTETS).ok(),
        // Ten octets of header where no flag is set.
        [0x1f, 0x8b, 8, 0, ..] => {
            decompress_to_vec_with_limit(octets.get(10..)?, INFLATED_OCTETS).ok()
        }
        _ => None,
    }
}
