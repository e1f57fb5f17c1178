//! What the decisions about one message rest on, and whether they still stand (promise 8).
//!
//! Before a dot that comes more than 5 s after the register was asked, the people of that copy are looked up once more. The
//! same decisions: the copy goes. Other ones, or no answer: it does not, and is decided anew like fresh mail. A copy that
//! keeps nothing rests on no answer. It must never send or write anything.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Journey;
use super::decide::{Classes, Facts};
use super::examine::{ANSWER_AGE_MOST, Examiner, Recipient};
use super::streams::Assignment;
use super::survey::Survey;
use super::withdrawal::Offered;

/// What was decided, by what.
#[derive(Debug)]
pub(super) struct Grounds<'a> {
    /// What is in the message.
    pub survey: Survey,
    /// Whose mail it is.
    pub assignment: Assignment<'a>,
    /// What was decided for each forward-path.
    pub recipients: Vec<Recipient>,
    /// When the register was asked.
    pub asked_at: Instant,
    /// Whether the ledger took the intent.
    pub ledger: bool,
    /// Whether the hold of the message is over.
    pub hold_over: bool,
}

impl Grounds<'_> {
    /// Whether the copy for these forward-paths may still go as it is.
    pub(super) async fn stand(
        &self,
        examiner: &Examiner,
        journey: &Journey,
        recipients: &[usize],
    ) -> bool {
        if self.age() <= ANSWER_AGE_MOST {
            return true;
        }
        let people = recipients.iter().filter_map(|index| {
            let path = journey.rcpts.get(*index)?.forward_path.as_str();
            self.recipients.get(*index).map(|person| (path, person))
        });
        // In shadow the original goes, whatever is answered.
        let (paths, resting): (Vec<&str>, Vec<&Recipient>) = people
            .filter(|(_, person)| person.enforced && person.decisions.keep())
            .unzip();
        if resting.is_empty() {
            return true;
        }
        let controller = &self.assignment.controller;
        let (_, Ok(standings)) = examiner.ask(controller, &paths).await else {
            return false;
        };
        let facts = Facts {
            assignment: &self.assignment,
            law: examiner.lawbook.law(controller, Timestamp::now()),
            stops: examiner.stops,
            ledger: self.ledger,
            hold_over: self.hold_over,
        };
        let offered = Offered::new(self.assignment.stream, &self.survey);
        let classes = Classes::new(self.survey.matters(&offered), &self.assignment);
        let mut now = resting.iter().zip(&standings);
        now.all(|(person, standing)| person.decisions.are(&classes.decide(Ok(standing), &facts)))
    }

    fn age(&self) -> Duration {
        self.asked_at.elapsed()
    }
}
