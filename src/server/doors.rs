//! How many sessions there are, all together and from one address.
//!
//! Counts places, knows no connection. When there is no place the answer is a reply naming the limit.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::session::Limits;
use crate::smtp::replies;
use crate::smtp::reply::Reply;

/// How many are in, all together and by address.
#[derive(Debug, Clone)]
pub(super) struct Doors {
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    sessions: usize,
    reserved: usize,
    per_address: usize,
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
        let doors = Self {
            counts: Arc::default(),
        };
        doors.limit(limits);
        doors
    }

    /// Goes by other limits from here on; who is in stays.
    pub(super) fn limit(&self, limits: &Limits) {
        let mut counts = self.counts();
        counts.sessions = limits.sessions;
        counts.reserved = limits.reserved();
        counts.per_address = limits.sessions_per_address;
    }

    /// The last `sessions_reserved` places are for clients that may relay by their address: strangers who flood the door do
    /// not keep them out.
    pub(super) fn enter(&self, address: Option<IpAddr>, trusted: bool) -> Result<Place, Reply> {
        let mut counts = self.counts();
        let open = match trusted {
            true => counts.sessions,
            false => counts.sessions.saturating_sub(counts.reserved),
        };
        if counts.all >= open {
            return Err(replies::too_many_sessions(open));
        }
        counts.come(address)?;
        counts.all += 1;
        Ok(Place {
            doors: self.clone(),
            address,
        })
    }

    /// How many are in.
    pub(super) fn taken(&self) -> usize {
        self.counts().all
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn come(&mut self, address: Option<IpAddr>) -> Result<(), Reply> {
        let Some(address) = address else {
            return Ok(());
        };
        let here = self.by_address.entry(address).or_default();
        if *here >= self.per_address {
            return Err(replies::too_many_from_address(self.per_address));
        }
        *here += 1;
        Ok(())
    }

    fn go(&mut self, address: Option<IpAddr>) {
        if let Some(address) = address
            && let Some(here) = self.by_address.get_mut(&address)
        {
            *here -= 1;
            if *here == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl Place {
    /// The client turns out to be another than the one who connected.
    pub(super) fn become_one_of(
        &mut self,
        address: Option<IpAddr>,
        trusted: bool,
    ) -> Result<(), Reply> {
        let mut counts = self.doors.counts();
        let open = counts.sessions.saturating_sub(counts.reserved);
        if !trusted && counts.all > open {
            return Err(replies::too_many_sessions(open));
        }
        counts.come(address)?;
        counts.go(self.address);
        drop(counts);
        self.address = address;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.doors.counts();
        counts.all -= 1;
        counts.go(self.address);
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
        let first = doors.enter(one, true).unwrap();
        let _second = doors.enter(one, true).unwrap();
        let refused = doors.enter(one, true).unwrap_err();
        assert_eq!(refused.code(), 421);
        assert!(refused.text().contains("sessions_per_address = 2"));
        let third = doors.enter(two, true).unwrap();
        assert!(
            doors
                .enter(None, true)
                .unwrap_err()
                .text()
                .contains("sessions = 3")
        );
        drop(first);
        let _again = doors.enter(one, true).unwrap();
        drop(third);
        assert_eq!(doors.counts.lock().unwrap().by_address.len(), 1);
        let _unix = doors.enter(None, true).unwrap();
        assert!(doors.enter(None, true).is_err());
    }
    #[test]
    fn strangers_do_not_take_the_last_places_and_a_proxy_is_not_one_client() {
        let limits = Limits {
            sessions: 3,
            sessions_reserved: Some(1),
            sessions_per_address: 1,
            ..Limits::default()
        };
        let doors = Doors::new(&limits);
        let (one, two) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let _first = doors.enter(Some(one), false).unwrap();
        let mut second = doors.enter(None, true).unwrap();
        let refused = doors.enter(Some(two), false).unwrap_err();
        assert!(
            refused.text().contains("sessions = 2"),
            "{}",
            refused.text()
        );
        assert!(second.become_one_of(Some(one), true).is_err());
        second.become_one_of(Some(two), false).unwrap();
        assert!(doors.enter(Some(two), true).is_err());
        let _third = doors.enter(None, true).unwrap();
        assert!(second.become_one_of(None, false).is_err());
        drop(second);
        assert!(doors.enter(Some(two), true).is_ok());
        assert_eq!(doors.counts().by_address.len(), 1);
    }
}
