//! How many sessions there are, all together and from one address.
//!
//! Counts places, knows no connection. When there is no place the answer is a reply naming the limit.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::session::Limits;
use crate::smtp::replies;
use crate::smtp::reply::Reply;

/// How many are in, all together and by address.
#[derive(Debug, Clone)]
pub(super) struct Doors {
    counts: Arc<Mutex<Counts>>,
    sessions: usize,
    per_address: usize,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place taken; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    doors: Doors,
    address: Option<IpAddr>,
}

impl Doors {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            counts: Arc::default(),
            sessions: limits.sessions,
            per_address: limits.sessions_per_address,
        }
    }

    pub(super) fn enter(&self, address: Option<IpAddr>) -> Result<Place, Reply> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all >= self.sessions {
            return Err(replies::too_many_sessions(self.sessions));
        }
        if let Some(address) = address {
            let here = counts.by_address.entry(address).or_default();
            if *here >= self.per_address {
                return Err(replies::too_many_from_address(self.per_address));
            }
            *here += 1;
        }
        counts.all += 1;
        Ok(Place {
            doors: self.clone(),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self
            .doors
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(address) = self.address
            && let Some(here) = counts.by_address.get_mut(&address)
        {
            *here -= 1;
            if *here == 0 {
                counts.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let limits = Limits {
            sessions: 3,
            sessions_per_address: 2,
            ..Limits::default()
        };
        let doors = Doors::new(&limits);
        let one = Some(IpAddr::from([192, 0, 2, 1]));
        let two = Some(IpAddr::from([192, 0, 2, 2]));
        let first = doors.enter(one).unwrap();
        let _second = doors.enter(one).unwrap();
        let refused = doors.enter(one).unwrap_err();
        assert_eq!(refused.code(), 421);
        assert!(refused.text().contains("sessions_per_address = 2"));
        let third = doors.enter(two).unwrap();
        assert!(
            doors
                .enter(None)
                .unwrap_err()
                .text()
                .contains("sessions = 3")
        );
        drop(first);
        let _again = doors.enter(one).unwrap();
        drop(third);
        assert_eq!(doors.counts.lock().unwrap().by_address.len(), 1);
        let _unix = doors.enter(None).unwrap();
        assert!(doors.enter(None).is_err());
    }
}
