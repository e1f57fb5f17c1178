//! Takes the person out of every URL that names one: a source, each candidate of a `srcset`, what is relative to a base.
//!
//! All of a load or nothing: `None` where some URL is not written in an attribute of its own, or would not be safe without its
//! identity; then the caller blanks. It must never change what stands beside an identity.

use super::super::deidentify::without_identity;
use super::super::loads::{Request, Site};
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
        let (urls, _) = self.requested(attribute, reference);
        without_identity(reference, &urls, knowledge)
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
        for range in candidates(value) {
            let candidate = value.get(range.clone())?;
            let (urls, named) = self.requested(attribute, candidate);
            left.push_str(value.get(at..range.start)?);
            at = range.end;
            if !named {
                left.push_str(candidate);
                continue;
            }
            let without = without_identity(candidate, &urls, knowledge)?;
            // A comma at its end would be the end of the candidate instead.
            if without.ends_with(',') {
                return None;
            }
            left.push_str(&without);
        }
        left.push_str(value.get(at..)?);
        Some(left)
    }

    /// Where a reference in an attribute leads, and whether a person is named in it.
    fn requested(&self, attribute: usize, reference: &str) -> (Vec<&Url>, bool) {
        let written = clean(&reference.replace("&amp;", "&"));
        let here = |request: &&Request| {
            request.site == Site::Attribute(attribute) && request.written == written
        };
        let urls = self.load.requests.iter().filter(here);
        let named = self.requests.iter();
        let mut named = named.filter_map(|number| self.load.requests.get(*number));
        (
            urls.map(|request| &request.url).collect(),
            named.any(|request| here(&request)),
        )
    }
}

#[cfg(test)]
#[path = "persons_tests.rs"]
mod tests;
