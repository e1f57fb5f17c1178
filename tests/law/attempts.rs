//! S12, S13, S15: one message at several moments, for several people, and when the register does not answer.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::fixture::{send, without_received};
use crate::ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use crate::letters::{OPEN, issue, without};
use crate::press::{NADIA, OTTO, PRESS, Press, grant, own, same, stream};
use crate::support::{PATIENCE, free_port};
use crate::traffic::Submission;

const A: &str = "campaign_performance";
const HOST: &str = "open.press.example";

fn marketing() -> String {
    stream("marketing", &own(&[A]))
}

/// The next hop puts one copy off; the person takes the consent back before it is tried again (D13).
#[test]
fn s12_a_withdrawal_between_451_and_the_retry_strips_the_retry() {
    let put_off = Rule::on(Verb::Dot, [Act::say("451 4.3.0 later")])
        .containing("secretova")
        .times(1);
    let hop = IllMannered::start(Script::smtp().rule(put_off));
    // A door of its own, which is the same after the restart: what is owed is decided by the listener it came by.
    let door = free_port();
    let tail = format!("[[listener]]\naddress = \"{door}\"\n{}", marketing());
    let mut press = Press::start_before(&hop, &tail);
    press.import(&[grant(NADIA, &[A])]);
    let told = Submission::new(&[OTTO, NADIA], issue()).send(door);
    assert!(told.last().starts_with("250 "), "{}", told.last());
    let taken = hop.taken();
    assert_eq!(taken.len(), 1, "his copy; hers is owed");
    same(
        without_received(&taken[0].octets),
        &without(&issue(), &[OPEN]),
    );

    press.set(NADIA, "withdrawn");
    // Due at the start: a wait that this relay would not have chosen is over.
    press.start_again(|config| {
        config.spool = ["retry_first_seconds = 1", "retry_most_seconds = 1"]
            .map(str::to_owned)
            .to_vec();
    });
    let until = Instant::now() + PATIENCE;
    while hop.taken().len() < 2 {
        assert!(Instant::now() < until, "{}", press.served.log());
        sleep(Duration::from_millis(20));
    }
    let retried = hop.taken().pop().unwrap();
    same(
        without_received(&retried.octets),
        &without(&issue(), &[OPEN]),
    );
    let intents = press.lines("intent");
    assert_eq!(intents.len(), 2, "one for each attempt");
    assert_eq!(intents[0]["id"], intents[1]["id"]);
    let verdicts = intents
        .iter()
        .map(|intent| press.verdict(intent, PRESS, NADIA, HOST));
    assert_eq!(
        verdicts.collect::<Vec<_>>(),
        ["kept consent strictest", "stripped withdrawn strictest"]
    );
    assert_eq!(
        press.rests_on(&intents[0], NADIA, HOST),
        press.records(NADIA, "granted")
    );
    assert_eq!(
        press.rests_on(&intents[1], NADIA, HOST),
        press.records(NADIA, "withdrawn")
    );
    press.finish();
}

/// Her consent is not his, and he stands in no header field (D24).
#[test]
fn s13_one_consented_and_one_did_not_each_their_own_copy_or_one_stripped_for_both() {
    let mut press = Press::start(&marketing());
    press.import(&[grant(NADIA, &[A])]);
    let stripped = without(&issue(), &[OPEN]);
    let told = press.deliver(&[NADIA, OTTO], &issue());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    assert_eq!(told.copies.len(), 2);
    same(told.copy_to(NADIA).without_received(), &issue());
    same(told.copy_to(OTTO).without_received(), &stripped);
    for copy in &told.copies {
        let text = copy.message.escape_ascii().to_string();
        assert!(!text.contains("hiddenson"), "nobody learns of him: {text}");
    }
    let verdict =
        |press: &Press, told: &crate::press::Told, to| press.verdict(&told.intent, PRESS, to, HOST);
    assert_eq!(verdict(&press, &told, NADIA), "kept consent strictest");
    assert_eq!(
        verdict(&press, &told, OTTO),
        "stripped no_consent strictest"
    );

    press.start_again(|config| {
        config.tail = format!("[relay]\nmixed_consent = \"strictest\"\n{}", config.tail);
    });
    let told = press.deliver(&[NADIA, OTTO], &issue());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    assert_eq!(told.copies.len(), 1, "one body for both");
    assert_eq!(told.copies[0].to, [NADIA, OTTO]);
    same(told.copies[0].without_received(), &stripped);
    assert_eq!(
        verdict(&press, &told, NADIA),
        "stripped strictest_recipient strictest"
    );
    assert_eq!(
        verdict(&press, &told, OTTO),
        "stripped no_consent strictest"
    );
    press.finish();
}

/// The register is there and says nothing in time (D16): delivered, nothing kept; and it heals by itself.
#[test]
fn s15_a_register_that_times_out_strips_what_was_granted() {
    let press = Press::start(&marketing());
    press.import(&[grant(NADIA, &[A])]);
    assert_eq!(
        press.gets(NADIA, &issue(), &issue(), HOST),
        "kept consent strictest"
    );
    // A copy outside WAL mode, where one who writes keeps readers out.
    let copy = press.place("copy.db");
    let database = Connection::open(press.place("consent.db")).unwrap();
    database
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    drop(database);
    let holder = Connection::open(&copy).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let files: Vec<_> = ["consent.db", "consent.db-wal", "consent.db-shm"]
        .iter()
        .map(|name| (press.place(name), press.place(&format!("aside-{name}"))))
        .filter(|(here, there)| fs::rename(here, there).is_ok())
        .collect();
    fs::rename(&copy, press.place("consent.db")).unwrap();

    let began = Instant::now();
    let told = press.deliver(&[NADIA], &issue());
    assert!(told.reply.starts_with("250 "), "{}", told.reply);
    assert!(began.elapsed() < Duration::from_secs(10), "bounded");
    same(
        told.copy_to(NADIA).without_received(),
        &without(&issue(), &[OPEN]),
    );
    let decision = &told.intent["groups"][0]["decisions"][0];
    assert_eq!(
        (&decision["action"], &decision["reason"]),
        (&"stripped".into(), &"store_unavailable".into())
    );
    assert!(told.intent.get("looked_up_at").is_none());

    holder.execute_batch("ROLLBACK").unwrap();
    drop(holder);
    fs::remove_file(press.place("consent.db")).unwrap();
    for (here, there) in files {
        fs::rename(there, here).unwrap();
    }
    assert_eq!(
        press.gets(NADIA, &issue(), &issue(), HOST),
        "kept consent strictest"
    );
    press.finish();
}

/// Sent twice it is two messages with two decisions, and one command tells why.
#[test]
fn d21_every_message_has_its_lines_and_one_command_says_why() {
    let press = Press::start(&marketing());
    press.import(&[grant(NADIA, &[A])]);
    for _ in 0..2 {
        let reply = send(
            &press.served,
            "<letter@press.example>",
            &[NADIA, OTTO],
            &issue(),
        );
        assert!(reply.starts_with("250 "), "{reply}");
    }
    let (intents, outcomes) = (press.lines("intent"), press.lines("outcome"));
    assert_eq!((intents.len(), outcomes.len()), (2, 2));
    assert_ne!(intents[0]["id"], intents[1]["id"]);
    for (intent, outcome) in intents.iter().zip(&outcomes) {
        assert_eq!(intent["id"], outcome["id"]);
        assert_eq!(intent["message_id_hash"], intents[0]["message_id_hash"]);
        let finding = &intent["findings"][0];
        for field in ["part", "host", "url_hash", "evidence", "purposes"] {
            assert!(!finding[field].is_null(), "{field}: {finding}");
        }
        assert_eq!(outcome["answered"], 250);
        assert_eq!(outcome["fates"][0]["fate"], "taken", "{outcome}");
    }
    let why = press.said(&["why", "--to", NADIA]);
    let grants = press.records(NADIA, "granted");
    assert!(why.contains(&grants[0]) && why.contains("consent"), "{why}");
    let his = press.history(PRESS, OTTO)["subject"].clone();
    for secret in ["hiddenson", his.as_str().unwrap(), "9f2c41d07a"] {
        assert!(!why.contains(secret), "{secret}: {why}");
    }
    let why = press.said(&["why", "--to", OTTO]);
    assert!(why.contains("no_consent"), "{why}");
    assert!(!why.contains(&grants[0]), "{why}");
    press.finish();
}
