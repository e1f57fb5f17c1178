//! What other messages say of this one's loads: asked once, then fixed; and what this one teaches.
//!
//! A message is judged once: its variants are examined again, and what is owed of it is tried again, by the same answers, whatever has
//! been learned since. The answers are kept by hashes that need no key and go into the spool beside the message. It must never know
//! a verdict. What was not asked in time is unknown, which acquits nobody.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use ring::digest::{Context, SHA256};

use super::grounds::Grounds;
use super::{Answer, Journey, Relay};
use crate::learn::{self, Learning, Observation, SlotName};
use crate::next_hop::Fate;
use crate::pixel::{Learned, Memory, Slot};
use crate::smtp::reply::Reply;
use crate::spool::{Learned as Kept, Says};

/// Loads of one message about which the others are asked; of more nothing is known.
const QUESTIONS_MAX: usize = 4_096;

/// What was answered for one message. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Answers(Arc<Mutex<Given>>);

#[derive(Debug, Default)]
struct Given {
    by_load: HashMap<u64, Learned>,
    closed: bool,
}

impl Answers {
    /// Those that an earlier attempt was judged by.
    pub fn fixed(kept: &[Kept]) -> Self {
        let by_load = kept.iter().map(|kept| {
            let learned = match kept.says {
                Says::Shared => Learned::Shared,
                Says::Individual(recipients) => Learned::Individual { recipients },
            };
            (kept.load, learned)
        });
        Self(Arc::new(Mutex::new(Given {
            by_load: by_load.collect(),
            closed: true,
        })))
    }

    /// What is to be kept for further attempts, in order of the loads' hashes. Where nothing was known nothing is.
    pub fn given(&self) -> Vec<Kept> {
        let given = self.lock();
        let each = given.by_load.iter();
        let mut kept: Vec<Kept> = each
            .filter_map(|(load, learned)| {
                let says = match learned {
                    Learned::Nothing => return None,
                    Learned::Shared => Says::Shared,
                    Learned::Individual { recipients } => Says::Individual(*recipients),
                };
                Some(Kept { load: *load, says })
            })
            .collect();
        kept.sort_unstable_by_key(|kept| kept.load);
        kept
    }

    fn lock(&self) -> MutexGuard<'_, Given> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer that stands, or a new one as long as questions are asked.
    fn answer(&self, load: u64, ask: impl FnOnce() -> Learned) -> Learned {
        let mut given = self.lock();
        if let Some(known) = given.by_load.get(&load) {
            return *known;
        }
        if given.closed || given.by_load.len() >= QUESTIONS_MAX {
            return Learned::Nothing;
        }
        let learned = ask();
        given.by_load.insert(load, learned);
        learned
    }
}

type Asks = dyn Fn(&Slot, &str) -> Learned + Send + Sync;

/// The memory of other messages, as one message may ask it.
#[derive(Clone)]
pub struct Recall {
    answers: Answers,
    asks: Arc<Asks>,
}

impl fmt::Debug for Recall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Recall")
            .field(&self.answers)
            .finish()
    }
}

impl Recall {
    /// Of a message of this controller and stream.
    pub fn new(
        learning: &Arc<Learning>,
        (controller, stream): (&str, &str),
        answers: &Answers,
    ) -> Self {
        let (learning, fixed) = (Arc::clone(learning), answers.clone());
        let (controller, stream) = (controller.to_owned(), stream.to_owned());
        let today = day(Timestamp::now());
        let asks = move |slot: &Slot, url: &str| {
            fixed.answer(load(slot, url), || {
                let name = SlotName {
                    controller: &controller,
                    stream: &stream,
                    host: &slot.host,
                    shape: &slot.shape,
                    kind: slot.vector.as_str(),
                };
                match learning.ask(&name, url, today) {
                    learn::Answer::Nothing => Learned::Nothing,
                    learn::Answer::Shared => Learned::Shared,
                    learn::Answer::Individual { recipients } => Learned::Individual { recipients },
                }
            })
        };
        Self {
            answers: answers.clone(),
            asks: Arc::new(asks),
        }
    }

    /// Without anybody to ask: what was answered before, where it was.
    pub fn of(answers: &Answers) -> Self {
        let fixed = answers.clone();
        Self {
            answers: answers.clone(),
            asks: Arc::new(move |slot, url| fixed.answer(load(slot, url), || Learned::Nothing)),
        }
    }

    /// From here on nothing new is asked.
    pub(super) fn close(&self) {
        self.answers.lock().closed = true;
    }

    pub(super) fn memory(&self) -> &Memory<'_> {
        &*self.asks
    }
}

/// A load by what it is, without a key: the hash stands beside the message itself.
fn load(slot: &Slot, url: &str) -> u64 {
    let mut context = Context::new(&SHA256);
    for piece in [&slot.host, &slot.shape, slot.vector.as_str(), url] {
        context.update(&(piece.len() as u64).to_be_bytes());
        context.update(piece.as_bytes());
    }
    let digest = context.finish();
    let octets = digest.as_ref().iter().take(8);
    octets.fold(0, |hash, octet| hash << 8 | u64::from(*octet))
}

/// Days since 1970, UTC.
pub fn day(now: Timestamp) -> u32 {
    u32::try_from(now.as_second() / 86_400).unwrap_or(0)
}

/// The forward-paths that got a copy or are owed one.
pub(super) fn got<'j>(
    journey: &'j Journey,
    aside: &BTreeMap<usize, Reply>,
    fates: &[Option<Fate>],
    answer: &Answer,
) -> Vec<&'j str> {
    let each = journey.rcpts.iter().enumerate();
    let got = each.filter(|(index, _)| {
        let accepted = match answer {
            Answer::One(reply) => reply.is_done(),
            Answer::Each(replies) => replies.get(*index).is_some_and(Reply::is_done),
        };
        match fates.get(*index).and_then(Option::as_ref) {
            _ if aside.contains_key(index) => false,
            Some(Fate::Taken(_)) => true,
            Some(Fate::Refused(_)) => false,
            Some(Fate::NotNow(_) | Fate::Down(_) | Fate::Unknown(_)) | None => accepted,
        }
    });
    got.map(|(_, rcpt)| rcpt.forward_path.as_str()).collect()
}

impl Relay {
    /// Learns from a fresh message that somebody got.
    pub(super) fn learn_from(&self, grounds: &Grounds<'_>, forward_paths: Vec<&str>) {
        let seen = &grounds.survey.seen;
        let Some(learning) = &self.examiner.learning else {
            return;
        };
        if seen.is_empty() || forward_paths.is_empty() {
            return;
        }
        let observation = Observation {
            controller: &grounds.assignment.controller,
            stream: &grounds.assignment.stream.name,
            forward_paths,
        };
        let loads = seen.iter().map(|(slot, url)| {
            let kind = slot.vector.as_str();
            (slot.host.as_str(), slot.shape.as_str(), kind, url.as_str())
        });
        learning.observe(&observation, loads, day(Timestamp::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixel::Vector;

    const URL: &str = "https://o.shop.example/v/1.gif";

    fn slot(host: &str) -> Slot {
        Slot {
            host: host.to_owned(),
            shape: "/v/0.gif".to_owned(),
            vector: Vector::Img,
        }
    }

    fn table() -> Arc<Learning> {
        Arc::new(Learning::in_memory(&learn::Settings::default()).unwrap())
    }

    /// So many people got [`URL`].
    fn teach(table: &Learning, people: usize) {
        for person in 0..people {
            let address = format!("reader{person}@example.net");
            let observation = Observation {
                controller: "shop",
                stream: "news",
                forward_paths: vec![&address],
            };
            let load = ("o.shop.example", "/v/0.gif", "img", URL);
            table.observe(&observation, std::iter::once(load), day(Timestamp::now()));
        }
    }

    fn recall(table: &Arc<Learning>, answers: &Answers) -> Recall {
        Recall::new(table, ("shop", "news"), answers)
    }

    #[test]
    fn the_same_question_has_the_same_answer_whatever_is_learned_meanwhile() {
        let (table, answers) = (table(), Answers::default());
        let first = recall(&table, &answers);
        assert_eq!(
            first.memory()(&slot("o.shop.example"), URL),
            Learned::Nothing
        );
        teach(&table, 30);
        assert_eq!(
            first.memory()(&slot("o.shop.example"), URL),
            Learned::Nothing
        );
        // Another message, and the same again after its survey.
        let other = Answers::default();
        let learned = recall(&table, &other).memory()(&slot("o.shop.example"), URL);
        assert_eq!(learned, Learned::Shared);
        first.close();
        let again = recall(&table, &answers);
        assert_eq!(
            again.memory()(&slot("o.shop.example"), URL),
            Learned::Nothing
        );
    }

    #[test]
    fn what_was_not_asked_in_time_is_unknown() {
        let (table, answers) = (table(), Answers::default());
        teach(&table, 30);
        let recall = recall(&table, &answers);
        recall.close();
        assert_eq!(
            recall.memory()(&slot("o.shop.example"), URL),
            Learned::Nothing
        );
    }

    #[test]
    fn answers_are_kept_and_stand_without_the_table() {
        let (table, answers) = (table(), Answers::default());
        teach(&table, 30);
        let asked = recall(&table, &answers);
        assert_eq!(
            asked.memory()(&slot("o.shop.example"), URL),
            Learned::Shared
        );
        assert_eq!(asked.memory()(&slot("x.example"), URL), Learned::Nothing);
        let kept = answers.given();
        assert_eq!(kept.len(), 1, "nothing is not kept");
        let later = Recall::of(&Answers::fixed(&kept));
        assert_eq!(
            later.memory()(&slot("o.shop.example"), URL),
            Learned::Shared
        );
        // Nor is a table asked that has learned in between.
        let fixed = Answers::fixed(&[]);
        let later = Recall::new(&table, ("shop", "news"), &fixed);
        assert_eq!(
            later.memory()(&slot("o.shop.example"), URL),
            Learned::Nothing
        );
        assert_eq!(fixed.given(), []);
    }

    #[test]
    fn questions_are_bounded() {
        let (table, answers) = (table(), Answers::default());
        teach(&table, 30);
        let recall = recall(&table, &answers);
        for n in 0..QUESTIONS_MAX {
            recall.memory()(&slot(&format!("h{n}.example")), URL);
        }
        assert_eq!(
            recall.memory()(&slot("o.shop.example"), URL),
            Learned::Nothing
        );
    }
}
