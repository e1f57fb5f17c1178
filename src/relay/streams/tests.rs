use proptest::prelude::*;

use super::super::settings::Tracker;
use super::*;

use Purpose::{
    AggregateAnonymous as Counted, AuthSecurity as Auth, CampaignPerformance as A,
    FraudDetection as B, Personalisation as C,
};

fn stream(
    name: &str,
    controller: &str,
    listeners: &[&str],
    hosts: &[(&[&str], &[Purpose])],
) -> Stream {
    Stream {
        name: name.to_owned(),
        controller: (controller != "*").then(|| controller.to_owned()),
        listeners: listeners.iter().map(|l| (*l).to_owned()).collect(),
        trackers: hosts
            .iter()
            .map(|(hosts, purposes)| Tracker {
                hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
                purposes: purposes.to_vec(),
                recipient: "us".to_owned(),
            })
            .collect(),
        ..Stream::built_in()
    }
}

fn listed(names: &[&str]) -> Speaks {
    Speaks::Listed(names.iter().map(|name| (*name).to_owned()).collect())
}

fn doors(doors: &[(&str, Speaks)]) -> Vec<(String, Speaks)> {
    doors
        .iter()
        .map(|(address, speaks)| ((*address).to_owned(), speaks.clone()))
        .collect()
}

fn asked(streams: &[&str], controllers: &[Option<&str>], purposes: &[&str]) -> Asked {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Asked {
        streams: owned(streams),
        controllers: controllers
            .iter()
            .map(|name| name.map(str::to_owned))
            .collect(),
        purposes: owned(purposes),
    }
}

/// Stream and controller, in words.
fn whose(streams: &Streams, listener: &str, asked: &Asked) -> (String, String) {
    let assignment = streams.assign(listener, asked);
    assert_eq!(assignment.assigned, assignment.controller != UNASSIGNED);
    (
        assignment.stream.name.clone(),
        assignment.controller.into_owned(),
    )
}

fn pair(stream: &str, controller: &str) -> (String, String) {
    (stream.to_owned(), controller.to_owned())
}

fn nobodys() -> (String, String) {
    pair(UNASSIGNED, UNASSIGNED)
}

#[test]
fn the_most_exact_entry_declares() {
    let stream = stream(
        "s",
        "shop",
        &[],
        &[
            (&["*.example.com"], &[A]),
            (&["open.example.com"], &[B]),
            (&["*.deep.example.com"], &[C]),
        ],
    );
    let streams = Streams::new(vec![stream], doors(&[("l", Speaks::OfItsStreams)]));
    let assignment = streams.assign("l", &Asked::default());
    for (host, purposes) in [
        ("open.example.com", &[B][..]),
        ("x.example.com", &[A]),
        ("x.deep.example.com", &[C]),
        ("example.com", &[]),
        ("evilexample.com", &[]),
    ] {
        assert_eq!(*assignment.declared(host).purposes, *purposes, "{host}");
    }
    let built_in = Streams::new(vec![], doors(&[("l", Speaks::OfItsStreams)]));
    let assignment = built_in.assign("l", &Asked::default());
    assert_eq!(*assignment.declared("anything.test").purposes, [A]);
    let nobodys = built_in.assign("gone", &Asked::default());
    assert!(!nobodys.assigned);
    assert_eq!(*nobodys.declared("anything.test").purposes, []);
}

/// A tracker's host in another spelling fell to the entry for every host, which asked for less.
#[test]
fn how_a_host_is_spelled_does_not_change_what_is_declared() {
    let patterns: &[&str] = &["B\u{fc}cher.example", "*.t.example.", "ads.example."];
    let stream = stream("s", "shop", &[], &[(patterns, &[A, B]), (&["*"], &[A])]);
    let streams = Streams::new(vec![stream], doors(&[("l", Speaks::OfItsStreams)]));
    let assignment = streams.assign("l", &Asked::default());
    for host in [
        "xn--bcher-kva.example",
        "b\u{fc}cher.example",
        "x.t.example",
        "x.T.example.",
        "ads.example",
        "ADS.example.",
    ] {
        assert_eq!(*assignment.declared(host).purposes, [A, B], "{host}");
    }
    assert_eq!(*assignment.declared("t.example").purposes, [A]);
}

#[test]
fn of_two_equal_entries_the_one_with_a_partner_counts() {
    let mut stream = stream(
        "s",
        "shop",
        &[],
        &[(&["a.example"], &[A]), (&["a.example"], &[A])],
    );
    for (at, recipient) in [(0, "partner"), (1, "us")] {
        stream.trackers[at].recipient = recipient.to_owned();
    }
    let streams = Streams::new(vec![stream], doors(&[("l", Speaks::OfItsStreams)]));
    let assignment = streams.assign("l", &Asked::default());
    assert_eq!(assignment.declared("a.example").partner, Some("partner"));
}

#[test]
fn the_connection_decides_and_the_message_only_picks() {
    let streams = Streams::new(
        vec![
            stream("a", "shop", &["l1"], &[]),
            stream("b", "shop", &["l1", "l2"], &[]),
            stream("c", "shop", &["l3"], &[]),
        ],
        doors(&["l1", "l2", "l3"].map(|door| (door, Speaks::OfItsStreams))),
    );
    let whose = |listener, names: &[&str]| whose(&streams, listener, &asked(names, &[], &[]));
    assert_eq!(whose("l2", &[]), pair("b", "shop"));
    assert_eq!(whose("l1", &[]), nobodys(), "two could be meant");
    assert_eq!(whose("l1", &["a"]), pair("a", "shop"));
    assert_eq!(whose("l1", &["c"]), nobodys(), "not this listener's");
    assert_eq!(whose("l2", &["b", "b"]), nobodys(), "two fields");
    assert_eq!(whose("l9", &["b"]), nobodys(), "a listener that is gone");
}

#[test]
fn a_list_binds_whatever_the_message_says() {
    let streams = Streams::new(
        vec![stream("all", "*", &[], &[])],
        doors(&[
            ("one", listed(&["shop"])),
            ("two", listed(&["shop", "cafe"])),
        ]),
    );
    let whose =
        |listener, names: &[Option<&str>]| whose(&streams, listener, &asked(&[], names, &[]));
    assert_eq!(whose("one", &[]), pair("all", "shop"));
    assert_eq!(whose("one", &[Some("shop")]), pair("all", "shop"));
    assert_eq!(whose("two", &[Some("cafe")]), pair("all", "cafe"));
    assert_eq!(whose("two", &[]), nobodys(), "two could be meant");
    for wrong in [
        &[Some("bank")][..],
        &[Some("shop"), Some("shop")],
        &[Some("shop"), Some("bank")],
        &[None],
        &[None, Some("shop")],
        &[Some("")],
        &[Some("shop,cafe")],
        &[Some("SHOP")],
    ] {
        assert_eq!(whose("one", wrong), nobodys(), "{wrong:?}");
    }
}

#[test]
fn a_trusted_injector_names_one_controller_in_one_well_formed_field() {
    let streams = Streams::new(
        vec![
            stream("all", "*", &[], &[]),
            stream("bank-letters", "bank", &[], &[]),
        ],
        doors(&[("in", Speaks::Named)]),
    );
    let whose = |names: &[Option<&str>]| whose(&streams, "in", &asked(&[], names, &[]));
    assert_eq!(
        whose(&[Some("shop")]),
        pair("all", "shop"),
        "no listing is needed"
    );
    assert_eq!(
        whose(&[Some("bank")]),
        pair("bank-letters", "bank"),
        "its own stream wins over the one for all"
    );
    for wrong in [
        &[][..],
        &[None],
        &[Some("shop"), Some("shop")],
        &[Some("a b")],
        &[Some("unassigned")],
        &[Some("bank;shop")],
    ] {
        assert_eq!(whose(wrong), nobodys(), "{wrong:?}");
    }
}

#[test]
fn the_stream_that_is_picked_says_the_controller_where_it_names_one() {
    let streams = Streams::new(
        vec![
            stream("shop-letters", "shop", &[], &[]),
            stream("bank-letters", "bank", &[], &[]),
            stream("notices", "*", &[], &[]),
        ],
        doors(&[
            ("l", listed(&["shop", "bank"])),
            ("silent", Speaks::OfItsStreams),
        ]),
    );
    let whose = |listener, names: &[&str], controllers: &[Option<&str>]| {
        whose(&streams, listener, &asked(names, controllers, &[]))
    };
    for listener in ["l", "silent"] {
        assert_eq!(
            whose(listener, &["shop-letters"], &[]),
            pair("shop-letters", "shop")
        );
        assert_eq!(
            whose(listener, &["notices"], &[Some("bank")]),
            pair("notices", "bank")
        );
        assert_eq!(
            whose(listener, &["notices"], &[]),
            nobodys(),
            "shop or bank?"
        );
        assert_eq!(
            whose(listener, &["shop-letters"], &[Some("bank")]),
            nobodys(),
            "the two do not fit"
        );
        assert_eq!(
            whose(listener, &[], &[Some("bank")]),
            pair("bank-letters", "bank")
        );
        assert_eq!(whose(listener, &[], &[Some("cafe")]), nobodys());
    }
}

#[test]
fn a_purpose_field_narrows_and_never_widens() {
    let streams = Streams::new(
        vec![stream(
            "s",
            "shop",
            &[],
            &[
                (&["ab.example"], &[A, B]),
                (&["c.example"], &[C]),
                (&["mixed.example"], &[A, Auth]),
                (&["exempt.example"], &[Auth, Counted]),
            ],
        )],
        doors(&[("l", Speaks::OfItsStreams)]),
    );
    let narrowed = |fields: &[&str]| {
        let assignment = streams.assign("l", &asked(&[], &[], fields));
        let hosts = [
            "ab.example",
            "c.example",
            "mixed.example",
            "exempt.example",
            "other.example",
        ];
        let purposes = hosts.map(|host| assignment.declared(host).purposes.into_owned());
        (assignment.ignored.is_some(), purposes)
    };
    let all = [
        vec![A, B],
        vec![C],
        vec![A, Auth],
        vec![Auth, Counted],
        vec![],
    ];
    assert_eq!(narrowed(&[]), (false, all.clone()));
    assert_eq!(
        narrowed(&["campaign_performance"]),
        (false, [vec![A], vec![], vec![A], vec![], vec![]]),
        "what it does not name is undeclared"
    );
    assert_eq!(
        narrowed(&[" fraud_detection ,campaign_performance"]),
        (false, [vec![A, B], vec![], vec![A], vec![], vec![]])
    );
    assert_eq!(
        narrowed(&["auth_security"]),
        (false, [vec![], vec![], vec![A, Auth], vec![Auth], vec![]]),
        "leaving the consent purpose out makes no exemption (F12)"
    );
    for wrong in [
        &["cross_channel_profiling"][..],
        &["campaign_performance, cross_channel_profiling"],
        &["campaign_performance", "campaign_performance"],
        &["campaign_performance;fraud_detection"],
        &["campaign_performance,"],
        &["everything"],
        &["CAMPAIGN_PERFORMANCE"],
        &[""],
    ] {
        assert_eq!(narrowed(wrong), (true, all.clone()), "{wrong:?}");
    }
}

fn names() -> impl Strategy<Value = Vec<Option<String>>> {
    let name = proptest::sample::select(vec!["shop", "bank", "cafe", "unassigned", "", "a b"]);
    let field = prop_oneof![5 => name.prop_map(|name| Some(name.to_owned())), 1 => Just(None)];
    proptest::collection::vec(field, 0..3)
}

fn some_streams() -> impl Strategy<Value = Vec<Stream>> {
    let one = (
        proptest::sample::select(vec!["*", "shop", "bank", "cafe"]),
        proptest::sample::subsequence(vec!["l1", "l2"], 0..=2),
    );
    proptest::collection::vec(one, 1..5).prop_map(|streams| {
        let streams = streams.into_iter().enumerate();
        streams
            .map(|(n, (controller, listeners))| {
                stream(&format!("s{n}"), controller, &listeners, &[])
            })
            .collect()
    })
}

fn speaks() -> impl Strategy<Value = Speaks> {
    let names = proptest::sample::subsequence(vec!["shop", "bank", "cafe"], 1..=2);
    prop_oneof![
        Just(Speaks::OfItsStreams),
        names.prop_map(|names| listed(&names)),
        Just(Speaks::Named),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    /// Whatever a message says: the controller is one for whom the connection may speak, the stream one of its listener
    /// that serves this controller, and what is not said once and clearly is nobody's.
    #[test]
    fn no_field_reaches_beyond_the_connection(
        configured in some_streams(), speaks in speaks(), controllers in names(),
        picked in proptest::collection::vec(proptest::sample::select(vec!["s0", "s1", "s2", "none"]), 0..3),
    ) {
        let streams = Streams::new(configured.clone(), doors(&[("l1", speaks.clone())]));
        let asked = Asked {
            streams: picked.iter().map(|name| (*name).to_owned()).collect(),
            controllers: controllers.clone(),
            purposes: Vec::new(),
        };
        let assignment = streams.assign("l1", &asked);
        prop_assert!(!streams.assign("l2", &asked).assigned, "a door that is not there");
        if !assignment.assigned {
            return Ok(());
        }
        let controller = assignment.controller.as_ref();
        prop_assert!(assignment.stream.is_open_to("l1") && assignment.stream.serves(controller));
        prop_assert!(picked.len() <= 1 && picked.iter().all(|name| *name == assignment.stream.name));
        prop_assert!(controllers.len() <= 1);
        prop_assert!(controllers.iter().all(|name| name.as_deref() == Some(controller)));
        let may = match &speaks {
            Speaks::OfItsStreams => configured.iter().any(|stream| {
                stream.is_open_to("l1") && stream.controller.as_deref() == Some(controller)
            }),
            Speaks::Listed(names) => names.contains(controller),
            Speaks::Named => controllers.len() == 1,
        };
        prop_assert!(may);
    }
}
