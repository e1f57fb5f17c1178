use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicI64;

use super::super::read::Ledgers;
use super::super::tests::{clock, intent, lines, outcome};
use super::super::{AuditHead, Intent, Ledger, VerifyError, chain, verify, verify_against};
use super::*;

pub(in crate::ledger) const DAY: i64 = 86_400;

fn subject(number: u64) -> String {
    let mut hash = chain::hash_of(&number.to_le_bytes());
    hash.truncate(32);
    hash
}

/// A message to two people: one of its own, and one in ten; with a hundred more, so that frames fill.
pub(in crate::ledger) fn message(number: u64) -> (Intent, super::super::Outcome) {
    let id = format!("m{number}");
    let (mut intent, mut outcome) = (intent(&id), outcome(&id));
    let crowd = (0..100).map(|n| subject(1_000_000 + number * 100 + n));
    let subjects: Vec<String> = [subject(number), subject(500_000 + number % 10)]
        .into_iter()
        .chain(crowd)
        .collect();
    intent.message_id_hash = Some(chain::hash_of(id.as_bytes()));
    intent.groups[0].subjects = subjects.clone();
    outcome.fates[0].subjects = subjects;
    (intent, outcome)
}

pub(in crate::ledger) fn settings(directory: &Path) -> Settings {
    Settings {
        directory: directory.to_owned(),
        segment_octets: 400 << 10,
        // Two busy cores and a slow disk are no reason to fail here.
        write_timeout_ms: 60_000,
        ..Settings::default()
    }
}

/// A ledger of some days, `messages` on each, in segments that are not tended.
pub(in crate::ledger) fn filled(directory: &Path, days: i64, messages: u64) -> Settings {
    let settings = settings(directory);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let seconds = Arc::new(AtomicI64::new(0));
    let mut number = 0;
    for day in 0..days {
        seconds.store(day * DAY + 1, Ordering::SeqCst);
        let writer = Ledger::open_untended(&settings, clock(&seconds));
        for _ in 0..messages {
            let (intent, outcome) = message(number);
            number += 1;
            runtime.block_on(writer.intent(intent, false)).unwrap();
            runtime.block_on(writer.outcome(outcome)).unwrap();
        }
        writer.close();
    }
    settings
}

pub(in crate::ledger) fn tender(settings: &Settings) -> Tender {
    Tender {
        directory: settings.directory.clone(),
        retention_days: settings.retention_days,
        stop: Arc::default(),
        checked: None,
        tell: {
            let directory = settings.directory.clone();
            Box::new(move |head| told(&directory, head))
        },
    }
}

/// At the end of the last segment, as the writer would have it there.
fn told(directory: &Path, head: &Dropped) -> Result<(), LedgerError> {
    let path = Listing::of(directory)?.last().unwrap().plain(directory);
    let octets = std::fs::read(&path).unwrap();
    let last = octets.trim_ascii_end();
    let begin = memchr::memrchr(b'\n', last).map_or(0, |at| at + 1);
    let link = chain::read(&last[begin..]).unwrap();
    let end = chain::Head {
        seq: link.seq,
        hash: link.hash,
    };
    let mut line = octets.clone();
    let at = Timestamp::from_second(0).unwrap();
    chain::append(&mut line, &end, "dropped", "local", at, &head.body()?);
    std::fs::write(&path, line).unwrap();
    Ok(())
}

/// Everything but the last segment is closed.
pub(in crate::ledger) fn turn(directory: &Path, today: &str) -> Turn {
    Turn {
        before: Listing::of(directory).unwrap().last().unwrap().clone(),
        today: today.parse().unwrap(),
    }
}

pub(in crate::ledger) fn tend(settings: &Settings) {
    tender(settings).tend(&turn(&settings.directory, "1970-01-05"));
}

/// In which forms the segments are there.
fn forms(directory: &Path) -> Vec<(String, Forms)> {
    let segments = Listing::of(directory).unwrap().segments;
    segments
        .into_iter()
        .map(|(name, forms)| (name.to_string(), forms))
        .collect()
}

const PLAIN: Forms = Forms {
    plain: true,
    packed: false,
    index: false,
};
const PACKED: Forms = Forms {
    plain: false,
    packed: true,
    index: true,
};

/// All closed segments are packed and indexed, the last one grows, nothing else is there.
pub(in crate::ledger) fn assert_tended(directory: &Path) {
    let mut forms = forms(directory);
    assert_eq!(forms.pop().unwrap().1, PLAIN);
    for (name, forms) in forms {
        assert_eq!(forms, PACKED, "{name}");
    }
    assert!(Listing::of(directory).unwrap().unfinished.is_empty());
}

fn open(directory: &Path) -> Ledgers {
    Ledgers::open(&[directory.to_owned()]).unwrap()
}

/// Numbers of the lines that name somebody.
fn seqs(ledgers: &Ledgers, subject: &str) -> Vec<u64> {
    let found = ledgers.of_subjects(&[subject.to_owned()], None, None);
    found.unwrap().iter().map(|line| line.seq).collect()
}

/// What everybody should find, from every line.
fn truth(directory: &Path) -> BTreeMap<String, Vec<u64>> {
    let mut truth: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in open(directory).lines(None, None) {
        let line = line.unwrap();
        for subject in line.subjects() {
            truth.entry(subject.clone()).or_default().push(line.seq);
        }
    }
    truth
}

#[test]
fn segments_are_packed_without_losing_an_octet_and_people_are_found_in_them() {
    let place = tempfile::tempdir().unwrap();
    let settings = filled(place.path(), 3, 150);
    let directory = &settings.directory;
    let (before, whole) = (lines(directory), verify(directory).unwrap());
    let truth = truth(directory);
    let names: Vec<String> = forms(directory).into_iter().map(|(name, _)| name).collect();
    assert!(names.len() >= 9, "{names:?}");
    assert_eq!(names[0], "1970-01-01.local.0001");
    assert_eq!(names[1], "1970-01-01.local.0002");
    assert!(names.contains(&"1970-01-03.local.0001".to_owned()));
    tend(&settings);
    assert_tended(directory);
    assert_eq!(lines(directory), before);
    assert_eq!(verify(directory).unwrap(), whole);
    // A second time there is nothing to do.
    tend(&settings);
    assert_tended(directory);
    let ledgers = open(directory);
    for wanted in (0..450).step_by(7).chain(500_000..500_010) {
        let wanted = subject(wanted);
        assert_eq!(seqs(&ledgers, &wanted), truth[&wanted]);
    }
    assert_eq!(seqs(&ledgers, &subject(777_777)), [0; 0]);
    let hash = chain::hash_of(b"m200");
    let found = ledgers.of_message_id(&hash, None, None).unwrap();
    let expected = &truth[&subject(200)];
    assert_eq!(
        found.iter().map(|line| line.seq).collect::<Vec<_>>(),
        *expected
    );
    let day = |text: &str| Some(text.parse::<Date>().unwrap());
    let of_day = |from, to| ledgers.of_message_id(&hash, from, to).unwrap().len();
    assert_eq!(of_day(day("1970-01-02"), day("1970-01-02")), 2);
    assert_eq!(of_day(day("1970-01-03"), None), 0);
    assert_eq!(of_day(None, day("1970-01-01")), 0);
    assert_eq!(ledgers.days().len(), 3);
    assert_eq!(ledgers.remarks(), [""; 0]);
}

#[test]
fn a_lost_or_damaged_index_costs_time_and_no_answer_and_is_made_anew() {
    let place = tempfile::tempdir().unwrap();
    let settings = filled(place.path(), 2, 100);
    let directory = &settings.directory;
    let truth = truth(directory);
    tend(&settings);
    let packed: Vec<_> = Listing::of(directory)
        .unwrap()
        .segments
        .into_iter()
        .filter(|(_, forms)| forms.packed)
        .map(|(name, _)| name.index(directory))
        .collect();
    let good: Vec<Vec<u8>> = packed
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    let spoils: [fn(&Path, &[u8]); 5] = [
        |path, _| std::fs::remove_file(path).unwrap(),
        |path, good| std::fs::write(path, &good[..good.len() / 2]).unwrap(),
        |path, _| std::fs::write(path, b"").unwrap(),
        |path, good| {
            let mut changed = good.to_vec();
            changed[100] ^= 1;
            std::fs::write(path, changed).unwrap();
        },
        |path, good| {
            // In every page of keys.
            let mut changed = good.to_vec();
            for at in (2 * 4096 + 5..good.len()).step_by(4096) {
                changed[at] ^= 1;
            }
            std::fs::write(path, changed).unwrap();
        },
    ];
    for (number, spoil) in spoils.iter().enumerate() {
        for (path, good) in packed.iter().zip(&good) {
            spoil(path, good);
        }
        verify(directory).unwrap();
        let ledgers = open(directory);
        for wanted in [subject(3), subject(150), subject(500_003)] {
            assert_eq!(seqs(&ledgers, &wanted), truth[&wanted], "{number}");
        }
        assert!(ledgers.remarks().len() >= packed.len(), "{number}");
        assert!(ledgers.remarks()[0].contains(".idx"));
        tend(&settings);
        for (path, good) in packed.iter().zip(&good) {
            assert_eq!(&std::fs::read(path).unwrap(), good, "{number}");
        }
        assert_eq!(open(directory).remarks(), [""; 0]);
    }
    // The index of another segment is none of this one.
    std::fs::copy(&packed[0], &packed[1]).unwrap();
    let ledgers = open(directory);
    let wanted = subject(500_003);
    assert_eq!(seqs(&ledgers, &wanted), truth[&wanted]);
    assert_eq!(ledgers.remarks().len(), 1);
}

#[test]
fn the_chain_goes_on_from_packed_segments_and_from_files_of_version_0_1() {
    let place = tempfile::tempdir().unwrap();
    let mut settings = filled(place.path(), 1, 20);
    let directory = settings.directory.clone();
    let old: SegmentName = SegmentName::parse("1970-01-01").unwrap();
    let new = Listing::of(&directory).unwrap().last().unwrap().clone();
    std::fs::rename(new.plain(&directory), old.plain(&directory)).unwrap();
    let before = verify(&directory).unwrap();
    // Another node's name, later the same day.
    settings.node = "b.2".to_owned();
    let start = |settings: &Settings, day: i64| {
        let seconds = Arc::new(AtomicI64::new(day * DAY + 5));
        Ledger::open_untended(settings, clock(&seconds)).close();
    };
    start(&settings, 0);
    assert_eq!(
        forms(&directory),
        [
            ("1970-01-01".to_owned(), PLAIN),
            ("1970-01-01.b.2.0001".to_owned(), PLAIN)
        ]
    );
    assert_eq!(verify(&directory).unwrap().lines, before.lines + 1);
    // Everything packed, the growing one too, with and without an index.
    for remove_index in [false, true] {
        let mut turn = turn(&directory, "1970-01-05");
        turn.before = SegmentName::parse("2999-01-01").unwrap();
        tender(&settings).tend(&turn);
        assert!(forms(&directory).iter().all(|(_, forms)| *forms == PACKED));
        if remove_index {
            let name = Listing::of(&directory).unwrap().last().unwrap().clone();
            std::fs::remove_file(name.index(&directory)).unwrap();
        }
        let lines = verify(&directory).unwrap().lines;
        start(&settings, 0);
        assert_eq!(verify(&directory).unwrap().lines, lines + 1);
    }
    let names: Vec<String> = forms(&directory)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names.last().unwrap(), "1970-01-01.b.2.0003");
    let nodes: Vec<String> = open(&directory)
        .lines(None, None)
        .map(|line| line.unwrap().node)
        .collect();
    assert!(nodes.starts_with(&["local".to_owned()]) && nodes.ends_with(&["b.2".to_owned()]));
}

/// The name of a segment by its place.
fn nth(directory: &Path, at: usize) -> SegmentName {
    let segments = Listing::of(directory).unwrap().segments;
    segments.into_keys().nth(at).unwrap()
}

#[test]
fn verify_finds_what_was_done_to_packed_segments() {
    let place = tempfile::tempdir().unwrap();
    let settings = filled(place.path(), 2, 60);
    let directory = &settings.directory;
    let untouched = lines(directory);
    tend(&settings);
    let [first, second, third] = [0, 1, 2].map(|at| nth(directory, at).packed(directory));
    let good = std::fs::read(&second).unwrap();
    for at in (0..good.len()).step_by(good.len() / 60) {
        let mut changed = good.clone();
        changed[at] ^= 0x20;
        std::fs::write(&second, &changed).unwrap();
        match verify(directory) {
            Err(VerifyError::Broken { file, .. }) => {
                assert_eq!(Some(file.as_str()), second.file_name().unwrap().to_str());
            }
            // zstd leaves a few bits of a frame's head without a meaning.
            Ok(_) => assert_eq!(lines(directory), untouched, "{at}"),
            Err(error) => panic!("{error}"),
        }
    }
    // Cut short: within a frame, and between two (the chain then misses lines).
    for keep in [good.len() - 3, good.len() / 2] {
        std::fs::write(&second, &good[..keep]).unwrap();
        assert!(verify(directory).is_err(), "{keep}");
    }
    // A bomb in its place is given up at the bound of a frame.
    let mut bomb = vec![b'x'; 64 << 20];
    bomb.push(b'\n');
    let bomb = super::super::frames::Packer::new()
        .unwrap()
        .pack(&bomb)
        .unwrap();
    std::fs::write(&second, bomb).unwrap();
    let error = verify(directory).unwrap_err().to_string();
    assert!(
        error.contains("line 1 ") && error.contains("a frame of more than"),
        "{error}"
    );
    std::fs::write(&second, &good).unwrap();
    // Two segments exchanged, one removed, the first removed.
    std::fs::copy(&third, &second).unwrap();
    std::fs::write(&third, &good).unwrap();
    assert!(matches!(
        verify(directory),
        Err(VerifyError::Broken { line: 1, .. })
    ));
    std::fs::copy(&second, &third).unwrap();
    std::fs::write(&second, &good).unwrap();
    verify(directory).unwrap();
    for gone in [&first, &second] {
        let octets = std::fs::read(gone).unwrap();
        std::fs::remove_file(gone).unwrap();
        let error = verify(directory).unwrap_err().to_string();
        assert!(error.contains(" should follow"), "{error}");
        std::fs::write(gone, octets).unwrap();
    }
    std::fs::remove_file(nth(directory, 1).index(directory)).unwrap();
    verify(directory).unwrap();
}

#[test]
fn a_chain_that_was_made_again_or_ends_early_is_found_by_a_head_kept_elsewhere() {
    let place = tempfile::tempdir().unwrap();
    let settings = filled(&place.path().join("a"), 2, 60);
    tend(&settings);
    let directory = &settings.directory;
    let whole = verify(directory).unwrap();
    let head = |seq: u64, hash: &str| format!("{seq}:{hash}").parse::<AuditHead>().unwrap();
    let hash_of = |seq: u64| {
        lines(directory)[seq as usize - 1]["hash"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let heads = [
        head(1, &hash_of(1)),
        head(77, &hash_of(77)),
        head(whole.head_seq, &whole.head_hash),
    ];
    assert_eq!(verify_against(directory, &heads).unwrap(), whole);
    // The same messages written once more: every hash fits, none is the old one.
    let again = filled(&place.path().join("b"), 2, 60);
    let line = &lines(&again.directory)[76];
    assert_eq!(line["seq"], 77);
    let mut other = again.clone();
    other.node = "other".to_owned();
    std::fs::remove_dir_all(&other.directory).unwrap();
    Ledger::open_untended(&other, clock(&Arc::new(AtomicI64::new(1)))).close();
    let error = verify_against(&other.directory, &heads[..1]).unwrap_err();
    assert!(
        matches!(error, VerifyError::Broken { line: 1, .. }),
        "{error}"
    );
    // The end left off.
    let error = verify_against(&other.directory, &heads[1..2])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("line 77") && error.contains("the ledger ends at 1"),
        "{error}"
    );
    let twice = [heads[0].clone(), head(1, &"0".repeat(64))];
    assert!(matches!(
        verify_against(directory, &twice),
        Err(VerifyError::Head { seq: 1, .. })
    ));
    for wrong in [
        "",
        "7",
        "0:00",
        "x:00",
        &format!("0:{}", "0".repeat(64)),
        "7:xyz",
    ] {
        assert!(wrong.parse::<AuditHead>().is_err(), "{wrong}");
    }
}

#[test]
fn retention_drops_whole_segments_and_the_chain_joins_by_their_heads() {
    let place = tempfile::tempdir().unwrap();
    let mut settings = filled(place.path(), 4, 60);
    let directory = settings.directory.clone();
    settings.retention_days = 2;
    let whole = verify(&directory).unwrap();
    let count = |day: &str| {
        forms(&directory)
            .iter()
            .filter(|(name, _)| name.starts_with(day))
            .count()
    };
    let (first, second) = (count("1970-01-01"), count("1970-01-02"));
    assert!(first > 1 && second > 1);
    let run = |today: &str| tender(&settings).tend(&turn(&directory, today));
    // The third and fourth of January: the first day is held for two days after its own.
    run("1970-01-03");
    assert_eq!(count("1970-01-01"), first);
    assert!(!dropped::path(&directory).exists());
    run("1970-01-04");
    assert_eq!((count("1970-01-01"), count("1970-01-02")), (0, second));
    assert!(!directory.join("1970-01-01.local.0001.idx").exists());
    let after = verify(&directory).unwrap();
    // Each is told by a line.
    assert_eq!(
        (after.dropped, after.head_seq),
        (first as u64, whole.head_seq + first as u64)
    );
    assert!(after.lines < whole.lines);
    let heads = std::fs::read_to_string(dropped::path(&directory)).unwrap();
    assert_eq!(heads.lines().count(), first);
    let last: Dropped = serde_json::from_str(heads.lines().last().unwrap()).unwrap();
    assert_eq!(last.rule, "retention_days = 2");
    assert_eq!(last.last_seq + after.lines, after.head_seq);
    // An auditor's head at the seam can be compared, one within cannot.
    let head = |seq: u64, hash: &str| {
        [AuditHead {
            seq,
            hash: hash.to_owned(),
        }]
    };
    verify_against(&directory, &head(last.last_seq, &last.last_hash)).unwrap();
    let error = verify_against(&directory, &head(last.last_seq, &whole.head_hash)).unwrap_err();
    assert!(matches!(error, VerifyError::Head { .. }), "{error}");
    let error = verify_against(&directory, &head(2, &whole.head_hash))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot be compared") && error.contains("retention_days = 2"),
        "{error}"
    );
    // Nothing but what was kept joins: a head gone, changed, or another segment gone.
    let path = dropped::path(&directory);
    let all: Vec<&str> = heads.split_inclusive('\n').collect();
    for wrong in [
        String::new(),
        all[1..].concat(),
        all[..all.len() - 1].concat(),
        heads.replace(&last.last_hash, &"1".repeat(64)),
        heads.replacen("\"first_seq\":1,", "\"first_seq\":2,", 1),
        format!("{heads}{{}}\n"),
    ] {
        std::fs::write(&path, wrong).unwrap();
        assert!(verify(&directory).is_err());
    }
    // What a crash left of a line that was being written is no head yet.
    std::fs::write(&path, format!("{heads}{{\"file\":\"1970-01-02.lo")).unwrap();
    verify(&directory).unwrap();
    run("1970-01-05");
    assert_eq!(count("1970-01-02"), 0);
    assert_eq!(verify(&directory).unwrap().dropped as usize, first + second);
    std::fs::remove_file(nth(&directory, 0).packed(&directory)).unwrap();
    assert!(verify(&directory).is_err());
}

#[test]
fn a_segment_that_somebody_took_away_is_missed_whatever_he_wrote_into_the_heads() {
    let place = tempfile::tempdir().unwrap();
    let mut settings = filled(place.path(), 4, 60);
    let directory = settings.directory.clone();
    settings.retention_days = 2;
    tender(&settings).tend(&turn(&directory, "1970-01-04"));
    verify(&directory).unwrap();
    let heads = std::fs::read_to_string(dropped::path(&directory)).unwrap();
    // The next one, as retention would have dropped it; then one from the middle.
    for (at, said) in [
        (0, "no line of the ledger says"),
        (1, "older ones are still there"),
    ] {
        let name = nth(&directory, at);
        let summary = packed::summary(&directory, &name).unwrap().unwrap();
        let hidden = place.path().join("hidden");
        std::fs::rename(name.packed(&directory), &hidden).unwrap();
        let head = Dropped::new(&name, &summary, Timestamp::now(), "retention_days = 2");
        dropped::append(&directory, &head).unwrap();
        let error = verify(&directory).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        std::fs::rename(&hidden, name.packed(&directory)).unwrap();
        std::fs::write(dropped::path(&directory), &heads).unwrap();
    }
    verify(&directory).unwrap();
}

#[test]
fn what_a_running_relay_drops_is_a_line_of_its_ledger_first() {
    let place = tempfile::tempdir().unwrap();
    let mut settings = filled(place.path(), 2, 20);
    let directory = settings.directory.clone();
    settings.retention_days = 1;
    let first = nth(&directory, 0);
    let day = Arc::new(AtomicI64::new(5 * DAY));
    let ledger = Ledger::open_at(&settings, &super::super::StartFacts::default(), clock(&day));
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while Listing::of(&directory)
        .unwrap()
        .segments
        .contains_key(&first)
    {
        assert!(std::time::Instant::now() < until, "never dropped");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    ledger.unwrap().close();
    let verified = verify(&directory).unwrap();
    assert!(verified.dropped > 0);
    let lines = lines(&directory);
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line["kind"] == "dropped")
        .collect();
    assert_eq!(told[0]["file"], first.to_string());
    assert!(told.len() as u64 >= verified.dropped);
}

#[test]
fn a_clock_that_leaps_does_not_empty_the_ledger_and_a_ledger_that_was_emptied_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let mut settings = filled(place.path(), 3, 5);
    let directory = settings.directory.clone();
    settings.retention_days = 40;
    tender(&settings).tend(&turn(&directory, "2036-01-01"));
    assert_eq!(forms(&directory).len(), 3);
    settings.retention_days = 0;
    tender(&settings).tend(&turn(&directory, "2036-01-01"));
    assert_eq!(forms(&directory).len(), 3);
    // Everything closed and old.
    settings.retention_days = 1;
    let mut turn = turn(&directory, "1970-01-20");
    turn.before = SegmentName::parse("2999-01-01").unwrap();
    tender(&settings).tend(&turn);
    assert_eq!(forms(&directory), []);
    // No relay drops the segment that it writes: of what is gone whole no line is left to say that it was retention.
    let error = verify(&directory).unwrap_err().to_string();
    assert!(error.contains("no line of the ledger says"), "{error}");
    let end = dropped::read(&directory).unwrap().pop_last().unwrap().1;
    Ledger::open_untended(&settings, clock(&Arc::new(AtomicI64::new(30 * DAY)))).close();
    let first = lines(&directory).remove(0);
    assert_eq!(first["seq"], end.last_seq + 1);
    assert_eq!(first["prev"], end.last_hash.as_str());
}

#[test]
fn two_forms_that_differ_are_both_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let settings = filled(place.path(), 1, 60);
    let directory = &settings.directory;
    let name = nth(directory, 0);
    let plain = std::fs::read(name.plain(directory)).unwrap();
    tend(&settings);
    let packed = std::fs::read(name.packed(directory)).unwrap();
    // Both whole and the same: the plain one goes.
    std::fs::write(name.plain(directory), &plain).unwrap();
    std::fs::remove_file(name.index(directory)).unwrap();
    tend(&settings);
    assert_tended(directory);
    assert_eq!(std::fs::read(name.packed(directory)).unwrap(), packed);
    // An empty one, and one that holds less: neither is touched.
    for less in [&b""[..], &plain[..=memchr::memchr(b'\n', &plain).unwrap()]] {
        std::fs::write(name.plain(directory), less).unwrap();
        tend(&settings);
        assert_eq!(std::fs::read(name.plain(directory)).unwrap(), less);
        assert_eq!(std::fs::read(name.packed(directory)).unwrap(), packed);
    }
    // A packed one that cannot be read is made again.
    std::fs::write(name.plain(directory), &plain).unwrap();
    std::fs::write(name.packed(directory), &packed[..packed.len() / 2]).unwrap();
    tend(&settings);
    assert_tended(directory);
    assert_eq!(std::fs::read(name.packed(directory)).unwrap(), packed);
    verify(directory).unwrap();
}

#[test]
fn a_segment_that_does_not_hold_together_is_left_as_it_lies() {
    let place = tempfile::tempdir().unwrap();
    let settings = filled(place.path(), 1, 100);
    let directory = &settings.directory;
    let name = nth(directory, 0);
    let good = std::fs::read(name.plain(directory)).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for wrong in [flipped, good[..good.len() - 1].to_vec()] {
        std::fs::write(name.plain(directory), &wrong).unwrap();
        tend(&settings);
        assert_eq!(std::fs::read(name.plain(directory)).unwrap(), wrong);
        assert!(!name.packed(directory).exists());
        assert!(Listing::of(directory).unwrap().unfinished.is_empty());
        // The others are packed all the same.
        assert_eq!(forms(directory)[1].1, PACKED);
    }
    std::fs::write(name.plain(directory), &good).unwrap();
    tend(&settings);
    assert_tended(directory);
}

#[test]
fn a_line_that_was_changed_is_not_shown_as_an_answer() {
    let place = tempfile::tempdir().unwrap();
    let settings = filled(place.path(), 1, 3);
    let directory = &settings.directory;
    let file = nth(directory, 0).plain(directory);
    let text = std::fs::read_to_string(&file).unwrap();
    let ask = || {
        let ledgers = open(directory);
        let asked = ledgers.of_subjects(&[subject(1)], None, None);
        let by_id = ledgers.of_message_id(&chain::hash_of(b"m1"), None, None);
        (
            asked.map(|lines| lines.len()),
            by_id.map(|lines| lines.len()),
        )
    };
    assert_eq!(ask(), (Ok(2), Ok(2)));
    // Somebody makes of the second message's decision another one.
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let changed = lines[3].replace("\"reason\":\"no_consent\"", "\"basis\":\"consent\"");
    assert_ne!(changed, lines[3]);
    let spoilt = [lines[..3].concat(), changed, lines[4..].concat()].concat();
    std::fs::write(&file, spoilt).unwrap();
    let (by_subject, by_id) = ask();
    for answer in [by_subject, by_id] {
        let error = answer.unwrap_err().to_string();
        assert!(error.contains("was changed"), "{error}");
    }
}
