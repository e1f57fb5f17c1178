//! Takes the person out of every URL that names one: a source, each candidate of a `srcset`, what is relative to a base.
//!
//! All of a load or nothing: `None` where some URL is not written in an attribute of its own, or would not be safe without its
//! identity; then the caller blanks. It must never change what stands beside an identity.

use std::collections::{HashMap, HashSet};

use super::super::deidentify::without_identity;
use super::super::loads::Site;
use super::super::tag::{Attribute, Quote};
use super::super::url::{Url, candidates, clean};
use super::super::{Edit, Knowledge};
use super::cut::padding;
use super::{Subject, Treatment};

/// The edits that leave the load without a person.
pub(in crate::pixel) fn deidentify(
    subject: &Subject<'_>,
    knowledge: &Knowledge<'_>,
) -> Option<(Treatment, Vec<Edit>)> {
    let tag = subject.tag?;
    let sites = subject.requests.iter().map(|number| {
        let request = subject.load.requests.get(*number)?;
        match request.site {
            Site::Attribute(attribute) => Some(attribute),
            Site::Token { .. } => None,
        }
    });
    sites.collect::<Option<Vec<_>>>()?;
    let named = subject.named().into_iter();
    let edits = named.map(|number| subject.without(number, tag.attributes.get(number)?, knowledge));
    Some((Treatment::Deidentified, edits.collect::<Option<Vec<_>>>()?))
}

impl Subject<'_> {
    /// One attribute without the persons in it.
    fn without(
        &self,
        number: usize,
        attribute: &Attribute,
        knowledge: &Knowledge<'_>,
    ) -> Option<Edit> {
        if attribute.quote != Quote::Quoted {
            return None;
        }
        let value = std::str::from_utf8(self.html.get(attribute.value.clone())?).ok()?;
        let left = if self.is_called(attribute, "srcset") {
            self.candidates_without(number, value, knowledge)?
        } else {
            self.reference_without(number, value, knowledge)?
        };
        let before = self
            .html
            .get(attribute.whole.start..attribute.value.start)?;
        let after = self.html.get(attribute.value.end..attribute.whole.end)?;
        let whole = [before, left.as_bytes(), after].concat();
        let blanks = padding(attribute.whole.len(), whole.len());
        Some(Edit {
            range: attribute.whole.clone(),
            replacement: [" ".repeat(blanks).as_bytes(), &whole].concat(),
        })
    }

    fn reference_without(
        &self,
        attribute: usize,
        reference: &str,
        knowledge: &Knowledge<'_>,
    ) -> Option<String> {
        let known = self.of_attribute(attribute);
        let urls = known.get(written(reference).as_str());
        let urls = urls.map(|(urls, _)| urls.as_slice()).unwrap_or_default();
        without_identity(reference, urls, knowledge)
    }

    /// Every candidate that names a person without it, the others as they stand.
    fn candidates_without(
        &self,
        attribute: usize,
        value: &str,
        knowledge: &Knowledge<'_>,
    ) -> Option<String> {
        let mut left = String::with_capacity(value.len());
        let mut at = 0;
        let known = self.of_attribute(attribute);
        for range in candidates(value) {
            let candidate = value.get(range.clone())?;
            // What is written with references to characters is not found again: then nothing of it stays.
            let (urls, named) = known.get(written(candidate).as_str())?;
            left.push_str(value.get(at..range.start)?);
            at = range.end;
            if !*named {
                left.push_str(candidate);
                continue;
            }
            let without = without_identity(candidate, urls, knowledge)?;
            // A comma at its end would be the end of the candidate instead.
            if without.ends_with(',') {
                return None;
            }
            left.push_str(&without);
        }
        left.push_str(value.get(at..)?);
        Some(left)
    }

    /// What an attribute requests: for each reference where it leads, and whether a person is named in it.
    fn of_attribute(&self, attribute: usize) -> HashMap<&str, (Vec<&Url>, bool)> {
        let named: HashSet<usize> = self.requests.iter().copied().collect();
        let mut known: HashMap<&str, (Vec<&Url>, bool)> = HashMap::new();
        for (number, request) in self.load.requests.iter().enumerate() {
            if request.site == Site::Attribute(attribute) {
                let (urls, is_named) = known.entry(request.written.as_str()).or_default();
                urls.push(&request.url);
                *is_named |= named.contains(&number);
            }
        }
        known
    }
}

/// A reference as requests have it.
fn written(reference: &str) -> String {
    clean(&reference.replace("&amp;", "&"))
}

#[cfg(test)]
#[path = "persons_tests.rs"]
mod tests;
