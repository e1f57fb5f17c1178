//! What a server announces in its EHLO reply (RFC 5321 4.1.1.1).

use std::collections::BTreeSet;

/// The extensions one connection's server announced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 2034.
    pub enhanced_status_codes: bool,
    /// RFC 1870: `None` not announced, `Some(0)` announced without a limit, else the limit in octets.
    pub size: Option<u64>,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 8689.
    pub requiretls: bool,
    /// AUTH mechanisms announced, upper-case.
    pub auth: BTreeSet<String>,
    /// XFORWARD attributes announced, upper-case.
    pub xforward: BTreeSet<String>,
    /// Our own loop mark `XPIXELGATE`.
    pub xpixelgate: bool,
}

impl Extensions {
    /// What both have, with the smaller SIZE.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let limits = [self.size, other.size];
        let limit = limits
            .into_iter()
            .flatten()
            .filter(|limit| *limit > 0)
            .min();
        let announced = self.size.is_some() && other.size.is_some();
        Self {
            pipelining: self.pipelining && other.pipelining,
            eight_bit_mime: self.eight_bit_mime && other.eight_bit_mime,
            smtputf8: self.smtputf8 && other.smtputf8,
            dsn: self.dsn && other.dsn,
            enhanced_status_codes: self.enhanced_status_codes && other.enhanced_status_codes,
            size: limit.or(announced.then_some(0)),
            starttls: self.starttls && other.starttls,
            requiretls: self.requiretls && other.requiretls,
            auth: &self.auth & &other.auth,
            xforward: &self.xforward & &other.xforward,
            xpixelgate: self.xpixelgate || other.xpixelgate,
        }
    }

    /// Reads the text lines of an EHLO reply behind the greeting line. Keywords are case-insensitive; what is not
    /// known is ignored.
    pub fn from_ehlo_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut extensions = Self::default();
        for line in lines {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "PIPELINING" => extensions.pipelining = true,
                "8BITMIME" => extensions.eight_bit_mime = true,
                "SMTPUTF8" => extensions.smtputf8 = true,
                "DSN" => extensions.dsn = true,
                "ENHANCEDSTATUSCODES" => extensions.enhanced_status_codes = true,
                "SIZE" => {
                    extensions.size = Some(
                        words
                            .next()
                            .and_then(|octets| octets.parse().ok())
                            .unwrap_or(0),
                    )
                }
                "STARTTLS" => extensions.starttls = true,
                "REQUIRETLS" => extensions.requiretls = true,
                "AUTH" => extensions.auth = words.map(str::to_ascii_uppercase).collect(),
                "XFORWARD" => extensions.xforward = words.map(str::to_ascii_uppercase).collect(),
                "XPIXELGATE" => extensions.xpixelgate = true,
                _ => {}
            }
        }
        extensions
    }
}
