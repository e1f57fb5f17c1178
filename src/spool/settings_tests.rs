use jiff::{SignedDuration, Timestamp};

use super::Settings;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn waits_double_from_a_minute_to_half_an_hour() {
    let settings = Settings::default();
    let waits: Vec<i64> = [0, 1, 2, 3, 4, 5, 6, 7, 1_000, u32::MAX]
        .map(|attempts| settings.wait_after(attempts).as_secs())
        .to_vec();
    assert_eq!(waits, [60, 60, 120, 240, 480, 960, 1800, 1800, 1800, 1800]);
}

#[test]
fn five_days_hold_a_bounded_number_of_attempts() {
    let settings = Settings::default();
    let (arrived, mut now, mut attempts) = (at(0), at(0), 0);
    while !settings.is_expired(arrived, now) {
        attempts += 1;
        assert!(attempts < 1_000, "the wait does not grow");
        now = settings.next_attempt_at(now, attempts);
    }
    // 60, 120, 240, 480, 960, then every 1,800 s; each up to a tenth earlier.
    assert!((244..=272).contains(&attempts), "{attempts}");
}

#[test]
fn a_clock_set_back_does_not_put_an_entry_to_sleep() {
    let settings = Settings::default();
    let now = at(1_000_000);
    let soon = now + SignedDuration::from_secs(1_800);
    let a_year_ahead = now + SignedDuration::from_secs(365 * 86_400);
    assert!(settings.is_due(now, now));
    assert!(!settings.is_due(soon, now));
    assert!(settings.is_due(a_year_ahead, now));
}

#[test]
fn a_time_past_the_end_of_time_is_the_end_of_time() {
    let settings = Settings::default();
    assert_eq!(settings.next_attempt_at(Timestamp::MAX, 1), Timestamp::MAX);
}

#[test]
fn senseless_values_are_named_by_key() {
    let broken = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.problem().unwrap_or("none")
    };
    assert_eq!(Settings::default().problem(), None);
    for (key, problem) in [
        ("directory", broken(|s| s.directory = "".into())),
        ("bytes", broken(|s| s.bytes = 0)),
        ("entries", broken(|s| s.entries = 0)),
        ("retry_first_seconds", broken(|s| s.retry_first_seconds = 0)),
        ("retry_most_seconds", broken(|s| s.retry_most_seconds = 59)),
        (
            "expire_after_seconds",
            broken(|s| s.expire_after_seconds = 1),
        ),
    ] {
        assert!(
            problem.contains(&format!("spool.{key}")),
            "{key}: {problem}"
        );
    }
}

#[test]
fn an_unknown_key_is_refused() {
    let error = toml::from_str::<Settings>("byte = 1").unwrap_err();
    assert!(error.to_string().contains("byte"), "{error}");
    let settings: Settings = toml::from_str("bytes = 7").unwrap();
    assert_eq!((settings.bytes, settings.entries), (7, 20_000));
}

#[test]
fn a_report_has_as_long_as_the_copy_had() {
    let settings = Settings::default();
    let arrived = Timestamp::from_second(1_000).unwrap();
    let after = |seconds: i64| Timestamp::from_second(1_000 + seconds).unwrap();
    assert!(!settings.is_expired(arrived, after(431_999)));
    assert!(settings.is_expired(arrived, after(432_000)));
    assert!(!settings.is_past_reporting(arrived, after(863_999)));
    assert!(settings.is_past_reporting(arrived, after(864_000)));
}
