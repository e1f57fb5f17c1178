//! Moments as lists write them: with an offset, in local time, or as a bare day.
//!
//! What is not exact is a span, and who asks takes the end of it that permits less: a grant counts from its beginning, a
//! restriction from its end, so that of two acts on one day the restriction wins whichever came first. A local time
//! needs a time zone that somebody wrote down; none is guessed.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

/// From the first to the last moment that a text can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

/// How moments are written in one file.
#[derive(Debug, Clone, Default)]
pub(super) struct Moments {
    zone: Option<TimeZone>,
    /// As strptime has them; none means ISO 8601.
    formats: Vec<String>,
}

impl Moments {
    /// # Errors
    /// When the zone is not known on this machine.
    pub(super) fn new(zone: Option<&str>) -> Result<Self, String> {
        let zone = zone
            .map(|name| {
                TimeZone::get(name)
                    .map_err(|error| format!("`{}` is not known: {error}", name.escape_debug()))
            })
            .transpose()?;
        Ok(Self {
            zone,
            formats: Vec::new(),
        })
    }

    pub(super) fn with_formats(&self, formats: &[String]) -> Self {
        Self {
            zone: self.zone.clone(),
            formats: formats.to_vec(),
        }
    }

    /// What the text can mean; the error says what is wrong after the name of the field.
    pub(super) fn read(&self, text: &str) -> Result<Span, String> {
        if self.formats.is_empty() {
            return self.read_iso(text);
        }
        self.formats
            .iter()
            .find_map(|format| {
                BrokenDownTime::parse(format, text)
                    .ok()
                    .map(|time| self.read_broken_down(&time))
            })
            .unwrap_or_else(|| {
                Err(format!(
                    "fits none of `date_formats`: {}",
                    self.formats.join(" | ")
                ))
            })
    }

    fn read_iso(&self, text: &str) -> Result<Span, String> {
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Span {
                first: at,
                last: at,
            });
        }
        let wrong = || {
            Err(
                "is not a moment with its offset, such as 2026-05-02T10:00:00Z or 2026-05-02T12:00:00+02:00; \
                 for days and local times name `time_zone` in the evidence file"
                    .to_owned(),
            )
        };
        // Ten octets are a day and nothing more; a time after it would be read over.
        if text.len() == 10 && self.zone.is_some() {
            return match text.parse::<Date>() {
                Ok(day) => self.day(day),
                Err(_) => wrong(),
            };
        }
        match text.parse::<DateTime>() {
            Ok(time) if self.zone.is_some() => self.local(time),
            _ => wrong(),
        }
    }

    fn read_broken_down(&self, time: &BrokenDownTime) -> Result<Span, String> {
        if let Ok(at) = time.to_timestamp() {
            return Ok(Span {
                first: at,
                last: at,
            });
        }
        let wrong = |error: jiff::Error| format!("is no moment: {error}");
        if time.hour().is_none() {
            return self.day(time.to_date().map_err(wrong)?);
        }
        self.local(time.to_datetime().map_err(wrong)?)
    }

    fn day(&self, day: Date) -> Result<Span, String> {
        let zoned = day
            .to_zoned(self.zone()?)
            .and_then(|zoned| Ok((zoned.start_of_day()?, zoned.end_of_day()?)))
            .map_err(|error| format!("is no day: {error}"))?;
        Ok(Span {
            first: zoned.0.timestamp(),
            last: zoned.1.timestamp(),
        })
    }

    /// In the hour that comes twice a year it means two moments.
    fn local(&self, time: DateTime) -> Result<Span, String> {
        let zone = self.zone()?;
        let wrong = |error: jiff::Error| format!("is no moment: {error}");
        Ok(Span {
            first: zone.to_ambiguous_timestamp(time).earlier().map_err(wrong)?,
            last: zone.to_ambiguous_timestamp(time).later().map_err(wrong)?,
        })
    }

    fn zone(&self) -> Result<TimeZone, String> {
        self.zone.clone().ok_or_else(|| {
            "has no offset: name its `time_zone` in the evidence file, such as \"Europe/Paris\""
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn paris(formats: &[&str]) -> Moments {
        let formats: Vec<String> = formats.iter().map(|format| (*format).to_owned()).collect();
        Moments::new(Some("Europe/Paris"))
            .unwrap()
            .with_formats(&formats)
    }

    #[test]
    fn an_offset_needs_no_zone_and_everything_else_does() {
        let bare = Moments::default();
        let span = bare.read("2026-05-02T12:00:00+02:00").unwrap();
        assert_eq!(
            (span.first, span.last),
            (at("2026-05-02T10:00:00Z"), at("2026-05-02T10:00:00Z"))
        );
        for local in [
            "2026-05-02",
            "2026-05-02 12:00:00",
            "2026-05-02T12:00",
            "02/05/2026",
            "",
            "yesterday",
        ] {
            assert!(
                bare.read(local).unwrap_err().contains("time_zone"),
                "{local}"
            );
        }
        let formats = Moments::default().with_formats(&["%d/%m/%Y".to_owned()]);
        assert!(
            formats
                .read("02/05/2026")
                .unwrap_err()
                .contains("time_zone")
        );
    }

    #[test]
    fn a_day_lasts_from_its_first_to_its_last_moment_in_its_zone() {
        for span in [
            paris(&[]).read("2026-05-02").unwrap(),
            paris(&["%d/%m/%Y %H:%M", "%d/%m/%Y"])
                .read("02/05/2026")
                .unwrap(),
        ] {
            assert_eq!(span.first, at("2026-05-01T22:00:00Z"));
            assert_eq!(span.last, at("2026-05-02T21:59:59.999999999Z"));
        }
        // 29 March 2026 has 23 hours in Paris.
        let short = paris(&[]).read("2026-03-29").unwrap();
        assert_eq!(short.last.duration_since(short.first).as_hours(), 22);
    }

    #[test]
    fn the_hour_that_comes_twice_is_both() {
        for text in ["2026-10-25T02:30:00", "2026-10-25 02:30"] {
            let span = paris(&[]).read(text).unwrap();
            assert_eq!(span.first, at("2026-10-25T00:30:00Z"));
            assert_eq!(span.last, at("2026-10-25T01:30:00Z"));
        }
    }

    #[test]
    fn formats_are_tried_in_turn_and_read_whole() {
        let moments = paris(&["%d/%m/%Y %H:%M", "%Y-%m-%dT%H:%M:%S%z"]);
        assert_eq!(
            moments.read("02/05/2026 12:30").unwrap().first,
            at("2026-05-02T10:30:00Z")
        );
        // Its own offset counts, not the zone of the file.
        assert_eq!(
            moments.read("2026-05-02T12:30:00-0400").unwrap().first,
            at("2026-05-02T16:30:00Z")
        );
        for wrong in [
            "02/05/2026",
            "02/05/2026 12:30 or so",
            "2026-05-02T12:30:00",
        ] {
            assert!(
                moments.read(wrong).unwrap_err().contains("date_formats"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_day_that_does_not_exist_is_an_error() {
        let moments = paris(&["%d/%m/%Y %H:%M", "%d/%m/%Y"]);
        for wrong in ["31/02/2026 10:00", "31/02/2026", "00/01/2026"] {
            assert!(moments.read(wrong).is_err(), "{wrong}");
        }
        assert!(paris(&[]).read("2026-02-30").is_err());
    }

    #[test]
    fn a_zone_that_nobody_knows_is_an_error() {
        assert!(
            Moments::new(Some("Europe/Pari"))
                .unwrap_err()
                .contains("Europe/Pari")
        );
    }
}
