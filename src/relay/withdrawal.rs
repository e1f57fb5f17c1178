//! D10: in which parts of a message the recipient finds the link by which to withdraw.
//!
//! The link has to stand in the HTML part of the tracker itself, for that is what the recipient looks at, and must not be one
//! of the message's `List-Unsubscribe` targets: who stops the mail has not been asked about the tracker (F19). Pure. It must
//! never know a recipient; a part that is not surely seen through has no link.

use std::collections::BTreeSet;

use super::settings::{Stream, WithdrawalLink as Wanted};
use super::streams::plain_host;
use super::survey::Survey;
use crate::consent::WithdrawalLink;

/// Where the link stands.
#[derive(Debug, Clone, Default)]
pub struct Offered {
    demanded: bool,
    parts: BTreeSet<usize>,
}

impl Offered {
    /// Looks for the link that the stream asks for.
    pub fn new(stream: &Stream, survey: &Survey) -> Self {
        let Some(Wanted::Checked(link)) = &stream.withdrawal_link else {
            return Self::default();
        };
        let prefix = normal(&link.url_prefix);
        let targets = survey.header.unsubscribe.iter();
        let unsubscribe: BTreeSet<String> = targets.map(|url| whole(url)).collect();
        let offers = survey.links.iter().filter(|link| {
            normal(&link.target).starts_with(&prefix) && !unsubscribe.contains(&whole(&link.target))
        });
        Self {
            demanded: true,
            parts: offers.map(|link| link.part).collect(),
        }
    }

    /// What a tracker in this part rests on; `None`: a part that nobody sees through.
    pub fn to(&self, part: Option<usize>) -> WithdrawalLink {
        match (self.demanded, part) {
            (false, _) => WithdrawalLink::NotDemanded,
            (true, Some(part)) if self.parts.contains(&part) => WithdrawalLink::Present,
            (true, _) => WithdrawalLink::Absent,
        }
    }
}

/// A URL without its fragment and whether it is TLS, for telling whether two lead to the same place.
fn whole(url: &str) -> String {
    let url = normal(url.split('#').next().unwrap_or(url));
    match url.strip_prefix("http://") {
        Some(rest) => format!("https://{rest}"),
        None => url,
    }
}

/// A URL as a client would request it, in one spelling: scheme and host in lower case, no port that the scheme implies, no
/// dot segments, nothing encoded that need not be (RFC 3986 6.2.2, 6.2.3; WHATWG URL 4.4 for the backslash). By the letters
/// alone `/privacy/../unsubscribe` would begin with `/privacy/`.
fn normal(url: &str) -> String {
    let url = url.trim();
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let scheme = scheme.to_ascii_lowercase();
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{user}@"), host),
        None => (String::new(), authority),
    };
    let implied = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => ":",
    };
    let host = host.strip_suffix(implied).unwrap_or(host);
    let host = plain_host(host.strip_suffix(':').unwrap_or(host));
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let (path, query) = path.split_at(end);
    format!(
        "{scheme}://{user}{host}{}{}",
        without_dots(path),
        plainly_encoded(query)
    )
}

/// A path with its dot segments taken out (RFC 3986 5.2.4); it begins with a slash.
fn without_dots(path: &str) -> String {
    let path = plainly_encoded(&path.replace('\\', "/"));
    let mut segments: Vec<&str> = Vec::new();
    let mut raw = path
        .strip_prefix('/')
        .unwrap_or(&path)
        .split('/')
        .peekable();
    while let Some(segment) = raw.next() {
        let last = raw.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    segments.pop();
                }
                if last {
                    segments.push("");
                }
            }
            _ => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Decodes what means the same either way, and writes what stays encoded in capitals (RFC 3986 6.2.2.1, 6.2.2.2).
fn plainly_encoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| {
            let mut octets = digits.bytes();
            octets.all(|octet| octet.is_ascii_hexdigit())
        });
        let octet = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (octet, piece.get(2..)) {
            (Some(octet), Some(rest)) => {
                match octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
                    true => plain.push(char::from(octet)),
                    false => plain.push_str(&format!("%{octet:02X}")),
                }
                plain.push_str(rest);
            }
            _ => {
                plain.push('%');
                plain.push_str(piece);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::settings::CheckedLink;
    use super::super::survey::{Lens, Link, survey};
    use super::*;
    use crate::pixel::Rules;

    fn offered(prefix: &str, links: &[(usize, &str)], unsubscribe: &[&str]) -> Offered {
        let stream = Stream {
            withdrawal_link: Some(Wanted::Checked(CheckedLink {
                url_prefix: prefix.to_owned(),
            })),
            ..Stream::built_in()
        };
        let mut survey = Survey::default();
        survey.header.unsubscribe = unsubscribe.iter().map(|url| (*url).to_owned()).collect();
        survey.links = links
            .iter()
            .map(|(part, target)| Link {
                part: *part,
                target: (*target).to_owned(),
            })
            .collect();
        Offered::new(&stream, &survey)
    }

    const PREFIX: &str = "https://www.example.com/privacy/";

    #[test]
    fn a_link_serves_the_part_it_stands_in() {
        let offered = offered(PREFIX, &[(2, "https://www.example.com/privacy/t?x=1")], &[]);
        assert_eq!(offered.to(Some(2)), WithdrawalLink::Present);
        assert_eq!(offered.to(Some(1)), WithdrawalLink::Absent);
        assert_eq!(
            offered.to(None),
            WithdrawalLink::Absent,
            "a part nobody sees through"
        );
    }

    #[test]
    fn how_a_url_is_spelled_does_not_matter_where_it_leads_does() {
        for (link, present) in [
            ("HTTPS://WWW.Example.COM:443/privacy/t", true),
            ("https://www.example.com/privacy/", true),
            ("https://www.example.com/Privacy/t", false),
            ("http://www.example.com/privacy/t", false),
            ("https://www.example.com:8443/privacy/t", false),
            ("https://www.example.com.evil.example/privacy/t", false),
            (
                "https://evil.example/?https://www.example.com/privacy/t",
                false,
            ),
            ("https://u@www.example.com/privacy/t", false),
            ("https://www.example.com@evil.example/privacy/t", false),
            ("https://evil.example\\@www.example.com/privacy/t", false),
            ("https://www.example.com./%70rivacy/./x/../t", true),
            ("https://www.example.com\\privacy\\t", true),
            ("https://www.example.com/privacy/../unsubscribe", false),
            ("https://www.example.com/privacy/%2E%2e/unsubscribe", false),
            ("https://www.example.com/privacy\\..\\unsubscribe", false),
            ("https://www.example.com/privacy/%", true),
            ("https://www.example.com/privacy/%e9%", true),
        ] {
            let to = offered(PREFIX, &[(1, link)], &[]).to(Some(1));
            assert_eq!(to == WithdrawalLink::Present, present, "{link}");
        }
        let host = offered(
            "https://www.example.com",
            &[(1, "https://www.example.com.evil.example/")],
            &[],
        );
        assert_eq!(
            host.to(Some(1)),
            WithdrawalLink::Absent,
            "a host ends where its path begins"
        );
    }

    #[test]
    fn the_link_that_ends_the_mail_is_not_the_one_that_ends_the_tracking() {
        let link = "https://www.example.com/privacy/out?u=4f";
        for (target, present) in [
            (link, false),
            ("HTTPS://www.EXAMPLE.com:443/privacy/out?u=4f", false),
            ("https://www.example.com/privacy/out?u=4f#top", false),
            ("http://www.example.com/privacy/out?u=4f", false),
            ("https://www.example.com./privacy/%6fut?%75=4%66", false),
            ("https://www.example.com/privacy/x/../out?u=4f", false),
            ("https://www.example.com/privacy/out?u=5f", true),
            ("https://www.example.com/privacy/OUT?u=4f", true),
            ("mailto:out@example.com", true),
        ] {
            for link in [link, "https://www.example.com/privacy/out?u=4f#now"] {
                let to = offered(PREFIX, &[(1, link)], &[target]).to(Some(1));
                assert_eq!(to == WithdrawalLink::Present, present, "{target}");
            }
        }
        let other = "https://www.example.com/privacy/tracking?u=4f";
        let both = offered(PREFIX, &[(1, link), (1, other)], &[link]);
        assert_eq!(
            both.to(Some(1)),
            WithdrawalLink::Present,
            "another link beside it counts"
        );
    }

    /// Only a link that every reading of its part sees is one; a message in base64 has none that can be told apart.
    #[test]
    fn a_link_that_some_reading_does_not_see_is_none() {
        let lens = Lens::new(Arc::new(Rules::built_in().clone()), Arc::default());
        let links = |header: &str, body: &str| {
            let message = format!("MIME-Version: 1.0\r\n{header}\r\n\r\n{body}\r\n");
            let seen = survey(message.as_bytes(), &lens);
            seen.links.len()
        };
        let html = "Content-Type: text/html; charset=utf-8";
        let plain = "<a href=\"https://www.example.com/privacy/\">stop</a>";
        let quoted = "<a href=3D\"https://www.example.com/privacy/\">stop</a>";
        let cte = "\r\nContent-Transfer-Encoding:";
        assert_eq!(links(html, plain), 1);
        assert_eq!(links(&format!("{html}{cte} quoted-printable"), quoted), 1);
        let both = format!("{html}{cte} quoted-printable{cte} 7bit");
        assert_eq!(
            links(&both, quoted),
            0,
            "one reader sees another link than the other"
        );
        assert_eq!(links(&both, plain), 1, "both see the same");
        let unread = "Content-Type: text/html; charset=utf-32";
        assert_eq!(links(unread, plain), 0);
        // The message "Content-Type: text/html" with the link, in base64.
        let inner = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64";
        let encoded = "Q29udGVudC1UeXBlOiB0ZXh0L2h0bWwNCg0KPGEgaHJlZj0iaHR0cHM6Ly93d3cuZXhhbXBsZS5jb20vcHJpdmFjeS8iPnN0b3A8L2E+DQo=";
        assert_eq!(links(inner, encoded), 0);
    }

    #[test]
    fn a_stream_that_asks_for_no_link_needs_none() {
        let offered = Offered::new(&Stream::built_in(), &Survey::default());
        assert_eq!(offered.to(Some(1)), WithdrawalLink::NotDemanded);
        assert_eq!(offered.to(None), WithdrawalLink::NotDemanded);
    }
}
