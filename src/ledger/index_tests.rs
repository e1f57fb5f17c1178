use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;

use super::*;

/// Frames of one line each; line `n` names the subjects that `named` gives.
fn write(
    directory: &Path,
    frames: u64,
    named: impl Fn(u64) -> Vec<String>,
) -> (PathBuf, BTreeMap<u64, Vec<u64>>) {
    let mut builder = Builder::new();
    let mut head = Head::start();
    let mut truth: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for number in 0..frames {
        let subjects = named(number);
        for subject in &subjects {
            truth.entry(key(subject).unwrap()).or_default().push(number);
        }
        let body = serde_json::json!({ "groups": [{ "subjects": subjects }] }).to_string();
        let mut line = Vec::new();
        head = chain::append(
            &mut line,
            &head,
            "intent",
            "n",
            Timestamp::UNIX_EPOCH,
            &body,
        );
        builder.frame(&line, 100 + number).unwrap();
    }
    for frames in truth.values_mut() {
        frames.dedup();
    }
    let path = directory.join("x.idx");
    builder.write(&path).unwrap();
    (path, truth)
}

fn subject(number: u64) -> String {
    let mut hash = chain::hash_of(&number.to_le_bytes());
    hash.truncate(32);
    hash
}

/// Which frames an index names, by their first lines.
fn found(index: &Index, wanted: u64) -> Vec<u64> {
    let frames = index.frames_of(&[wanted]).unwrap();
    frames.iter().map(|frame| frame.first_seq - 1).collect()
}

#[test]
fn every_key_leads_to_its_frames_and_no_other_does() {
    let place = tempfile::tempdir().unwrap();
    // One stands in every frame, over several pages; others in one or a few; from none to many pages of either table.
    for frames in [1, 2, 42, 43, 900] {
        let (path, truth) = write(place.path(), frames, |number| {
            vec![subject(0), subject(number + 1), subject(number / 3 + 5_000)]
        });
        let index = Index::check(&path).unwrap();
        for (key, frames) in &truth {
            assert_eq!(&found(&index, *key), frames);
        }
        for absent in [0, 1, u64::MAX, key(&subject(99_999)).unwrap()] {
            assert_eq!(found(&index, absent), [0; 0]);
        }
        let every: Vec<u64> = truth.keys().copied().collect();
        assert_eq!(index.frames_of(&every).unwrap().len() as u64, frames);
        let last = index.last_frame().unwrap();
        assert_eq!((last.first_seq, last.last_seq), (frames, frames));
        assert_eq!(last.last_hash, index.summary.last.hash);
        assert_eq!(index.summary.packed, last.offset + u64::from(last.packed));
        assert_eq!((index.summary.first_seq, index.summary.lines), (1, frames));
        assert_eq!(index.summary.first_prev, "0".repeat(64));
    }
}

#[test]
fn whatever_octet_is_changed_the_index_is_not_believed() {
    let place = tempfile::tempdir().unwrap();
    let (path, _) = write(place.path(), 50, |number| vec![subject(number)]);
    let good = std::fs::read(&path).unwrap();
    assert_eq!(good.len(), 4 * PAGE_OCTETS);
    for at in (0..good.len()).step_by(61).chain([0, good.len() - 1]) {
        let mut changed = good.clone();
        changed[at] ^= 4;
        std::fs::write(&path, &changed).unwrap();
        assert!(Index::check(&path).is_err(), "{at}");
    }
    // A page of another place, a file that is too short or too long.
    let (head, rest) = good.split_at(PAGE_OCTETS);
    let (first, second) = rest.split_at(PAGE_OCTETS);
    let swapped = [head, &second[..PAGE_OCTETS], first, &second[PAGE_OCTETS..]].concat();
    for wrong in [
        swapped,
        good[..good.len() - 1].to_vec(),
        good[..PAGE_OCTETS].to_vec(),
        [&good[..], &good[..PAGE_OCTETS]].concat(),
        Vec::new(),
    ] {
        std::fs::write(&path, &wrong).unwrap();
        assert!(Index::check(&path).is_err());
    }
    std::fs::write(&path, &good).unwrap();
    Index::check(&path).unwrap();
}

#[test]
fn what_does_not_hang_together_is_not_indexed() {
    let line = |head: &Head| {
        let mut line = Vec::new();
        let head = chain::append(
            &mut line,
            head,
            "outcome",
            "n",
            Timestamp::UNIX_EPOCH,
            r#"{"fates":[]}"#,
        );
        (line, head)
    };
    let (first, head) = line(&Head::start());
    let (second, _) = line(&head);
    let mut builder = Builder::new();
    builder.frame(&first, 1).unwrap();
    let again = builder.frame(&first, 1).unwrap_err();
    assert!(again.starts_with("line 2 does not hang"), "{again}");
    let mut builder = Builder::new();
    let mut changed = [first.clone(), second].concat();
    let at = first.len() + 20;
    changed[at] ^= 1;
    assert!(builder.frame(&changed, 1).is_err());
    assert!(Builder::new().frame(b"", 0).is_err());
    assert_eq!(Builder::new().summary(), None);
}
