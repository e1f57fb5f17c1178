//! A client of a run: one session, a few transactions, said in one breath or word by word, by DATA or in chunks, broken off
//! anywhere. It writes down what it was told, for that is what it forgets mail by.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::clock::Clock;
use crate::dice::Dice;
use crate::mail::{EVIL, Letter, PEOPLE, Smuggler};
use crate::model::{Model, Sent, Submission};

/// Real time without a word after which a client lets a second pass: something may be waiting for it.
const PATIENCE: Duration = Duration::from_millis(15);
/// Seconds that it lets pass before it goes away.
const SECONDS: u64 = 2_500;

pub(crate) struct Client {
    pub(crate) stream: DuplexStream,
    pub(crate) lmtp: bool,
    pub(crate) clock: Arc<Clock>,
    pub(crate) model: Arc<Mutex<Model>>,
    pub(crate) dice: Dice,
    /// Deaths of the relay in a thousand steps.
    pub(crate) deadliness: u64,
    pub(crate) input: Vec<u8>,
}

/// It went away, or was sent away.
pub(crate) struct Gone;

/// How a client behaves in one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Polite,
    /// RSET before the data.
    Forgets,
    /// So many octets of the data, then nothing more: the connection is closed.
    BreaksOff,
    /// All of it, and no ear for the answer.
    Leaves,
    /// Longer than `hold_before_data` before and within the data.
    Dawdles,
    /// Longer than anybody waits.
    Sleeps,
}

impl Client {
    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    fn strike(&mut self, step: &str) {
        if self.dice.next() % 1000 < self.deadliness {
            self.model().say(format!("killed at {step}"));
            self.clock.kill();
        }
    }

    /// A session with these transactions.
    pub(crate) async fn run(mut self, numbers: &[usize]) {
        // Gone early or late: what it was told is written down.
        let _ = self.session(numbers).await;
    }

    async fn session(&mut self, numbers: &[usize]) -> Result<(), Gone> {
        self.expect(220).await?;
        let hello = if self.lmtp { "LHLO" } else { "EHLO" };
        self.send(format!("{hello} client.example\r\n").as_bytes())
            .await?;
        self.expect(250).await?;
        for number in numbers {
            self.transaction(*number).await?;
        }
        self.send(b"QUIT\r\n").await?;
        self.expect(221).await
    }

    async fn transaction(&mut self, number: usize) -> Result<(), Gone> {
        let sender = format!("crumb-{number}@news.example.com");
        let smuggles = self.dice.chance(12);
        let letter = Letter::new(&mut self.dice, number, &sender);
        let smuggler = Smuggler::new(&mut self.dice, number, &sender);
        let manner = match self.dice.below(24) {
            0 => Manner::Forgets,
            1 | 2 => Manner::BreaksOff,
            3 => Manner::Leaves,
            4 => Manner::Dawdles,
            5 => Manner::Sleeps,
            _ => Manner::Polite,
        };
        let mut people = PEOPLE.to_vec();
        let rcpts: Vec<String> = (0..1 + self.dice.below(5))
            .map(|_| {
                people
                    .swap_remove(self.dice.below(people.len()))
                    .0
                    .to_owned()
            })
            .collect();
        let sent = match smuggles {
            true => Sent::Smuggler,
            false => Sent::Letter(Box::new(letter.clone())),
        };
        self.model().say(format!(
            "client sends {number} {manner:?} smuggles {smuggles} to {rcpts:?}"
        ));
        self.write_down(number, &sender, &rcpts, sent);
        let chunks = self.dice.chance(25);
        let Some(accepted) = self
            .envelope(number, &sender, &rcpts, chunks, manner)
            .await?
        else {
            return Ok(());
        };
        if manner == Manner::Dawdles {
            self.let_pass(3 * 5);
        }
        let wire = match smuggles {
            true => smuggler.wire,
            false => letter.on_the_wire(),
        };
        match chunks {
            false => self.content(number, &wire, manner).await?,
            true if smuggles => {
                let content = &wire[..wire.len() - 3];
                self.chunks(number, content, manner).await?;
            }
            true => self.chunks(number, &letter.octets, manner).await?,
        }
        self.strike("the end of data");
        if manner == Manner::Leaves {
            return Err(Gone);
        }
        self.answers(number, &accepted).await
    }

    /// What is meant, before a word of it is said.
    fn write_down(&self, number: usize, sender: &str, rcpts: &[String], sent: Sent) {
        let mut model = self.model();
        model.counts.smuggled += usize::from(matches!(sent, Sent::Smuggler));
        let told = rcpts.iter().map(|rcpt| (rcpt.clone(), None));
        model.submissions.insert(
            number,
            Submission {
                sender: sender.to_owned(),
                sent,
                told: told.collect(),
                whole: false,
                disk_failed: false,
            },
        );
    }

    /// What is said behind the data: one answer, or one for each.
    async fn answers(&mut self, number: usize, accepted: &[String]) -> Result<(), Gone> {
        let answers = if self.lmtp { accepted.len() } else { 1 };
        for index in 0..answers {
            let code = self.reply().await?;
            self.strike("the answer");
            let who = match self.lmtp {
                true => &accepted[index..=index],
                false => accepted,
            };
            let mut model = self.model();
            model.say(format!("client is told {code} about {number} for {who:?}"));
            if let Some(submission) = model.submissions.get_mut(&number) {
                for rcpt in who {
                    submission.told.insert(rcpt.clone(), Some(code));
                }
            }
        }
        Ok(())
    }

    /// MAIL, RCPTs and DATA; who was accepted. `None`: nothing more is to be said in this transaction.
    async fn envelope(
        &mut self,
        number: usize,
        sender: &str,
        rcpts: &[String],
        chunks: bool,
        manner: Manner,
    ) -> Result<Option<Vec<String>>, Gone> {
        let at_once = self.dice.chance(50);
        let mut commands = vec![format!("MAIL FROM:<{sender}> BODY=8BITMIME\r\n")];
        commands.extend(rcpts.iter().map(|rcpt| format!("RCPT TO:<{rcpt}>\r\n")));
        let data = at_once && !chunks && manner != Manner::Forgets;
        if data {
            commands.push("DATA\r\n".to_owned());
        }
        if at_once {
            self.send(commands.concat().as_bytes()).await?;
        }
        let mut codes = Vec::new();
        for command in &commands {
            if !at_once {
                self.send(command.as_bytes()).await?;
            }
            codes.push(self.reply().await?);
        }
        self.strike("the envelope");
        let mut accepted = Vec::new();
        for (rcpt, code) in rcpts.iter().zip(&codes[1..]) {
            if code / 100 == 2 {
                accepted.push(rcpt.clone());
            } else if let Some(submission) = self.model().submissions.get_mut(&number) {
                submission.told.insert(rcpt.clone(), Some(*code));
            }
        }
        let mut invited = codes.get(rcpts.len() + 1).copied();
        if manner == Manner::Forgets || accepted.is_empty() && invited != Some(354) {
            self.send(b"RSET\r\n").await?;
            self.expect(250).await?;
            return Ok(None);
        }
        if !chunks && !data {
            self.send(b"DATA\r\n").await?;
            invited = Some(self.reply().await?);
        }
        if !chunks && invited != Some(354) {
            self.send(b"RSET\r\n").await?;
            self.expect(250).await?;
            return Ok(None);
        }
        if accepted.is_empty() {
            self.model().violate(format!("{number}: 354 for nobody"));
            return Err(Gone);
        }
        Ok(Some(accepted))
    }

    /// The data behind 354, its dot included.
    async fn content(&mut self, number: usize, wire: &[u8], manner: Manner) -> Result<(), Gone> {
        if manner == Manner::BreaksOff {
            // All but the last octet at most.
            let most = self.dice.below(wire.len());
            self.pieces(&wire[..most], manner).await?;
            return Err(Gone);
        }
        let last = wire.len() - 1;
        self.pieces(&wire[..last], manner).await?;
        self.is_whole(number);
        self.send(&wire[last..]).await
    }

    /// The data in chunks, the last one with LAST.
    async fn chunks(&mut self, number: usize, octets: &[u8], manner: Manner) -> Result<(), Gone> {
        let mut rest = octets;
        loop {
            let (now, later) = rest.split_at(self.dice.below(rest.len() + 1));
            let last = self.dice.chance(40);
            let now = if last { rest } else { now };
            let word = if last { " LAST" } else { "" };
            self.send(format!("BDAT {}{word}\r\n", now.len()).as_bytes())
                .await?;
            if manner == Manner::BreaksOff && (last || self.dice.chance(30)) {
                let most = self.dice.below(now.len());
                self.pieces(&now[..most], manner).await?;
                return Err(Gone);
            }
            if last && !now.is_empty() {
                let end = now.len() - 1;
                self.pieces(&now[..end], manner).await?;
                self.is_whole(number);
                return self.send(&now[end..]).await;
            }
            if last {
                return Ok(());
            }
            self.pieces(now, manner).await?;
            let code = self.reply().await?;
            if code != 250 {
                return Err(Gone);
            }
            rest = later;
            if rest.is_empty() {
                // Behind the last octet an empty last chunk; whole as soon as it is announced.
                self.is_whole(number);
                return self.send(b"BDAT 0 LAST\r\n").await;
            }
        }
    }

    fn is_whole(&self, number: usize) {
        if let Some(submission) = self.model().submissions.get_mut(&number) {
            submission.whole = true;
        }
    }

    /// In writes of any size.
    async fn pieces(&mut self, octets: &[u8], manner: Manner) -> Result<(), Gone> {
        let mut rest = octets;
        let small = self.dice.chance(30);
        let slow = self.dice.below(octets.len() + 1);
        while !rest.is_empty() {
            let most = if small { 40 } else { 20_000 };
            let (now, later) = rest.split_at(rest.len().min(1 + self.dice.below(most)));
            self.send(now).await?;
            if later.len() <= slow && slow < rest.len() {
                self.strike("the data");
                match manner {
                    Manner::Dawdles => self.let_pass(3 * 5),
                    Manner::Sleeps => self.let_pass(80 * 5),
                    _ => {}
                }
            }
            if self.dice.chance(10) {
                tokio::task::yield_now().await;
            }
            rest = later;
        }
        Ok(())
    }

    fn let_pass(&self, seconds: u64) {
        for _ in 0..seconds / 5 {
            self.clock.pass(5);
        }
    }

    async fn send(&mut self, octets: &[u8]) -> Result<(), Gone> {
        self.stream.write_all(octets).await.map_err(|_| Gone)
    }

    async fn expect(&mut self, code: u16) -> Result<(), Gone> {
        let said = self.reply().await?;
        match said == code {
            true => Ok(()),
            false if said / 100 == 4 => Err(Gone),
            false => {
                self.model()
                    .violate(format!("a client is told {said} and not {code}"));
                Err(Gone)
            }
        }
    }

    /// The code of the next reply, whose lines agree.
    async fn reply(&mut self) -> Result<u16, Gone> {
        let mut code = None;
        loop {
            let line = self.line().await?;
            let digits = line.get(..3).and_then(|digits| digits.parse::<u16>().ok());
            let sound = digits.is_some_and(|digits| {
                (200..600).contains(&digits) && code.is_none_or(|code| code == digits)
            });
            let goes_on = line.as_bytes().get(3) == Some(&b'-');
            if !sound || line.chars().any(char::is_control) || line.contains(EVIL) {
                self.model().violate(format!("no reply: {line:?}"));
                return Err(Gone);
            }
            code = digits;
            if !goes_on {
                return digits.ok_or(Gone);
            }
        }
    }

    async fn line(&mut self) -> Result<String, Gone> {
        let mut waited = 0;
        loop {
            if let Some(at) = self.input.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.input.drain(..=at).collect();
                let line = String::from_utf8(line)
                    .unwrap_or_else(|error| error.into_bytes().escape_ascii().to_string());
                return match line.strip_suffix("\r\n") {
                    Some(line) => Ok(line.to_owned()),
                    None => {
                        self.model().violate(format!("no reply line: {line:?}"));
                        Err(Gone)
                    }
                };
            }
            let mut octets = [0; 4096];
            match tokio::time::timeout(PATIENCE, self.stream.read(&mut octets)).await {
                Ok(Ok(0) | Err(_)) => return Err(Gone),
                Ok(Ok(count)) => self.input.extend_from_slice(&octets[..count]),
                Err(_) if waited < SECONDS => {
                    self.clock.pass(1);
                    waited += 1;
                }
                Err(_) => {
                    self.model().violate("a client waits for ever".to_owned());
                    return Err(Gone);
                }
            }
        }
    }
}
