//! The known open-tracking endpoints: data in `rules.toml`, compiled once, looked up by host suffix or by a literal
//! segment of the path, never by trying every rule on every URL.
//!
//! It knows URLs, no HTML. The data file is compiled in; a file that cannot be read is an error naming the rule.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde::Deserialize;
use thiserror::Error;

use super::shape::{Path, Segment, ShapeError};
use super::url::{Target, Url, target};

/// Octets of a host name with its dots.
const HOST_OCTETS_MAX: usize = 255;

/// Rules that cannot be compiled. Whoever wrote the data file is to blame; never transient.
#[derive(Debug, Error)]
pub enum RulesError {
    /// The file is not the TOML we expect.
    #[error("rules: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A shape that does not exist.
    #[error("rule {rule:?}: {source}")]
    Shape {
        /// The rule's name.
        rule: String,
        /// What is wrong with the shape.
        source: ShapeError,
    },
    /// Two rules of one name.
    #[error("rule {0:?} stands twice")]
    Twice(String),
    /// A rule for any host that has no literal segment and no literal parameter is too broad and cannot be indexed.
    #[error("rule {0:?} names neither a host nor anything literal")]
    Unanchored(String),
    /// A vector that is not a remote URL.
    #[error("rule {0:?}: its vector is no remote URL")]
    Vector(String),
}

/// A name in `rules.disabled` that no rule bears. The operator's configuration is to blame.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no rule called {0:?}")]
pub struct UnknownRule(pub String);

/// What an endpoint counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The URL is different for every recipient.
    Tracker,
    /// One URL for everybody: it counts openings, not people.
    Aggregate,
}

/// One known endpoint.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Name for configuration and ledger.
    pub name: String,
    /// Who runs the endpoint or makes the software.
    pub vendor: String,
    /// What it counts.
    pub class: Class,
    /// The shape alone says too little: it needs an element that its own words make almost invisible.
    pub weak: bool,
    /// Where the fact comes from.
    pub source: String,
    /// A URL the rule hits.
    pub hits: String,
    /// A URL much alike that it must miss.
    pub misses: String,
    hosts: Vec<Host>,
    paths: Vec<Path>,
    query: Vec<Parameter>,
}

/// Labels of a host suffix, last label first.
#[derive(Debug, Clone)]
struct Host(Vec<Segment>);

#[derive(Debug, Clone)]
struct Parameter {
    name: Segment,
    value: Option<Segment>,
}

impl Rule {
    fn matches(&self, url: &Url, segments: &[&str]) -> bool {
        (self.hosts.is_empty() || self.hosts.iter().any(|host| host.matches(&url.host)))
            && (self.paths.is_empty() || self.paths.iter().any(|path| path.matches(segments)))
            && self.query.iter().all(|wanted| {
                url.parameters().any(|(name, value)| {
                    wanted.name.matches(name)
                        && wanted
                            .value
                            .as_ref()
                            .is_none_or(|shape| shape.matches(value))
                })
            })
    }
}

impl Host {
    fn matches(&self, host: &str) -> bool {
        let mut labels = host.rsplit('.');
        self.0
            .iter()
            .all(|shape| labels.next().is_some_and(|label| shape.matches(label)))
    }
}

/// All rules in force, indexed.
#[derive(Debug, Clone)]
pub struct Rules {
    rules: Vec<Rule>,
    by_host: HashMap<String, Vec<usize>>,
    by_literal: HashMap<String, Vec<usize>>,
    /// Rules whose host is a shape such as `cmail<n>.com`: few, tried one after the other.
    by_host_shape: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    vendor: String,
    class: Class,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    query: Vec<String>,
    #[serde(default)]
    fold: bool,
    #[serde(default)]
    weak: bool,
    source: String,
    hits: String,
    misses: String,
}

static BUILT_IN: LazyLock<Rules> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "the data is compiled in and the first unit test reads it: no input can make this fail"
    )]
    Rules::parse(include_str!("rules.toml")).expect("src/pixel/rules.toml is valid")
});

impl Rules {
    /// The rules that ship with pixelgate.
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// Reads rules from the text of a data file.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let file: File = toml::from_str(text)?;
        let mut names = HashSet::new();
        let mut entries = Vec::with_capacity(file.rule.len());
        for entry in file.rule {
            if !names.insert(entry.name.clone()) {
                return Err(RulesError::Twice(entry.name));
            }
            let rule = compile(entry)?;
            if rule.hosts.is_empty() && rule.anchors().is_none() {
                return Err(RulesError::Unanchored(rule.name));
            }
            entries.push(rule);
        }
        Ok(Self::index(entries))
    }

    /// The same rules without those the operator has switched off: a declared exception to the first promise.
    pub fn without(&self, disabled: &[String]) -> Result<Self, UnknownRule> {
        for name in disabled {
            if !self.rules.iter().any(|rule| rule.name == *name) {
                return Err(UnknownRule(name.clone()));
            }
        }
        let kept = self
            .rules
            .iter()
            .filter(|rule| !disabled.contains(&rule.name))
            .cloned()
            .collect();
        Ok(Self::index(kept))
    }

    /// Every rule in force.
    pub fn all(&self) -> &[Rule] {
        &self.rules
    }

    fn index(rules: Vec<Rule>) -> Self {
        let mut by_host: HashMap<String, Vec<usize>> = HashMap::new();
        let mut by_literal: HashMap<String, Vec<usize>> = HashMap::new();
        let mut by_host_shape = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            for host in &rule.hosts {
                match host.literal() {
                    Some(name) => by_host.entry(name).or_default().push(at),
                    None => by_host_shape.push(at),
                }
            }
            if rule.hosts.is_empty() {
                for anchor in rule.anchors().unwrap_or_default() {
                    by_literal.entry(anchor).or_default().push(at);
                }
            }
        }
        Self {
            rules,
            by_host,
            by_literal,
            by_host_shape,
        }
    }

    /// The first rule that knows this URL; those that name a host come first. `almost_invisible` lets weak rules speak.
    pub(super) fn look_up(&self, url: &Url, almost_invisible: bool) -> Option<&Rule> {
        // Each rule is tried once, however often its literal stands in the path.
        let mut tried = HashSet::new();
        let by_host = self.host_candidates(&url.host);
        let segments = url.segments();
        let by_literal = segments
            .iter()
            .copied()
            .chain(url.parameters().map(|(name, _)| name))
            .filter_map(|literal| self.by_literal.get(&literal.to_ascii_lowercase()))
            .flatten()
            .copied();
        by_host
            .chain(by_literal)
            .filter(|at| tried.insert(*at))
            .filter_map(|at| self.rules.get(at))
            .find(|rule| (almost_invisible || !rule.weak) && rule.matches(url, &segments))
    }

    fn host_candidates<'r>(&'r self, host: &'r str) -> impl Iterator<Item = usize> + 'r {
        // A longer name cannot be resolved (RFC 1035 2.3.4), so nothing is asked of it.
        let host = if host.len() <= HOST_OCTETS_MAX {
            host
        } else {
            ""
        };
        let suffixes = host
            .char_indices()
            .filter(|(_, c)| *c == '.')
            .filter_map(|(dot, _)| host.get(dot.saturating_add(1)..));
        std::iter::once(host)
            .chain(suffixes)
            .filter_map(|suffix| self.by_host.get(suffix))
            .flatten()
            .chain(&self.by_host_shape)
            .copied()
    }
}

impl Host {
    fn literal(&self) -> Option<String> {
        let labels: Option<Vec<&str>> = self.0.iter().rev().map(Segment::literal).collect();
        labels.map(|labels| labels.join("."))
    }
}

impl Rule {
    /// For a rule without hosts, one literal per path by which it is found: the longest is the rarest.
    fn anchors(&self) -> Option<Vec<String>> {
        let longest = |literals: &mut dyn Iterator<Item = &str>| {
            literals
                .max_by_key(|literal| literal.len())
                .map(str::to_ascii_lowercase)
        };
        let by_query = longest(&mut self.query.iter().filter_map(|wanted| wanted.name.literal()));
        if self.paths.is_empty() {
            return by_query.map(|anchor| vec![anchor]);
        }
        self.paths
            .iter()
            .map(|path| longest(&mut path.literals()).or_else(|| by_query.clone()))
            .collect()
    }
}

fn compile(entry: Entry) -> Result<Rule, RulesError> {
    let shape = |source| RulesError::Shape {
        rule: entry.name.clone(),
        source,
    };
    let hosts: Result<Vec<Host>, ShapeError> = entry
        .hosts
        .iter()
        .map(|host| {
            let labels: Result<Vec<Segment>, ShapeError> = host
                .rsplit('.')
                .map(|label| Segment::parse(label, false))
                .collect();
            labels.map(Host)
        })
        .collect();
    let paths: Result<Vec<Path>, ShapeError> = entry
        .paths
        .iter()
        .map(|path| Path::parse(path, entry.fold))
        .collect();
    let query: Result<Vec<Parameter>, ShapeError> = entry
        .query
        .iter()
        .map(|parameter| {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (parameter.as_str(), None),
            };
            Ok(Parameter {
                name: Segment::parse(name, entry.fold)?,
                value: value
                    .map(|value| Segment::parse(value, entry.fold))
                    .transpose()?,
            })
        })
        .collect();
    let (hosts, paths, query) = (
        hosts.map_err(shape)?,
        paths.map_err(shape)?,
        query.map_err(shape)?,
    );
    for vector in [&entry.hits, &entry.misses] {
        if !matches!(target(vector, None), Target::Remote(_)) {
            return Err(RulesError::Vector(entry.name));
        }
    }
    Ok(Rule {
        name: entry.name,
        vendor: entry.vendor,
        class: entry.class,
        weak: entry.weak,
        source: entry.source,
        hits: entry.hits,
        misses: entry.misses,
        hosts,
        paths,
        query,
    })
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
