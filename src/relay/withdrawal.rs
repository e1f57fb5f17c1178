//! D10: in which parts of a message the recipient finds the link by which to withdraw.
//!
//! The link has to stand in the HTML part of the tracker itself, for that is what the recipient looks at, and must not be one
//! of the message's `List-Unsubscribe` targets: who stops the mail has not been asked about the tracker (F19). Pure. It must
//! never know a recipient; a part that is not surely seen through has no link.

use std::collections::BTreeSet;

use super::settings::{Stream, WithdrawalLink as Wanted};
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

/// A URL without its fragment, for comparing whole ones.
fn whole(url: &str) -> String {
    normal(url.split('#').next().unwrap_or(url))
}

/// A URL with scheme and host in lower case and without the port that its scheme implies (RFC 3986 6.2.2, 6.2.3).
fn normal(url: &str) -> String {
    let url = url.trim();
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let scheme = scheme.to_ascii_lowercase();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{user}@"), host),
        None => (String::new(), authority),
    };
    let host = host.to_ascii_lowercase();
    let implied = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => ":",
    };
    let host = host.strip_suffix(implied).unwrap_or(&host);
    let host = host.strip_suffix(':').unwrap_or(host);
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{scheme}://{user}{host}{slash}{path}")
}

#[cfg(test)]
mod tests {
    use super::super::settings::CheckedLink;
    use super::super::survey::Link;
    use super::*;

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

    #[test]
    fn a_stream_that_asks_for_no_link_needs_none() {
        let offered = Offered::new(&Stream::built_in(), &Survey::default());
        assert_eq!(offered.to(Some(1)), WithdrawalLink::NotDemanded);
        assert_eq!(offered.to(None), WithdrawalLink::NotDemanded);
    }
}
