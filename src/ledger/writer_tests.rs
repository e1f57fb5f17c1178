use std::os::fd::OwnedFd;

use super::super::tests::{files, intent, kinds, lines, settings};
use super::super::verify;
use super::*;

type Answer = oneshot::Receiver<Result<Seq, LedgerError>>;

fn request(id: &str, sync: bool) -> (Request, Answer) {
    let (answer, answered) = oneshot::channel();
    let request = Request {
        kind: Kind::Intent,
        body: intent(id).body().unwrap(),
        sync,
        answer,
    };
    (request, answered)
}

fn open(settings: &Settings) -> Writer {
    Writer::open(settings, &StartFacts::default(), Box::new(Timestamp::now)).unwrap()
}

/// Commits two intents in one batch and returns what each was told.
fn commit_two(writer: &mut Writer, sync: bool) -> [Result<Seq, LedgerError>; 2] {
    let (one, one_told) = request("one", false);
    let (two, two_told) = request("two", sync);
    writer.commit(vec![one, two]);
    [one_told, two_told].map(|told| told.blocking_recv().unwrap())
}

#[test]
fn a_full_disk_is_told_to_everybody_and_leaves_a_gap_line() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let mut writer = open(&settings);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    writer.segments.replace_file_for_test(full);
    for told in commit_two(&mut writer, false) {
        let error = told.unwrap_err();
        assert!(matches!(error, LedgerError::Disk { .. }), "{error}");
        assert!(error.is_transient());
    }
    assert_eq!(kinds(&settings.directory), ["start"]);
    // Room again: the gap comes first, then the lines.
    assert_eq!(commit_two(&mut writer, true), [Ok(Seq(3)), Ok(Seq(4))]);
    assert_eq!(
        kinds(&settings.directory),
        ["start", "gap", "intent", "intent"]
    );
    let gap = lines(&settings.directory).remove(1);
    assert_eq!(
        (&gap["cause"], &gap["lines"]),
        (&"not_written".into(), &2.into())
    );
    assert!(gap["since"].as_str() <= gap["until"].as_str());
    assert_eq!(commit_two(&mut writer, false), [Ok(Seq(5)), Ok(Seq(6))]);
    assert_eq!(verify(&settings.directory).unwrap().gaps, 1);
}

#[test]
fn failures_in_a_row_are_one_gap_with_their_count() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let mut writer = open(&settings);
    let directory = settings.directory.clone();
    let away = place.path().join("away");
    for _ in 0..3 {
        let read_only = File::open(place.path()).unwrap();
        writer.segments.replace_file_for_test(read_only);
        // Neither can the file be found again while the directory is away.
        std::fs::rename(&directory, &away).unwrap();
        assert!(commit_two(&mut writer, true).iter().all(Result::is_err));
        assert!(commit_two(&mut writer, true).iter().all(Result::is_err));
        std::fs::rename(&away, &directory).unwrap();
    }
    assert!(commit_two(&mut writer, true).iter().all(Result::is_ok));
    let gaps: Vec<_> = lines(&directory)
        .into_iter()
        .filter(|line| line["kind"] == "gap")
        .collect();
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0]["lines"], 12);
    verify(&directory).unwrap();
}

#[test]
fn after_a_failed_sync_nobody_was_told_that_it_is_written() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let mut writer = open(&settings);
    // A pipe takes what is written and cannot be synced.
    let (reader, pipe) = std::io::pipe().unwrap();
    writer
        .segments
        .replace_file_for_test(File::from(OwnedFd::from(pipe)));
    for told in commit_two(&mut writer, true) {
        assert!(matches!(told, Err(LedgerError::Disk { .. })), "{told:?}");
    }
    drop(reader);
    assert_eq!(commit_two(&mut writer, true), [Ok(Seq(3)), Ok(Seq(4))]);
    assert_eq!(
        kinds(&settings.directory),
        ["start", "gap", "intent", "intent"]
    );
    verify(&settings.directory).unwrap();
}

#[test]
fn a_batch_that_is_taken_back_leaves_the_file_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let mut writer = open(&settings);
    assert!(commit_two(&mut writer, true).iter().all(Result::is_ok));
    let path = files(&settings.directory).remove(0);
    let before = std::fs::read(&path).unwrap();
    let mark = writer.segments.mark();
    assert!(commit_two(&mut writer, false).iter().all(Result::is_ok));
    assert_ne!(std::fs::read(&path).unwrap(), before);
    writer.segments.take_back(mark);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(commit_two(&mut writer, true), [Ok(Seq(4)), Ok(Seq(5))]);
    verify(&settings.directory).unwrap();
}

#[test]
fn lines_that_the_disk_lost_or_kept_against_our_word_are_told() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let mut writer = open(&settings);
    let early = writer.segments.mark();
    assert!(commit_two(&mut writer, true).iter().all(Result::is_ok));
    let late = writer.segments.mark();
    let path = files(&settings.directory).remove(0);
    let whole = std::fs::read(&path).unwrap();
    // Taken back, and yet there.
    writer.segments.take_back(early.clone());
    std::fs::write(&path, &whole).unwrap();
    assert!(commit_two(&mut writer, true).iter().all(Result::is_ok));
    let gap = lines(&settings.directory).remove(3);
    assert_eq!(
        (&gap["cause"], &gap["seqs"]),
        (&"abandoned".into(), &vec![2, 3].into())
    );
    // Acknowledged, and no longer there.
    writer.segments.take_back(late);
    std::fs::write(
        &path,
        whole.split_inclusive(|o| *o == b'\n').next().unwrap(),
    )
    .unwrap();
    assert!(commit_two(&mut writer, true).iter().all(Result::is_ok));
    let gap = lines(&settings.directory).remove(1);
    assert_eq!((&gap["cause"], &gap["lines"]), (&"lost".into(), &2.into()));
    verify(&settings.directory).unwrap();
}

#[test]
fn nobody_waits_any_longer_so_nothing_is_claimed() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let mut writer = open(&settings);
    let (gone, told) = request("gone", true);
    drop(told);
    let (stays, told) = request("stays", true);
    writer.commit(vec![gone, stays]);
    assert_eq!(told.blocking_recv().unwrap(), Ok(Seq(3)));
    assert_eq!(kinds(&settings.directory), ["start", "gap", "intent"]);
    let written = lines(&settings.directory);
    assert_eq!(written[1]["cause"], "abandoned");
    assert_eq!(written[2]["id"], "stays");
    verify(&settings.directory).unwrap();
}

#[tokio::test]
async fn a_line_that_is_written_too_late_is_disowned_by_a_gap_line() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    // The clock is asked between the check that somebody waits and the write: there the waiting ends.
    let (sender, receiver) = std::sync::mpsc::channel::<Answer>();
    let clock = move || {
        drop(receiver.try_recv());
        Timestamp::now()
    };
    let mut writer = Writer::open(&settings, &StartFacts::default(), Box::new(clock)).unwrap();
    let (late, told) = request("late", true);
    sender.send(told).unwrap();
    writer.commit(vec![late]);
    let written = lines(&settings.directory);
    assert_eq!(kinds(&settings.directory), ["start", "intent", "gap"]);
    assert_eq!(written[2]["cause"], "abandoned");
    assert_eq!(written[2]["seqs"], serde_json::json!([2]));
    verify(&settings.directory).unwrap();
}

#[test]
fn a_file_that_was_moved_away_is_not_written_to() {
    let place = tempfile::tempdir().unwrap();
    let settings = settings(place.path());
    let mut writer = open(&settings);
    assert!(commit_two(&mut writer, true).iter().all(Result::is_ok));
    let away = place.path().join("away");
    std::fs::rename(files(&settings.directory).remove(0), &away).unwrap();
    let before = std::fs::read(&away).unwrap();
    assert!(commit_two(&mut writer, false).iter().all(Result::is_ok));
    assert_eq!(std::fs::read(&away).unwrap(), before);
    assert_eq!(kinds(&settings.directory), ["gap", "intent", "intent"]);
    let gap = lines(&settings.directory).remove(0);
    assert_eq!((&gap["cause"], &gap["lines"]), (&"lost".into(), &3.into()));
    verify(&settings.directory).unwrap();
}
