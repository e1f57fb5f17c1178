//! Which law decides for a controller's mail: the loaded profiles, the country that a controller vouches for, and how old a
//! consent may be.
//!
//! What `config` filled in, put together for one decision. It must never know a person. A controller of whom nothing is said
//! gets no country: then every loaded profile has to agree.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::consent::{Law, Profiles};

/// The law of this relay.
#[derive(Debug, Clone)]
pub struct Lawbook {
    /// Every loaded profile.
    pub profiles: Profiles,
    /// Controllers that vouch for a country of people whose record says none.
    pub countries: BTreeMap<String, String>,
    /// How old a consent may be; none: it does not age (law.md Q7).
    pub grant_age_max: Option<SignedDuration>,
}

impl Lawbook {
    /// What decides about this controller's mail at this moment.
    pub fn law(&self, controller: &str, now: Timestamp) -> Law<'_> {
        Law {
            profiles: &self.profiles,
            country_default: self.countries.get(controller).map(String::as_str),
            now,
            grant_age_max: self.grant_age_max,
        }
    }
}
