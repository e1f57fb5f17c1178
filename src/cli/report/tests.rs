use super::*;

#[test]
fn a_host_is_counted_by_who_registered_it() {
    for (host, name) in [
        ("open.mail.example", "mail.example"),
        ("mail.example", "mail.example"),
        ("a.b.shop.co.uk", "shop.co.uk"),
        ("co.uk", "co.uk"),
        ("localhost", "localhost"),
        ("192.0.2.17", "192.0.2.17"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("*.open.example", "open.example"),
    ] {
        assert_eq!(registrable(host), name);
    }
}

#[test]
fn a_period_has_its_end_behind_its_beginning() {
    let day = |text: &str| Some(text.parse().unwrap());
    assert!(check_days(day("2026-11-02"), day("2026-11-01")).is_err());
    assert!(check_days(day("2026-11-01"), day("2026-11-01")).is_ok());
    assert!(check_days(None, day("2026-11-01")).is_ok());
}
