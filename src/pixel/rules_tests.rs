//! Every rule proves itself by its two vectors.

use super::*;

fn found(rules: &Rules, url: &str) -> Option<String> {
    match target(url, None) {
        Target::Remote(url) => rules.look_up(&url, true).map(|rule| rule.name.clone()),
        other => panic!("{url} is {other:?}"),
    }
}

#[test]
fn every_rule_hits_its_vector_by_itself() {
    for rule in Rules::built_in().all() {
        let alone = Rules::index(vec![rule.clone()]);
        assert_eq!(
            found(&alone, &rule.hits).as_ref(),
            Some(&rule.name),
            "{}",
            rule.hits
        );
        assert_eq!(
            found(&alone, &rule.misses),
            None,
            "{}: {}",
            rule.name,
            rule.misses
        );
    }
}

#[test]
fn no_rule_hits_what_another_must_miss() {
    for rule in Rules::built_in().all() {
        assert_eq!(
            found(Rules::built_in(), &rule.misses),
            None,
            "{}: {}",
            rule.name,
            rule.misses
        );
    }
}

#[test]
fn every_rule_says_where_it_comes_from() {
    assert!(Rules::built_in().all().len() > 100);
    for rule in Rules::built_in().all() {
        assert!(rule.source.len() > 3, "{}", rule.name);
        assert!(!rule.vendor.is_empty(), "{}", rule.name);
        assert!(
            rule.name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{}",
            rule.name
        );
        assert_ne!(rule.hits, rule.misses);
    }
}

#[test]
fn a_weak_rule_needs_a_second_signal() {
    let rules = Rules::built_in();
    let weak: Vec<_> = rules.all().iter().filter(|rule| rule.weak).collect();
    assert!(!weak.is_empty());
    for rule in weak {
        let Target::Remote(url) = target(&rule.hits, None) else {
            panic!("{}", rule.hits);
        };
        assert!(rules.look_up(&url, false).is_none(), "{}", rule.name);
        assert!(rules.look_up(&url, true).is_some(), "{}", rule.name);
    }
}

#[test]
fn a_disabled_rule_is_gone_and_the_others_stay() {
    let all = Rules::built_in();
    let one = all
        .all()
        .iter()
        .find(|rule| rule.name == "sendgrid-wf-open")
        .unwrap();
    let fewer = all.without(&["sendgrid-wf-open".to_owned()]).unwrap();
    assert_eq!(found(&fewer, &one.hits), None);
    assert_eq!(fewer.all().len(), all.all().len() - 1);
    assert_eq!(
        all.without(&["nobody".to_owned()]).unwrap_err(),
        UnknownRule("nobody".to_owned())
    );
}

#[test]
fn a_host_suffix_ends_at_a_dot() {
    let rules = Rules::built_in();
    assert!(found(rules, "https://x1.awstrack.me/I0/a/b=1").is_some());
    assert!(found(rules, "https://notawstrack.me/I0/a/b=1").is_none());
    assert!(found(rules, "https://awstrack.me.example/I0/a/b=1").is_none());
}

#[test]
fn errors_name_the_rule() {
    let rule = |extra: &str| {
        format!(
            "[[rule]]\nname='a'\nvendor='v'\nclass='tracker'\nsource='x'\nhits='http://h/a'\nmisses='http://h/b'\n{extra}\n"
        )
    };
    assert!(matches!(Rules::parse("x"), Err(RulesError::Syntax(_))));
    assert!(matches!(Rules::parse(&rule("")), Err(RulesError::Unanchored(name)) if name == "a"));
    assert!(matches!(
        Rules::parse(&rule("paths=['/<t>']")),
        Err(RulesError::Unanchored(_))
    ));
    assert!(matches!(
        Rules::parse(&rule("paths=['/<x>']")),
        Err(RulesError::Shape { .. })
    ));
    assert!(matches!(
        Rules::parse(&rule("paths=['/a']\ncolour=1")),
        Err(RulesError::Syntax(_))
    ));
    let twice = rule("paths=['/a']").repeat(2);
    assert!(matches!(Rules::parse(&twice), Err(RulesError::Twice(_))));
}
