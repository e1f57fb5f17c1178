//! What is to be done with one transaction: recipients with the same treatment share one variant (DESIGN 2 "group").
//!
//! Pure. Takes one treatment per recipient, gives groups in the order of their first recipient; order inside a group is
//! the client's. Knows neither findings nor consent: a treatment is only compared.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;

use super::survey::Uninspectable;
use crate::consent::Reason;
use crate::mime::splice::Spliced;

/// One variant and whom it is for.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    /// Indices of forward-paths, in the client's order.
    pub recipients: Vec<usize>,
    /// The body for all of them.
    pub variant: Spliced,
}

/// What one recipient's copy needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// It goes out, without these findings (indices into the survey) and with these parts emptied (indices of parts).
    Forward {
        /// Findings to strip.
        strip: BTreeSet<usize>,
        /// HTML bodies to empty.
        empty: BTreeSet<usize>,
    },
    /// 451: later, perhaps.
    Held(Cause),
    /// 550: not as it is.
    Rejected(Cause),
}

/// Why a copy does not go. Its text is what a client or a report may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// Why the tracker may not leave.
    pub reason: Reason,
    /// Why it cannot be taken out.
    pub uninspectable: Option<Uninspectable>,
}

impl Treatment {
    /// The copy goes out as it came.
    pub fn untouched() -> Self {
        Self::Forward {
            strip: BTreeSet::new(),
            empty: BTreeSet::new(),
        }
    }

    /// Whether this finding is taken out of the copy that goes.
    pub fn strips(&self, finding: usize) -> bool {
        matches!(self, Self::Forward { strip, .. } if strip.contains(&finding))
    }

    /// Whether this part is emptied in the copy that goes.
    pub fn empties(&self, part: usize) -> bool {
        matches!(self, Self::Forward { empty, .. } if empty.contains(&part))
    }

    /// Whether the copy goes out changed.
    pub fn changes(&self) -> bool {
        matches!(self, Self::Forward { strip, empty } if !(strip.is_empty() && empty.is_empty()))
    }

    /// The stricter of two, for one body that serves both (`mixed_consent = "strictest"`).
    fn strictest(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Rejected(cause), _) => Self::Rejected(cause),
            (_, Self::Rejected(cause)) => Self::Rejected(*cause),
            (Self::Held(cause), _) => Self::Held(cause),
            (_, Self::Held(cause)) => Self::Held(*cause),
            (
                Self::Forward {
                    mut strip,
                    mut empty,
                },
                Self::Forward {
                    strip: more,
                    empty: emptier,
                },
            ) => {
                strip.extend(more);
                empty.extend(emptier);
                Self::Forward { strip, empty }
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.uninspectable {
            Some(why) => write!(
                formatter,
                "content cannot be inspected ({}) and may not leave unseen ({})",
                why.as_str(),
                self.reason
            ),
            None => write!(formatter, "{}", self.reason),
        }
    }
}

/// Recipients who share a treatment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Indices of forward-paths, in the client's order.
    pub recipients: Vec<usize>,
    /// What all of them get.
    pub treatment: Treatment,
}

/// One group per distinct treatment.
pub fn group<T: Borrow<Treatment>>(treatments: &[T]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut met: Vec<(&Treatment, usize)> = Vec::new();
    for (recipient, treatment) in treatments.iter().enumerate() {
        let treatment = treatment.borrow();
        let same =
            |known: &&(&Treatment, usize)| std::ptr::eq(known.0, treatment) || known.0 == treatment;
        let group = match met.iter().find(same) {
            Some((_, group)) => *group,
            None => {
                met.push((treatment, groups.len()));
                groups.push(Group {
                    recipients: Vec::new(),
                    treatment: treatment.clone(),
                });
                groups.len() - 1
            }
        };
        if let Some(group) = groups.get_mut(group) {
            group.recipients.push(recipient);
        }
    }
    groups
}

/// One group for everybody, stripped for all if for anybody.
pub fn strictest<T: Borrow<Treatment>>(treatments: &[T]) -> Vec<Group> {
    let mut different = group(treatments).into_iter().map(|group| group.treatment);
    let Some(first) = different.next() else {
        return Vec::new();
    };
    let treatment = different.fold(first, |all, other| all.strictest(&other));
    vec![Group {
        recipients: (0..treatments.len()).collect(),
        treatment,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(findings: &[usize]) -> Treatment {
        Treatment::Forward {
            strip: findings.iter().copied().collect(),
            empty: BTreeSet::new(),
        }
    }

    #[test]
    fn same_treatment_shares_a_variant_and_keeps_the_order() {
        let groups = group(&[strip(&[]), strip(&[0]), strip(&[]), strip(&[0])]);
        let recipients: Vec<_> = groups
            .iter()
            .map(|group| group.recipients.clone())
            .collect();
        assert_eq!(recipients, [vec![0, 2], vec![1, 3]]);
    }

    #[test]
    fn the_strictest_body_serves_everybody() {
        let groups = strictest(&[strip(&[1]), strip(&[]), strip(&[0])]);
        assert_eq!(
            groups,
            [Group {
                recipients: vec![0, 1, 2],
                treatment: strip(&[0, 1])
            }]
        );
        let held = Treatment::Held(Cause {
            reason: Reason::NoConsent,
            uninspectable: Some(Uninspectable::Charset),
        });
        assert_eq!(
            strictest(&[strip(&[1]), held.clone()])
                .first()
                .map(|group| group.treatment.clone()),
            Some(held)
        );
    }
}
