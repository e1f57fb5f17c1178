use proptest::prelude::*;

use super::*;

const EXPIRE: u32 = 30;

/// Spreads small numbers over 32 bits.
fn hash(n: u32) -> u32 {
    let mut x = u64::from(n)
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ (x >> 31)) as u32
}

fn to(person: u32) -> Transaction {
    Transaction {
        hash: hash(person),
        people: vec![hash(person)],
    }
}

/// A transaction to many, as the table makes one.
fn to_all(people: std::ops::Range<u32>) -> Transaction {
    let own = hash(people.start ^ 0x5555_0000);
    let mut people: Vec<u32> = people.map(hash).collect();
    people.sort_unstable();
    Transaction { hash: own, people }
}

fn seen(loads: impl IntoIterator<Item = (u32, Transaction)>) -> Slot {
    let mut slot = Slot::new(0);
    for (url, transaction) in loads {
        slot.add(hash(url), &transaction, 0, EXPIRE);
    }
    slot
}

fn says(slot: &Slot, url: u32) -> Answer {
    slot.answer(hash(url), 0, EXPIRE)
}

#[test]
fn a_url_of_their_own_for_each_is_known_after_four() {
    let own = |people: u32| seen((0..people).map(|person| (person, to(person))));
    assert_eq!(says(&own(3), 9_999), Answer::Nothing);
    for people in [4, 63, 64, 65, 96] {
        let Answer::Individual { recipients } = says(&own(people), 9_999) else {
            panic!("{people}");
        };
        let off = recipients.abs_diff(people);
        assert!(off * 4 <= people, "{recipients} for {people}");
        assert!(people > 64 || recipients == people, "exact while few");
        assert!(
            people < 64 || recipients >= 64,
            "and never less from then on"
        );
    }
    // An estimate from 64 least hashes: within three standard errors.
    for people in [1_000, 20_000] {
        let Answer::Individual { recipients } = says(&own(people), 99_999) else {
            panic!("{people}");
        };
        assert!(
            recipients.abs_diff(people) * 100 / people <= 38,
            "{recipients} for {people}"
        );
    }
}

#[test]
fn the_same_person_again_is_nobody_else() {
    // One reader of twenty letters, each with another URL: nobody to compare with.
    let slot = seen((0..20).map(|url| (url, to(1))));
    assert_eq!(says(&slot, 3), Answer::Nothing);
    // Everybody's message comes twice.
    let slot = seen((0..40).flat_map(|person| [(person, to(person)), (person, to(person))]));
    assert_eq!(says(&slot, 3), Answer::Individual { recipients: 40 });
}

#[test]
fn one_transaction_is_one_observation() {
    // Thirty people get the same URL at once. That it is everybody's needs ten such transactions ...
    let batch = |n: u32| to_all(n * 100..n * 100 + 30);
    let slot = seen((0..9).map(|n| (7, batch(n))));
    assert_eq!(
        says(&slot, 7),
        Answer::Nothing,
        "270 people, nine transactions"
    );
    let slot = seen((0..10).map(|n| (7, batch(n))));
    assert_eq!(says(&slot, 7), Answer::Shared);
    // ... and a URL for each transaction counts for as many as there were transactions, not people.
    let slot = seen((0..12).map(|n| (n, batch(n))));
    assert_eq!(says(&slot, 99), Answer::Individual { recipients: 12 });
    // The rest of a transaction that came again is no second one.
    let rest = |n: u32| Transaction {
        hash: hash(n ^ 0x7777),
        people: {
            let mut people: Vec<u32> = (n * 100..n * 100 + 5).map(hash).collect();
            people.sort_unstable();
            people
        },
    };
    let slot = seen((0..12).flat_map(|n| [(n, batch(n)), (n, rest(n))]));
    assert!(matches!(says(&slot, 99), Answer::Individual { .. }));
}

#[test]
fn shared_needs_twenty_people_and_one_percent() {
    let shared = |people: u32| seen((0..people).map(|person| (7, to(person))));
    assert_eq!(says(&shared(19), 7), Answer::Nothing);
    assert_eq!(says(&shared(20), 7), Answer::Shared);
    assert_eq!(says(&shared(20), 8), Answer::Nothing, "another URL");
    // Seeds: thirty addresses that somebody gave the same URL, among ten thousand people.
    let others = (100..10_100).map(|person| (person, to(person)));
    let slot = seen(others.chain((0..30).map(|person| (7, to(person)))));
    assert_eq!(says(&slot, 7), Answer::Nothing, "not one percent");
}

#[test]
fn arms_are_shared_each_and_never_individual() {
    for arms in [2, 3, 5] {
        let mut slot = Slot::new(0);
        let mut known = vec![0; arms as usize];
        for person in 0..400 {
            for arm in 0..arms {
                match says(&slot, arm) {
                    // Four people may well have four of five arms, and ten hardly.
                    Answer::Individual { recipients } => {
                        assert!(
                            arms > 3 && recipients < 10,
                            "{arms} arms, {recipients} people"
                        );
                    }
                    Answer::Shared if known[arm as usize] == 0 => known[arm as usize] = person,
                    _ => {}
                }
            }
            slot.add(hash(hash(person) % arms), &to(person), 0, EXPIRE);
        }
        // Slots above 20 people wait for two standard errors of the estimate.
        assert!(
            known.iter().all(|at| (20..300).contains(at)),
            "{arms}: {known:?}"
        );
    }
}

/// How many of `sends` claim 64 people or more at some time, although everybody gets one of `variants`.
fn wrongly_certain(variants: u32, people: u32, of_each: u32, sends: u32) -> u32 {
    let wrong = (0..sends).filter(|send| {
        let mut slot = Slot::new(0);
        (0..people).any(|person| {
            let person = send * 1_000_003 + person;
            for place in 0..of_each {
                let url = hash(person ^ (place << 28)) % variants;
                slot.add(hash(url), &to(person), 0, EXPIRE);
            }
            matches!(says(&slot, u32::MAX), Answer::Individual { recipients } if recipients >= 64)
        })
    });
    wrong.count() as u32
}

#[test]
fn pictures_out_of_a_few_hundred_are_nobodys() {
    // Four products for each of 300 people, and one, out of so many.
    assert_eq!(wrongly_certain(300, 300, 4, 40), 0);
    assert_eq!(wrongly_certain(200, 300, 1, 100), 0);
    // The birthday figures: nobody alike among 64 out of 300 is one send in a thousand, out of 500 one in sixty. Of the pictures out
    // of 2,000 a third is taken for individual for a while; the bound is what 64 people can show.
    let (of_300, of_500) = (
        wrongly_certain(300, 300, 1, 100),
        wrongly_certain(500, 300, 1, 100),
    );
    let of_many = wrongly_certain(2_000, 400, 1, 100);
    println!(
        "of 100 sends taken for individual at some time: {of_300} (300 pictures), {of_500} (500), {of_many} (2,000)"
    );
    assert!(of_300 <= 2 && of_500 <= 8);
    assert!((15..=60).contains(&of_many), "{of_many} of 100");
}

#[test]
fn a_third_of_a_row_that_is_taken_for_individual_is_so_no_more_later() {
    let mut slot = Slot::new(0);
    for person in 0..1_000 {
        slot.add(hash(hash(person) % 2_000), &to(person), 0, EXPIRE);
    }
    assert_eq!(says(&slot, u32::MAX), Answer::Nothing);
}

#[test]
fn one_url_for_all_among_those_of_each_is_neither_nor() {
    // A logo in the same slot as everybody's own picture.
    let loads = (0..300).flat_map(|person| [(person + 10, to(person)), (1, to(person))]);
    let slot = seen(loads);
    assert_eq!(says(&slot, 1), Answer::Shared);
    let Answer::Individual { recipients } = says(&slot, 9_999) else {
        panic!("individual beside a logo");
    };
    assert_eq!(recipients, 63, "not enough for what may be visible");
    // Seven in ten have the same picture: the slot is not individual.
    let loads = (0..300).map(|person| match person % 10 {
        0..3 => (person + 10, to(person)),
        _ => (1, to(person)),
    });
    assert_eq!(says(&seen(loads), 9_999), Answer::Nothing);
}

#[test]
fn one_test_message_among_many_is_forgiven_and_two_are_not() {
    // URLs that are in the sample, whatever else is.
    let mut low: Vec<u32> = (10_000..30_000).collect();
    low.sort_by_key(|url| hash(*url));
    let with = |twice: &[u32], people: u32| {
        let twice = twice
            .iter()
            .flat_map(|url| [(*url, to(*url)), (*url, to(url + 50_000))]);
        seen((0..people).map(|person| (person, to(person))).chain(twice))
    };
    let certain = |slot: &Slot| match says(slot, u32::MAX) {
        Answer::Individual { recipients } => recipients >= 64,
        other => panic!("{other:?}"),
    };
    assert!(certain(&with(&[], 80)));
    assert!(!certain(&with(&low[..1], 80)), "too early to forgive");
    assert!(certain(&with(&low[..1], 1_000)));
    assert!(!certain(&with(&low[..2], 1_000)));
}

#[test]
fn nothing_older_than_it_may_be_decides() {
    let mut slot = seen((0..40).map(|person| (7, to(person))));
    assert_eq!(slot.answer(hash(7), 30, EXPIRE), Answer::Shared);
    assert_eq!(slot.answer(hash(7), 31, EXPIRE), Answer::Nothing);
    assert!(slot.is_alive(30, EXPIRE) && !slot.is_alive(31, EXPIRE));
    // A new period begins; the older one answers until it is too old.
    slot.add(hash(8), &to(1), 20, EXPIRE);
    assert_eq!(slot.answer(hash(7), 30, EXPIRE), Answer::Shared);
    assert_eq!(slot.answer(hash(7), 31, EXPIRE), Answer::Nothing);
    for person in 0..20 {
        slot.add(hash(8), &to(person), 21, EXPIRE);
    }
    assert_eq!(slot.answer(hash(8), 50, EXPIRE), Answer::Shared);
    // Whatever became individual in the meantime is so: what is said of the slot, the newer period says.
    let mut slot = seen((0..40).map(|person| (7, to(person))));
    for person in 0..40 {
        slot.add(hash(100 + person), &to(person), 16, EXPIRE);
    }
    assert_eq!(
        slot.answer(hash(500), 16, EXPIRE),
        Answer::Individual { recipients: 40 }
    );
}

proptest! {
    #[test]
    fn the_order_does_not_matter(
        loads in prop::collection::vec((0..300_u32, 0..120_u32), 1..400),
        seed in any::<u64>(),
    ) {
        let slot = seen(loads.iter().map(|(url, person)| (*url, to(*person))));
        let mut other = loads.clone();
        let mut state = seed | 1;
        for at in (1..other.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            other.swap(at, (state >> 33) as usize % (at + 1));
        }
        let shuffled = seen(other.into_iter().map(|(url, person)| (url, to(person))));
        // Everything but the few places beside the sample.
        prop_assert_eq!(&slot.now.people, &shuffled.now.people);
        prop_assert_eq!(&slot.now.urls.sample, &shuffled.now.urls.sample);
        if slot.now.urls.beside.is_empty() {
            for url in 0..300 {
                prop_assert_eq!(says(&slot, url), says(&shuffled, url));
            }
        }
    }
}
