use super::*;
use crate::smtp::replies::Offers;
use proptest::prelude::*;

fn bounds(protocol: Protocol) -> Bounds {
    Bounds {
        protocol,
        recipients: 3,
        bad_commands: 5,
        idle_commands: 50,
    }
}

fn smtp() -> Dialog {
    offered(bounds(Protocol::Smtp), ALL)
}

const ALL: Offers = Offers {
    starttls: true,
    auth: true,
    requiretls: true,
    xforward: true,
    xclient: true,
};

fn offered(bounds: Bounds, offers: Offers) -> Dialog {
    let mut dialog = Dialog::new(bounds);
    dialog.allow(Leave {
        offers,
        ..Leave::default()
    });
    dialog
}

fn step(dialog: &mut Dialog, line: &str) -> Step {
    dialog.step(Command::parse(line.as_bytes()))
}

fn code(dialog: &mut Dialog, line: &str) -> u16 {
    match step(dialog, line) {
        Step::Say(reply) => reply.code(),
        other => panic!("{line}: {other:?}"),
    }
}

fn ok() -> Reply {
    replies::ok()
}

fn no() -> Reply {
    Reply::new(550, ["5.1.1 no"])
}

/// A dialog in which MAIL was accepted, and so many RCPTs.
fn at(accepted: usize) -> Dialog {
    let mut dialog = smtp();
    step(&mut dialog, "EHLO client.example");
    assert!(matches!(step(&mut dialog, "MAIL FROM:<>"), Step::Mail(_)));
    dialog.mail_accepted(false);
    for _ in 0..accepted {
        assert!(matches!(
            step(&mut dialog, "RCPT TO:<a@b.example>"),
            Step::Rcpt(_)
        ));
        dialog.rcpts_answered(&[ok()]);
    }
    dialog
}

#[test]
fn nothing_before_the_hello_but_what_is_harmless() {
    let mut dialog = smtp();
    for line in [
        "MAIL FROM:<>",
        "RCPT TO:<a@b.example>",
        "DATA",
        "XFORWARD NAME=a",
    ] {
        assert_eq!(code(&mut dialog, line), 503, "{line}");
    }
    assert_eq!(code(&mut dialog, "NOOP"), 250);
    assert_eq!(code(&mut dialog, "VRFY x"), 252);
    assert_eq!(code(&mut dialog, "HELP"), 214);
    assert_eq!(step(&mut dialog, "RSET"), Step::Reset);
    assert!(matches!(step(&mut dialog, "QUIT"), Step::Close(reply) if reply.code() == 221));
}

#[test]
fn each_protocol_has_its_own_hello() {
    let mut dialog = smtp();
    assert_eq!(code(&mut dialog, "LHLO x"), 500);
    assert_eq!(code(&mut dialog, "MAIL FROM:<>"), 503);
    assert_eq!(step(&mut dialog, "HELO x"), Step::Hello { extended: false });
    assert!(matches!(step(&mut dialog, "MAIL FROM:<>"), Step::Mail(_)));
    let mut dialog = Dialog::new(bounds(Protocol::Lmtp));
    assert_eq!(code(&mut dialog, "EHLO x"), 500);
    assert_eq!(code(&mut dialog, "HELO x"), 500);
    assert_eq!(step(&mut dialog, "LHLO x"), Step::Hello { extended: true });
}

#[test]
fn a_transaction_in_order() {
    let mut dialog = at(0);
    assert_eq!(code(&mut dialog, "MAIL FROM:<>"), 503);
    assert_eq!(code(&mut dialog, "XFORWARD NAME=a"), 503);
    assert_eq!(code(&mut dialog, "DATA"), 554);
    assert!(matches!(
        step(&mut dialog, "RCPT TO:<a@b.example>"),
        Step::Rcpt(_)
    ));
    dialog.rcpts_answered(&[no()]);
    assert_eq!(code(&mut dialog, "DATA"), 554);
    dialog.rcpts_answered(&[no(), ok(), no()]);
    assert_eq!(dialog.accepted(), 1);
    assert_eq!(code(&mut dialog, "MAIL FROM:<>"), 503);
    assert_eq!(step(&mut dialog, "DATA"), Step::Data);
    dialog.message_answered();
    assert_eq!(dialog.accepted(), 0);
    assert_eq!(code(&mut dialog, "RCPT TO:<a@b.example>"), 503);
    assert_eq!(code(&mut dialog, "DATA"), 503);
    assert!(matches!(
        step(&mut dialog, "XFORWARD NAME=a"),
        Step::Xforward(_)
    ));
    assert!(matches!(step(&mut dialog, "MAIL FROM:<>"), Step::Mail(_)));
}

#[test]
fn a_refused_mail_opens_nothing() {
    let mut dialog = smtp();
    step(&mut dialog, "EHLO x");
    assert!(matches!(step(&mut dialog, "MAIL FROM:<>"), Step::Mail(_)));
    assert_eq!(code(&mut dialog, "RCPT TO:<a@b.example>"), 503);
    assert!(matches!(step(&mut dialog, "MAIL FROM:<>"), Step::Mail(_)));
}

#[test]
fn rset_and_hello_end_a_transaction() {
    for (line, expected) in [
        ("RSET", Step::Reset),
        ("EHLO again", Step::Hello { extended: true }),
        ("HELO again", Step::Hello { extended: false }),
    ] {
        for accepted in 0..3 {
            let mut dialog = at(accepted);
            assert_eq!(step(&mut dialog, line), expected);
            assert_eq!(code(&mut dialog, "DATA"), 503);
            assert!(matches!(step(&mut dialog, "MAIL FROM:<>"), Step::Mail(_)));
        }
    }
}

#[test]
fn recipients_are_bounded_and_the_limit_is_named() {
    let mut dialog = at(3);
    assert_eq!(dialog.room(), 0);
    let Step::Say(reply) = step(&mut dialog, "RCPT TO:<a@b.example>") else {
        panic!("asked for one too many");
    };
    assert_eq!(
        reply.to_wire(),
        "452 4.5.3 Too many recipients (recipients = 3)\r\n"
    );
    assert_eq!(step(&mut dialog, "DATA"), Step::Data);
}

#[test]
fn size_is_held_against_what_was_announced() {
    let mut dialog = smtp();
    step(&mut dialog, "EHLO x");
    dialog.announced(Some(1000));
    assert_eq!(code(&mut dialog, "MAIL FROM:<> SIZE=1001"), 552);
    assert!(matches!(
        step(&mut dialog, "MAIL FROM:<> SIZE=1000"),
        Step::Mail(_)
    ));
    dialog.announced(None);
    assert!(matches!(
        step(&mut dialog, "MAIL FROM:<> SIZE=9999"),
        Step::Mail(_)
    ));
}

#[test]
fn international_forward_paths_need_smtputf8_in_mail() {
    let path = "RCPT TO:<\u{fc}@b.example>";
    let parameter = "RCPT TO:<a@b.example> ORCPT=utf-8;\u{fc}@b.example";
    for line in [path, parameter] {
        let mut dialog = at(0);
        assert_eq!(code(&mut dialog, line), 553);
        step(&mut dialog, "RSET");
        dialog.mail_accepted(true);
        assert!(matches!(step(&mut dialog, line), Step::Rcpt(_)));
    }
}

#[test]
fn what_is_not_offered_is_refused_and_content_never_becomes_commands() {
    let mut dialog = Dialog::new(bounds(Protocol::Smtp));
    step(&mut dialog, "EHLO x");
    for (line, expected) in [
        ("STARTTLS", 502),
        ("AUTH PLAIN AA==", 503),
        ("XCLIENT NAME=x", 550),
        ("EXPN x", 502),
        ("XFORWARD NAME=x", 550),
    ] {
        assert_eq!(code(&mut dialog, line), expected, "{line}");
    }
    for line in [
        "BDAT",
        "BDAT x",
        "BDAT -1",
        "BDAT 5 LAST x",
        "BDAT 5 MORE",
        "BDAT 99999999999999999999",
    ] {
        let step = step(&mut dialog, line);
        assert!(
            matches!(step, Step::Close(reply) if reply.code() == 501),
            "{line}"
        );
    }
    assert!(
        matches!(step(&mut dialog, "GET / HTTP/1.0"), Step::Close(reply) if reply.code() == 500)
    );
}

#[test]
fn patience_ends_and_a_message_restores_it() {
    let mut dialog = at(1);
    for _ in 0..5 {
        assert_eq!(code(&mut dialog, "WHAT"), 500);
    }
    dialog.message_answered();
    for line in [
        "WHAT",
        "MAIL FROM:a",
        "RCPT TO:<a@b.example>",
        "AUTH",
        "DATA",
    ] {
        code(&mut dialog, line);
    }
    assert!(
        matches!(step(&mut dialog, "WHAT"), Step::Close(reply) if reply.text().contains("bad_commands = 5"))
    );
    let mut dialog = smtp();
    for _ in 0..50 {
        assert_eq!(code(&mut dialog, "NOOP"), 250);
    }
    assert!(
        matches!(step(&mut dialog, "NOOP"), Step::Close(reply) if reply.text().contains("idle_commands = 50"))
    );
    let mut dialog = at(0);
    dialog.rcpts_answered(&vec![no(); 60]);
    assert!(matches!(step(&mut dialog, "NOOP"), Step::Close(_)));
}

#[derive(Debug, Clone)]
enum Event {
    Line(&'static str),
    Accept,
    Refuse,
}

fn event() -> impl Strategy<Value = Event> {
    let lines = proptest::sample::select(vec![
        "EHLO x",
        "HELO x",
        "LHLO x",
        "MAIL FROM:<a@b.example>",
        "RCPT TO:<a@b.example>",
        "DATA",
        "RSET",
        "NOOP",
        "XFORWARD NAME=a",
        "STARTTLS",
        "AUTH PLAIN",
        "BDAT 7",
        "BDAT 7 LAST",
        "XCLIENT ADDR=192.0.2.1",
        "QUIT",
        "VRFY a",
        "nonsense",
        "MAIL FROM:",
    ]);
    prop_oneof![6 => lines.prop_map(Event::Line), 2 => Just(Event::Accept), 1 => Just(Event::Refuse)]
}

proptest! {
    /// Against the plainest account of RFC 5321 4.1.4: four facts, no states.
    #[test]
    fn never_out_of_order(events in proptest::collection::vec(event(), 0..60), lmtp in any::<bool>()) {
        let protocol = if lmtp { Protocol::Lmtp } else { Protocol::Smtp };
        let mut dialog = offered(Bounds { bad_commands: 1000, idle_commands: 1000, ..bounds(protocol) }, ALL);
        let (mut greeted, mut open, mut accepted) = (false, false, 0);
        let mut chunks = false;
        let mut asked = None;
        for event in events {
            let done = matches!(event, Event::Accept);
            match (event, asked.take()) {
                (Event::Line(line), _) => {
                    let step = step(&mut dialog, line);
                    match &step {
                        Step::Mail(_) | Step::Xforward(_) | Step::Auth(_) => prop_assert!(greeted && !open),
                        Step::Rcpt(_) => prop_assert!(open && accepted < 3 && !chunks),
                        Step::Hello { .. } => {
                            greeted = true;
                            (open, accepted, chunks) = (false, 0, false);
                        }
                        Step::Reset => (open, accepted, chunks) = (false, 0, false),
                        Step::Data => {
                            prop_assert!(open && accepted > 0 && !chunks);
                            dialog.message_answered();
                            (open, accepted) = (false, 0);
                        }
                        Step::Chunk { last, .. } => {
                            prop_assert!(open && accepted > 0);
                            chunks = !last;
                            if *last {
                                dialog.message_answered();
                                (open, accepted) = (false, 0);
                            } else {
                                dialog.chunk_read();
                            }
                        }
                        Step::Swallow { octets, reply } => {
                            prop_assert!(accepted == 0);
                            prop_assert!(*octets == 7 && reply.code() >= 400);
                        }
                        Step::Starttls | Step::Xclient(_) => {
                            prop_assert!(!open);
                            dialog.restarted();
                            greeted = false;
                        }
                        Step::Close(_) => return Ok(()),
                        Step::Say(reply) => {
                            prop_assert!(line != "DATA" || accepted == 0 || chunks);
                            prop_assert!(!line.starts_with("BDAT"));
                            prop_assert!(!line.starts_with("MAIL FROM:<") || !greeted || open);
                            prop_assert!(!line.starts_with("RCPT") || !open || accepted == 3 || chunks);
                            prop_assert!(reply.code() < 300 || reply.code() >= 400);
                        }
                    }
                    asked = Some(step);
                }
                (Event::Accept, Some(Step::Mail(_))) => {
                    dialog.mail_accepted(false);
                    open = true;
                }
                (Event::Accept | Event::Refuse, Some(Step::Rcpt(_))) => {
                    dialog.rcpts_answered(&[if done { ok() } else { no() }]);
                    accepted += usize::from(done);
                }
                (Event::Accept | Event::Refuse, _) => {}
            }
            prop_assert_eq!(dialog.accepted(), accepted);
            prop_assert_eq!(dialog.hello_said().is_some(), greeted);
        }
    }
}
