//! `[law]` and `[[controller]]`: which countries' rules decide, and what a controller vouches for.
//!
//! Reads profiles from their names or files. It must never know a person. A profile that cannot be read, an exception
//! without a reason, a country that is none: each is an error that names its key, before anything is opened.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Deserialize;

use super::error::{ConfigError, Source, Step};
use super::file::File;
use crate::consent::profile::BUILT_IN;
use crate::consent::{Profile, ProfileError, Profiles};
use crate::relay::lawbook::Lawbook;
use crate::relay::speaks::is_name;

/// Oldest consent that can be asked for, in days.
const AGE_DAYS: u32 = 36_500;
/// Largest profile file, in octets.
const PROFILE_OCTETS: u64 = 1 << 20;

/// `[law]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LawSection {
    /// Names of profiles that come with pixelgate, or paths of files like them.
    pub profiles: Vec<String>,
    /// `[[law.switched_on]]`: rules that a profile has switched off.
    pub switched_on: Vec<SwitchedOn>,
    /// How old a consent may be, in days; 0: it does not age (law.md Q7).
    pub grant_max_age_days: u32,
}

impl Default for LawSection {
    fn default() -> Self {
        Self {
            profiles: BUILT_IN
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .collect(),
            switched_on: Vec::new(),
            grant_max_age_days: 0,
        }
    }
}

/// One `[[law.switched_on]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchedOn {
    /// `PROFILE/RULE`.
    pub rule: String,
    /// Why the operator thinks that it holds.
    pub reason: String,
}

/// One `[[controller]]`: what is to be said of a controller beside its records. Most need none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    /// Its name, as in `[[stream]]` or `Pixelgate-Controller`.
    pub name: String,
    /// The country of people whose record says none: ISO 3166, two capital letters.
    pub country_default: String,
    /// Why the controller can vouch for that.
    pub reason: String,
}

/// What is wrong, and where.
type Wrong = (Vec<Step<'static>>, String, &'static str);

impl File {
    /// The law that this configuration loads.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn lawbook(&self) -> Result<Lawbook, String> {
        lawbook(self).map_err(|(_, what, _)| what)
    }
}

pub(super) fn check_law(source: &Source<'_>, file: &File) -> Result<(), ConfigError> {
    lawbook(file)
        .map(|_| ())
        .map_err(|(at, what, repair)| source.at_key(&at, what, repair))
}

fn lawbook(file: &File) -> Result<Lawbook, Wrong> {
    let law = &file.law;
    let mut profiles = Vec::with_capacity(law.profiles.len());
    for (index, name) in law.profiles.iter().enumerate() {
        let at = || vec![Step::Key("law"), Step::Key("profiles"), Step::Index(index)];
        let read = profile(name).map_err(|what| {
            (
                at(),
                what,
                "name a profile that comes with pixelgate, or the path of a file",
            )
        })?;
        profiles.push(read);
    }
    for (index, rule) in law.switched_on.iter().enumerate() {
        if rule.reason.trim().is_empty() {
            let at = vec![
                Step::Key("law"),
                Step::Key("switched_on"),
                Step::Index(index),
                Step::Key("reason"),
            ];
            return Err((
                at,
                format!("`{}` is switched on without a reason", rule.rule),
                "say why it holds",
            ));
        }
    }
    if law.grant_max_age_days > AGE_DAYS {
        let at = vec![Step::Key("law"), Step::Key("grant_max_age_days")];
        let what = format!("grant_max_age_days is more than {AGE_DAYS}");
        return Err((at, what, "0 where consent does not age"));
    }
    let switched_on: Vec<String> = law.switched_on.iter().map(|on| on.rule.clone()).collect();
    let profiles = Profiles::new(profiles, &switched_on).map_err(|error| {
        let key = match error {
            ProfileError::NoSuchRule(_) => "switched_on",
            _ => "profiles",
        };
        (
            vec![Step::Key("law"), Step::Key(key)],
            error.to_string(),
            "`pixelgate check` lists profiles and rules",
        )
    })?;
    let days = i64::from(law.grant_max_age_days);
    Ok(Lawbook {
        profiles,
        countries: countries(file)?,
        grant_age_max: (days > 0).then(|| SignedDuration::from_hours(24 * days)),
    })
}

fn profile(name: &str) -> Result<Profile, String> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
        return Profile::read(name, text).map_err(|error| error.to_string());
    }
    if !name.contains('/') && !name.ends_with(".toml") {
        return Err(format!("`{name}` is no profile that comes with pixelgate"));
    }
    let said = |error: std::io::Error| format!("{name}: {error}");
    let octets = std::fs::metadata(name).map_err(said)?.len();
    if octets > PROFILE_OCTETS {
        return Err(format!(
            "{name} has {octets} octets; a profile has at most {PROFILE_OCTETS}"
        ));
    }
    let text = std::fs::read_to_string(name).map_err(said)?;
    Profile::read(name, &text).map_err(|error| error.to_string())
}

fn countries(file: &File) -> Result<BTreeMap<String, String>, Wrong> {
    let mut countries = BTreeMap::new();
    for (index, controller) in file.controllers.iter().enumerate() {
        let wrong = |key, what: String, repair| {
            let at = vec![Step::Key("controller"), Step::Index(index), Step::Key(key)];
            Err((at, what, repair))
        };
        if !is_name(&controller.name) {
            let what = format!(
                "`{}` cannot be a controller's name",
                controller.name.escape_debug()
            );
            return wrong("name", what, "name who sends the mail");
        }
        let country = &controller.country_default;
        if country.len() != 2 || !country.bytes().all(|octet| octet.is_ascii_uppercase()) {
            let what = format!("`{}` is no country", country.escape_debug());
            return wrong(
                "country_default",
                what,
                "write two capital letters (ISO 3166), e.g. \"FR\"",
            );
        }
        if controller.reason.trim().is_empty() {
            let what = format!("`{}` gives no reason for country_default", controller.name);
            return wrong(
                "reason",
                what,
                "say how the controller knows where its recipients are",
            );
        }
        if countries
            .insert(controller.name.clone(), country.clone())
            .is_some()
        {
            let what = format!("two [[controller]] are called `{}`", controller.name);
            return wrong("name", what, "keep one");
        }
    }
    Ok(countries)
}

/// What an operator should not overlook about the law.
pub(super) fn remarks(file: &File) -> Vec<String> {
    let mut remarks = Vec::new();
    for on in &file.law.switched_on {
        remarks.push(format!(
            "rule `{}` is switched ON against its profile: {}",
            on.rule, on.reason
        ));
    }
    let Ok(lawbook) = file.lawbook() else {
        return remarks;
    };
    let has_profile = |country: &str| {
        let mut profiles = lawbook.profiles.all().iter();
        profiles.any(|profile| profile.countries.contains(country))
    };
    for controller in &file.controllers {
        let (name, country) = (&controller.name, &controller.country_default);
        remarks.push(format!(
            "people of controller `{name}` whose record names no country count as {country}: {}",
            controller.reason
        ));
        if !has_profile(country) {
            remarks.push(format!(
                "no loaded profile is for {country}: every loaded profile has to agree there"
            ));
        }
    }
    remarks
}
