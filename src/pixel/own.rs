//! What the operator says of URLs: these are ours and count opens, those are content that has to load, that parameter is a person.
//!
//! The highest-precision evidence there is, and the only thing that may keep an individual image as it is. It must never know a
//! stream or a consent. What is not named here says nothing.

use super::url::Url;

/// Where a rule of the operator holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Host name, lower case; `*.example.com` for everything below.
    pub host: String,
    /// How the path begins, without the first slash; empty: every path.
    pub path: String,
}

/// All that one operator says for one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// Endpoints that count opens.
    pub endpoints: Vec<Spot>,
    /// Texts of comments behind which a tracker stands.
    pub markers: Vec<String>,
    /// Images that have to load as they are: tickets, codes, maps.
    pub functional: Vec<Spot>,
    /// Parameters that are wholly a person's identity, and may be dropped even where nothing proves it.
    pub identities: Vec<(Spot, String)>,
}

impl Spot {
    /// From `host` or `host/path`, with or without a scheme. `None` where there is no host.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host.trim_end_matches('.').to_lowercase();
        let named = host.strip_prefix("*.").unwrap_or(&host);
        let sound = !named.is_empty() && !named.contains(['*', '?', '#', '@', ':', ' ']);
        sound.then(|| Self {
            path: path.trim_end_matches('*').to_owned(),
            host,
        })
    }

    fn holds(&self, url: &Url) -> bool {
        let host = match self.host.strip_prefix("*.") {
            Some(above) => url
                .host
                .strip_suffix(above)
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            None => url.host == self.host,
        };
        host && url.path.starts_with(&self.path)
    }
}

impl Own {
    /// The endpoint that a URL is.
    pub(super) fn endpoint(&self, url: &Url) -> Option<&Spot> {
        self.endpoints.iter().find(|spot| spot.holds(url))
    }

    /// Whether an image has to load as it is.
    pub(super) fn is_functional(&self, url: &Url) -> bool {
        self.functional.iter().any(|spot| spot.holds(url))
    }

    /// Whether a parameter is wholly an identity.
    pub(super) fn is_identity(&self, url: &Url, parameter: &str) -> bool {
        let named = |(spot, name): &&(Spot, String)| spot.holds(url) && name == parameter;
        self.identities.iter().any(|identity| named(&identity))
    }

    /// Where each marker ends in a document.
    pub(super) fn marked(&self, html: &[u8]) -> Vec<usize> {
        let markers = self.markers.iter().filter(|marker| !marker.is_empty());
        markers
            .flat_map(|marker| {
                let found = memchr::memmem::find_iter(html, marker.as_bytes());
                found.map(|at| at.saturating_add(marker.len()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::url::{Target, target};

    fn url(text: &str) -> Url {
        match target(text, None) {
            Target::Remote(url) => url,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_spot_is_a_host_and_how_the_path_begins() {
        let spot = |text: &str| Spot::parse(text).unwrap();
        assert!(spot("t.example.com/o/").holds(&url("https://T.example.com/o/x")));
        assert!(spot("https://t.example.com/o/*").holds(&url("http://t.example.com/o/x?y")));
        assert!(!spot("t.example.com/o/").holds(&url("https://t.example.com/i/x")));
        assert!(!spot("t.example.com").holds(&url("https://x.t.example.com/")));
        assert!(spot("*.example.com").holds(&url("https://x.t.example.com/")));
        assert!(!spot("*.example.com").holds(&url("https://example.com/")));
        assert!(!spot("*.example.com").holds(&url("https://anexample.com/")));
        for text in ["", "/x", "*", "a*b.example", "https://"] {
            assert_eq!(Spot::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_marker_ends_where_it_ends() {
        let own = Own {
            markers: vec!["open pixel".to_owned(), String::new()],
            ..Own::default()
        };
        assert_eq!(own.marked(b"<!-- open pixel --><img>"), [15]);
    }
}
