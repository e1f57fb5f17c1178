//! What should come of a fault, as one rule: fault, step and place give each recipient's fate; fates and the client's
//! protocol give what the client is told, what the next hop has, what is owed, and what comes of it in the end.
//!
//! Written from the promises, never from the code that it is held against.

use crate::traffic::{ANNA, BEN, CLEO, DORA, FOUR, GRANTED, UNKNOWN};

/// What the listener, or the next hop, speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Speaks {
    Smtp,
    Lmtp,
}

pub(crate) const BOTH: [Speaks; 2] = [Speaks::Smtp, Speaks::Lmtp];

/// Which transaction with the next hop is ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// One variant: the client's own transaction, which carries it.
    Only,
    /// Two variants: the client's own transaction, which carries nothing.
    Own,
    /// The first of two variants.
    First,
    /// The second of two variants.
    Second,
}

impl Place {
    /// Who gets the message.
    pub(crate) fn recipients(self) -> &'static [&'static str] {
        match self {
            Self::Only => &GRANTED,
            Self::Own | Self::First | Self::Second => &FOUR,
        }
    }

    /// Who stands in the envelope of the ill transaction.
    pub(crate) fn group(self) -> &'static [&'static str] {
        match self {
            Self::Only | Self::First => &GRANTED,
            Self::Own => &FOUR,
            Self::Second => &UNKNOWN,
        }
    }

    /// Its number among those of this message.
    pub(crate) fn transaction(self) -> usize {
        match self {
            Self::Only | Self::Own => 1,
            Self::First => 2,
            Self::Second => 3,
        }
    }

    fn is_own(self) -> bool {
        matches!(self, Self::Only | Self::Own)
    }
}

/// Where the next hop is ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The greeting of a connection that replaces one found dead at MAIL.
    Greeting,
    /// EHLO or LHLO on such a connection.
    Hello,
    Mail,
    /// RCPT of the last forward-path of the transaction.
    Rcpt,
    /// RCPT of each of them; and DATA would be answered 354.
    Rcpts,
    Data,
    /// In the midst of a message that does not fit into the buffers of two sockets.
    Content,
    /// The reply to the dot; over LMTP the last of them.
    Dot,
}

/// What it does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Manner {
    /// `554`, about this mail.
    Refuse,
    /// `451`, about this mail.
    Defer,
    /// `530`, about us.
    Foreign,
    /// `421`, and the connection closed.
    Bye,
    /// The connection closed without a word.
    Close,
    /// The message taken, then closed without a word.
    TakeAndClose,
    /// Nothing at all, and the message taken in the end.
    Stall,
    /// A line that is no reply.
    Garbage,
    /// One line of a reply after the other, without end.
    Endless,
    /// One line over `reply_line_octets`.
    LongLine,
    /// A reply whose lines carry two codes.
    Disagree,
    /// The right reply and one more.
    OutOfTurn,
    /// `250` where 354 is due.
    WrongYes,
    /// The right reply in two lines.
    TwoLines,
    /// The right code and nothing behind it.
    CodeOnly,
    /// The right reply octet by octet.
    Drip,
    /// The right reply octet by octet, and so slowly that its end comes after the time-out.
    Trickle,
}

/// Everything that can be answered to any command.
pub(crate) const MANNERS: [Manner; 15] = [
    Manner::Refuse,
    Manner::Defer,
    Manner::Foreign,
    Manner::Bye,
    Manner::Close,
    Manner::Stall,
    Manner::Garbage,
    Manner::Endless,
    Manner::LongLine,
    Manner::Disagree,
    Manner::OutOfTurn,
    Manner::TwoLines,
    Manner::CodeOnly,
    Manner::Drip,
    Manner::Trickle,
];

pub(crate) const NO: &str = "554 5.7.1 no";
pub(crate) const LATER: &str = "451 4.3.0 later";
/// What a client is told where it is the way that failed.
pub(crate) const WAY: &str = "451 4.4.";
/// What it is told where a message may or may not have been taken.
pub(crate) const SILENT: &str = "451 4.4.2 ";

/// What a fault says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meaning {
    /// Nothing is wrong.
    Well,
    /// About this mail: passes word by word.
    Verdict(&'static str),
    /// About us: the way is at fault, never the mail. The connection lives.
    AboutUs,
    /// The connection is lost, and nobody has the message.
    Lost,
    /// The connection is lost, and nobody knows who has the message.
    Silence,
}

/// What a fault says at a step.
pub(crate) fn meaning(step: Step, manner: Manner, hop: Speaks) -> Meaning {
    use Manner as M;
    match (step, manner) {
        (_, M::TwoLines | M::CodeOnly | M::Drip) => Meaning::Well,
        // RFC 5321 3.2: HELO is tried then.
        (Step::Hello, M::Refuse | M::Foreign) if hop == Speaks::Smtp => Meaning::Well,
        (Step::Greeting | Step::Hello, _) => Meaning::Lost,
        (_, M::Refuse) => Meaning::Verdict(NO),
        (_, M::Defer) => Meaning::Verdict(LATER),
        (_, M::Foreign | M::WrongYes) => Meaning::AboutUs,
        (Step::Dot, M::Bye) => Meaning::AboutUs,
        // The message is taken; what follows concerns the next transaction, which goes over another connection.
        (Step::Dot, M::OutOfTurn) => Meaning::Well,
        (Step::Dot, _) => Meaning::Silence,
        (_, _) => Meaning::Lost,
    }
}

/// Whether the next hop takes the message although nobody hears of it.
fn takes_in_silence(manner: Manner) -> bool {
    matches!(
        manner,
        Manner::TakeAndClose
            | Manner::Stall
            | Manner::Trickle
            | Manner::LongLine
            | Manner::Disagree
    )
}

/// One cell of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) step: Step,
    pub(crate) manner: Manner,
    pub(crate) place: Place,
    pub(crate) client: Speaks,
    pub(crate) hop: Speaks,
}

/// Every cell with this next hop.
pub(crate) fn cells(hop: Speaks) -> Vec<Cell> {
    let all = MANNERS;
    let about_mail = [Manner::Refuse, Manner::Defer, Manner::Foreign];
    let in_content = [Manner::Close, Manner::Stall];
    let later = [Place::Only, Place::First, Place::Second];
    let every = [Place::Only, Place::Own, Place::First, Place::Second];
    let with = |manner: Manner| [all.as_slice(), &[manner]].concat();
    let steps: [(Step, Vec<Manner>, &[Place]); 8] = [
        (Step::Greeting, all.to_vec(), &later),
        (Step::Hello, all.to_vec(), &later),
        (Step::Mail, all.to_vec(), &every),
        (Step::Rcpt, all.to_vec(), &every),
        (Step::Rcpts, about_mail.to_vec(), &every),
        (Step::Data, with(Manner::WrongYes), &later),
        (Step::Content, in_content.to_vec(), &later),
        (Step::Dot, with(Manner::TakeAndClose), &later),
    ];
    let mut cells = Vec::new();
    for (step, manners, places) in steps {
        for manner in manners {
            for &place in places {
                for client in BOTH {
                    cells.push(Cell {
                        step,
                        manner,
                        place,
                        client,
                        hop,
                    });
                }
            }
        }
    }
    cells
}

/// What became of one recipient's copy in the transaction with the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    NotNow(&'static str),
    Refused(&'static str),
    /// Whether the next hop has it all the same.
    Unknown {
        taken: bool,
    },
}

impl Fate {
    fn of(meaning: Meaning, manner: Manner) -> Self {
        match meaning {
            Meaning::Well => Self::Taken,
            Meaning::Verdict(NO) => Self::Refused(NO),
            Meaning::Verdict(said) => Self::NotNow(said),
            Meaning::AboutUs | Meaning::Lost => Self::NotNow(WAY),
            Meaning::Silence => Self::Unknown {
                taken: takes_in_silence(manner),
            },
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Taken => "250",
            Self::NotNow(said) | Self::Refused(said) => said,
            Self::Unknown { .. } => SILENT,
        }
    }
}

/// A debt: to whom, what, the code of the last reply, whether a copy may exist already.
pub(crate) type Debt = (&'static str, &'static str, u16, bool);

/// What should come of a cell. Replies are how they begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) mail: &'static str,
    /// For each recipient.
    pub(crate) rcpts: Vec<&'static str>,
    /// One, or over LMTP one for each accepted recipient; none where nobody was accepted.
    pub(crate) dot: Vec<&'static str>,
    /// Copies for [`FOUR`] when the client has its answer.
    pub(crate) copies: [usize; 4],
    pub(crate) owed: Vec<Debt>,
    /// Copies when nothing is owed any more.
    pub(crate) later: [usize; 4],
    /// Whom the failed DSN names.
    pub(crate) failed: Vec<&'static str>,
}

/// What should come of it.
pub(crate) fn outcome(cell: Cell) -> Outcome {
    let everybody = cell.place.recipients();
    let meaning = meaning(cell.step, cell.manner, cell.hop);
    let mut outcome = Outcome {
        mail: "250",
        rcpts: vec!["250"; everybody.len()],
        dot: Vec::new(),
        copies: [0; 4],
        owed: Vec::new(),
        later: [0; 4],
        failed: Vec::new(),
    };
    let last = everybody.len() - 1;
    let told = Fate::of(meaning, cell.manner).told();
    let mut accepted = everybody.to_vec();
    // What the client hears before its dot: its own transaction, or a connection that failed before there was one.
    if cell.place.is_own() && meaning != Meaning::Well {
        let unasked = cell.manner == Manner::OutOfTurn;
        match cell.step {
            Step::Mail if unasked => {
                outcome.rcpts = vec![WAY; everybody.len()];
                return outcome;
            }
            Step::Greeting | Step::Hello | Step::Mail => {
                outcome.mail = told;
                outcome.rcpts.clear();
                return outcome;
            }
            Step::Rcpts => {
                outcome.rcpts = vec![told; everybody.len()];
                return outcome;
            }
            // Both were accepted by then; where the transaction goes on it is found out at DATA.
            Step::Rcpt if unasked => {}
            Step::Rcpt => {
                outcome.rcpts[last] = told;
                accepted.pop();
            }
            Step::Data | Step::Content | Step::Dot => {}
        }
    }
    let groups: Vec<Vec<&str>> = match cell.place {
        Place::Only => vec![accepted.clone()],
        _ => [GRANTED, UNKNOWN]
            .map(|group| {
                group
                    .into_iter()
                    .filter(|who| accepted.contains(who))
                    .collect()
            })
            .to_vec(),
    };
    let mut fates: Vec<(&'static str, Fate)> = Vec::new();
    for group in groups {
        let ill = group
            .first()
            .is_some_and(|who| cell.place.group().contains(who))
            && (cell.place != Place::Own);
        let (fresh, begun) = match ill {
            true => of_group(cell, meaning, &group),
            false => (vec![Fate::Taken; group.len()], true),
        };
        fates.extend(group.into_iter().zip(fresh));
        let taken = fates.iter().any(|(_, fate)| *fate == Fate::Taken);
        let refused = |(_, fate): &(&str, Fate)| matches!(fate, Fate::Refused(_));
        // Over SMTP the client keeps all of it as long as nothing was taken, unless these were refused by name before
        // anything was begun: that says nothing about the others.
        if cell.client == Speaks::Smtp && !taken && (begun || !fates.iter().all(refused)) {
            break;
        }
    }
    settle(cell.client, &accepted, &fates, outcome)
}

/// The fates of the ill group, and whether its DATA was said.
fn of_group(cell: Cell, meaning: Meaning, group: &[&'static str]) -> (Vec<Fate>, bool) {
    let all = vec![Fate::of(meaning, cell.manner); group.len()];
    let mut last = vec![Fate::Taken; group.len()];
    if let (Some(end), Some(fate)) = (last.last_mut(), all.first()) {
        *end = *fate;
    }
    match cell.step {
        Step::Greeting | Step::Hello | Step::Mail | Step::Rcpts => (all, false),
        // In the client's own transaction the last one is out of it already.
        Step::Rcpt if cell.place == Place::Only && cell.manner != Manner::OutOfTurn => {
            (vec![Fate::Taken; group.len()], true)
        }
        Step::Rcpt if meaning == Meaning::Lost => (all, true),
        Step::Rcpt => (last, true),
        Step::Data | Step::Content => (all, true),
        Step::Dot if cell.hop == Speaks::Lmtp => (last, true),
        Step::Dot => (all, true),
    }
}

/// What fates lead to.
fn settle(
    client: Speaks,
    accepted: &[&'static str],
    fates: &[(&'static str, Fate)],
    mut outcome: Outcome,
) -> Outcome {
    let of = |who: &str| {
        fates
            .iter()
            .find(|(other, _)| *other == who)
            .map(|(_, f)| *f)
    };
    let any_taken = fates.iter().any(|(_, fate)| *fate == Fate::Taken);
    for (slot, who) in outcome.copies.iter_mut().zip(FOUR) {
        let has = matches!(of(who), Some(Fate::Taken | Fate::Unknown { taken: true }));
        *slot = usize::from(has);
    }
    outcome.later = outcome.copies;
    if client == Speaks::Lmtp {
        let told = |who: &&str| of(who).map_or("", Fate::told);
        outcome.dot = accepted.iter().map(told).collect();
        return outcome;
    }
    if !any_taken {
        let said = accepted.iter().filter_map(|who| of(who));
        let is_refusal = |fate: &Fate| matches!(fate, Fate::Refused(_));
        let mildest = said.clone().find(|fate| !is_refusal(fate));
        outcome.dot = vec![mildest.or(said.clone().next()).map_or("", Fate::told)];
        return outcome;
    }
    outcome.dot = vec!["250"];
    for (at, who) in FOUR.into_iter().enumerate() {
        let debt = match of(who) {
            None | Some(Fate::Taken) => continue,
            Some(Fate::NotNow(_)) => (who, "delivery", 451, false),
            Some(Fate::Unknown { .. }) => (who, "delivery", 451, true),
            Some(Fate::Refused(_)) => (who, "failed_dsn", 554, false),
        };
        match debt.1 {
            "delivery" => outcome.later[at] += 1,
            _ => outcome.failed.push(who),
        }
        outcome.owed.push(debt);
    }
    outcome
}

/// The first letter of each of [`FOUR`].
fn initial(who: &str) -> &'static str {
    match who {
        ANNA => "A",
        BEN => "B",
        CLEO => "C",
        DORA => "D",
        _ => "?",
    }
}

/// The published rows: every meaning at every step and place, for both clients; where the next hop's protocol makes a
/// difference it is named.
pub(crate) fn published() -> String {
    let mut rows: Vec<(String, [String; 2])> = Vec::new();
    for (index, hop) in BOTH.into_iter().enumerate() {
        for cell in cells(hop) {
            let meaning = meaning(cell.step, cell.manner, hop);
            let what = match (meaning, cell.manner) {
                (Meaning::Well, _) => continue,
                (_, Manner::OutOfTurn) => "one reply too many".to_owned(),
                (Meaning::Silence, manner) if takes_in_silence(manner) => {
                    "silence, message taken".to_owned()
                }
                (Meaning::Silence, _) => "silence, message not taken".to_owned(),
                (Meaning::Verdict(said), _) => format!("`{}`", &said[..3]),
                (Meaning::AboutUs, _) => "about us".to_owned(),
                (Meaning::Lost, _) => "lost".to_owned(),
            };
            let key = format!(
                "{:?} | {:?} | {what} | {:?}",
                cell.step, cell.place, cell.client
            );
            let shown = show(&outcome(cell));
            match rows.iter_mut().find(|(known, _)| *known == key) {
                Some((_, by_hop)) if by_hop[index].is_empty() => by_hop[index] = shown,
                Some((_, by_hop)) => {
                    assert_eq!(by_hop[index], shown, "{key}: one row, two outcomes")
                }
                None => {
                    let mut by_hop = [String::new(), String::new()];
                    by_hop[index] = shown;
                    rows.push((key, by_hop));
                }
            }
        }
    }
    let mut text = String::from(
        "| step | place | what | client | next hop | told | copies | owed | in the end | failed DSN |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (key, [smtp, lmtp]) in rows {
        let lines = match (smtp == lmtp, smtp.is_empty(), lmtp.is_empty()) {
            (true, ..) => vec![("both", smtp)],
            (false, false, false) => vec![("Smtp", smtp), ("Lmtp", lmtp)],
            (false, true, _) => vec![("Lmtp", lmtp)],
            (false, _, true) => vec![("Smtp", smtp)],
        };
        for (hop, shown) in lines {
            text.push_str(&format!("| {key} | {hop} | {shown} |\n"));
        }
    }
    text
}

fn show(outcome: &Outcome) -> String {
    let short = |said: &&str| match said.len() {
        0 => "-".to_owned(),
        3 => (*said).to_owned(),
        _ => said.split(' ').take(2).collect::<Vec<_>>().join(" "),
    };
    let told = match (outcome.mail, outcome.dot.is_empty()) {
        ("250", true) => format!("RCPT {}", short(&outcome.rcpts[0])),
        ("250", false) => {
            let refused = outcome.rcpts.iter().find(|said| **said != "250");
            let before = refused.map_or(String::new(), |said| {
                format!("RCPT D {}, then ", short(said))
            });
            let dot: Vec<String> = outcome.dot.iter().map(short).collect();
            let same = dot.windows(2).all(|pair| pair[0] == pair[1]);
            let shown = if same { dot[0].clone() } else { dot.join(", ") };
            format!("{before}{shown}")
        }
        (mail, _) => format!("MAIL {}", short(&mail)),
    };
    let copies = |copies: [usize; 4]| {
        let named = copies.into_iter().zip(FOUR).filter(|(count, _)| *count > 0);
        let shown: Vec<String> = named
            .map(|(count, who)| match count {
                1 => initial(who).to_owned(),
                count => format!("{}x{count}", initial(who)),
            })
            .collect();
        if shown.is_empty() {
            "-".to_owned()
        } else {
            shown.join(" ")
        }
    };
    let owed: Vec<String> = outcome
        .owed
        .iter()
        .map(|(who, owes, _, twice)| match (*owes, twice) {
            ("delivery", true) => format!("{} (perhaps twice)", initial(who)),
            ("delivery", false) => initial(who).to_owned(),
            _ => format!("{} a DSN", initial(who)),
        })
        .collect();
    let failed: Vec<&str> = outcome.failed.iter().map(|who| initial(who)).collect();
    let or_none = |text: String| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text
        }
    };
    format!(
        "{told} | {} | {} | {} | {}",
        copies(outcome.copies),
        or_none(owed.join(", ")),
        copies(outcome.later),
        or_none(failed.join(" "))
    )
}
