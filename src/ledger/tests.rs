use super::line::{FateLine, Line};
use super::*;

fn open(directory: &std::path::Path) -> Result<Ledger, LedgerError> {
    Ledger::open(
        &Settings {
            directory: directory.to_owned(),
            ..Settings::default()
        },
        Start::default(),
    )
}

fn intent(id: &str) -> Intent {
    Intent {
        id: id.to_owned(),
        ..Intent::default()
    }
}

fn outcome(id: &str) -> Outcome {
    let fate = FateLine {
        subject: "s".to_owned(),
        fate: "taken".to_owned(),
        code: Some(250),
        status: None,
    };
    Outcome {
        id: id.to_owned(),
        intent: Some(1),
        fates: vec![fate],
    }
}

fn day_file(directory: &std::path::Path) -> PathBuf {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .unwrap()
}

#[tokio::test]
async fn lines_form_one_chain_over_restarts() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let ledger = open(directory.path()).unwrap();
        ledger
            .intent(intent(&format!("a{round}")), true)
            .await
            .unwrap();
        ledger.outcome(outcome(&format!("a{round}"))).await.unwrap();
    }
    let summary = verify(directory.path()).unwrap();
    assert_eq!(
        (
            summary.lines,
            summary.intents,
            summary.outcomes,
            summary.gaps
        ),
        (9, 3, 3, 0)
    );
    let mut numbers = Vec::new();
    read(directory.path(), |line: Line, _| numbers.push(line.seq)).unwrap();
    assert_eq!(numbers, (1..=9).collect::<Vec<_>>());
}

#[tokio::test]
async fn many_at_once_are_all_written_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = std::sync::Arc::new(open(directory.path()).unwrap());
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let ledger = std::sync::Arc::clone(&ledger);
            tokio::spawn(async move {
                ledger
                    .intent(intent(&n.to_string()), n % 2 == 0)
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.push(task.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (2..=201).collect::<Vec<_>>());
    drop(ledger);
    assert_eq!(verify(directory.path()).unwrap().intents, 200);
}

#[tokio::test]
async fn a_second_writer_is_told_whose_directory_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path()).unwrap();
    let error = open(directory.path()).unwrap_err().to_string();
    assert!(error.contains(&std::process::id().to_string()), "{error}");
}

#[tokio::test]
async fn a_torn_last_line_is_cut_and_noted() {
    let directory = tempfile::tempdir().unwrap();
    {
        let ledger = open(directory.path()).unwrap();
        ledger.intent(intent("x"), true).await.unwrap();
    }
    let file = day_file(directory.path());
    let mut octets = std::fs::read(&file).unwrap();
    octets.extend_from_slice(b"{\"v\":1,\"node\":\"half a li");
    std::fs::write(&file, octets).unwrap();
    assert!(verify(directory.path()).is_err());
    drop(open(directory.path()).unwrap());
    let summary = verify(directory.path()).unwrap();
    assert_eq!((summary.intents, summary.gaps), (1, 1));
}

#[tokio::test]
async fn tampering_is_found() {
    let directory = tempfile::tempdir().unwrap();
    {
        let ledger = open(directory.path()).unwrap();
        for n in 0..4 {
            ledger
                .intent(intent(&format!("id{n}")), false)
                .await
                .unwrap();
        }
    }
    let file = day_file(directory.path());
    let whole = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let write = |lines: &[&str]| {
        std::fs::write(
            &file,
            lines
                .iter()
                .map(|line| format!("{line}\n"))
                .collect::<String>(),
        )
        .unwrap()
    };

    std::fs::write(&file, whole.replace("id2", "id9")).unwrap();
    assert!(matches!(
        verify(directory.path()),
        Err(VerifyError::Line {
            line: 4,
            broken: chain::Broken::Changed,
            ..
        })
    ));
    write(&[lines[0], lines[1], lines[3], lines[4]]);
    assert!(matches!(
        verify(directory.path()),
        Err(VerifyError::Unlinked { line: 3, .. })
    ));
    write(&[lines[0], lines[2], lines[1], lines[3], lines[4]]);
    assert!(matches!(
        verify(directory.path()),
        Err(VerifyError::Unlinked { .. })
    ));
    write(&lines);
    assert!(verify(directory.path()).is_ok());
}

#[tokio::test]
async fn a_line_that_cannot_be_written_is_an_error_then_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings {
        directory: directory.path().to_owned(),
        ..Settings::default()
    };
    let mut writer = Writer::open(&settings).unwrap();
    writer.write_now(Body::Start(Start::default())).unwrap();
    writer.fill_disk();
    let (requests, receiver) = mpsc::channel(8);
    let thread = std::thread::spawn(move || writer.run(receiver));
    let ask = |id: &str| {
        let (written, answer) = oneshot::channel();
        requests
            .try_send(Request {
                body: Body::Intent(Box::new(intent(id))),
                sync: true,
                written,
            })
            .unwrap();
        answer
    };
    assert!(ask("lost").await.unwrap().is_err());
    assert!(ask("after").await.unwrap().is_ok());
    drop(requests);
    thread.join().unwrap();
    let summary = verify(directory.path()).unwrap();
    assert_eq!((summary.intents, summary.gaps), (1, 1));
}
