//! The next hop of a run, SMTP or LMTP: takes mail and writes down what it took, and at any step does what next hops do at their
//! worst. What it says and what it does agree: whatever begins with a whole 250 behind the dot was taken.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::clock::Clock;
use crate::dice::Dice;
use crate::mail::{EVIL, consent_of, number_of, without_received};
use crate::model::{Copy, Model};

/// More virtual seconds between 354 and the answer to the dot than this, and nobody can say whether the relay still waited.
const SURELY_WAITS: u64 = 20;

/// What the relay can connect to.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

#[derive(Debug)]
pub(crate) struct NextHop {
    pub(crate) seed: u64,
    pub(crate) lmtp: bool,
    pub(crate) announce: Vec<&'static str>,
    /// Faults in a hundred steps.
    pub(crate) meanness: u64,
    /// Deaths of the relay in a thousand steps.
    pub(crate) deadliness: u64,
    pub(crate) polite: AtomicBool,
    pub(crate) clock: Arc<Clock>,
    pub(crate) model: Arc<Mutex<Model>>,
    pub(crate) life: AtomicUsize,
    pub(crate) connections: AtomicU64,
    /// How often each question was asked.
    pub(crate) asked: Mutex<HashMap<(&'static str, u64), u64>>,
}

/// What is wrong at one step.
#[derive(Debug, Clone)]
enum Fault {
    Say(String),
    SayAndClose(String),
    Close,
    Stall,
}

/// What a connection stands in the midst of.
#[derive(Debug, Default)]
struct Transaction {
    sender: Option<String>,
    rcpts: Vec<String>,
}

struct Connection<S> {
    hop: Arc<NextHop>,
    stream: S,
    input: Vec<u8>,
    number: u64,
    life: usize,
    transaction: Transaction,
}

impl NextHop {
    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    /// Dice for one step. A step that is repeated gets other dice.
    fn dice(&self, step: &'static str, about: u64) -> Dice {
        let mut asked = self.asked.lock().unwrap();
        let times = asked.entry((step, about)).or_default();
        *times += 1;
        Dice::of(self.seed, step, &[about, *times])
    }

    fn fault(&self, step: &'static str, dice: &mut Dice, polite: &str) -> Option<Fault> {
        // Behind the dot it costs most.
        let times = if step == "dot" { 3 } else { 1 };
        if self.polite.load(Ordering::SeqCst) || !dice.chance(self.meanness * times) {
            return None;
        }
        let fault = match dice.below(12) {
            0 => Fault::Say("451 4.3.0 not now\r\n".to_owned()),
            1 => Fault::Say("450-4.2.1 not\r\n450 4.2.1 now\r\n".to_owned()),
            2 | 3 => Fault::Say(format!("{} 5.7.1 never\r\n", dice.pick(&[550, 554, 552]))),
            4 => Fault::Say(format!(
                "{} 5.5.0 not for you\r\n",
                dice.pick(&[500, 501, 502, 503, 504, 521, 530, 535])
            )),
            5 => Fault::SayAndClose("421 4.3.2 closing\r\n".to_owned()),
            6 => Fault::Close,
            7 => Fault::Stall,
            8 => Fault::Say(
                dice.pick(&[
                    "nonsense\r\n",
                    "25\r\n",
                    "\r\n",
                    "999 9\r\n",
                    "2500 ok\r\n",
                    "\0\0\0\r\n",
                ])
                .to_owned(),
            ),
            9 => Fault::Say("250-2.0.0 yes\r\n550 5.0.0 no\r\n".to_owned()),
            // One reply too many: whoever does not notice takes it for the answer to the next command.
            10 => Fault::Say(format!(
                "{polite}{}",
                dice.pick(&["250 2.0.0 again\r\n", "354 go on\r\n", "550 5.1.1 no\r\n"])
            )),
            _ => Fault::SayAndClose("250-endless\r\n".repeat(400)),
        };
        let mut model = self.model();
        model.counts.faults += 1;
        model.say(format!("next hop at {step}: {fault:?}"));
        Some(fault)
    }

    /// Kills the relay here, now and then.
    fn strike(&self, dice: &mut Dice, step: &str) {
        if !self.polite.load(Ordering::SeqCst) && dice.next() % 1000 < self.deadliness {
            self.model().say(format!("killed at {step}"));
            self.clock.kill();
        }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve<S: Stream>(hop: Arc<NextHop>, stream: S) {
    let number = hop.connections.fetch_add(1, Ordering::SeqCst);
    let life = hop.life.load(Ordering::SeqCst);
    let mut connection = Connection {
        hop,
        stream,
        input: Vec::new(),
        number,
        life,
        transaction: Transaction::default(),
    };
    // An error is the relay gone, or a fault that closes.
    let _ = connection.run().await;
}

impl<S: Stream> Connection<S> {
    async fn run(&mut self) -> io::Result<()> {
        self.answer("connect", self.number, "220 simulated ready\r\n")
            .await?;
        loop {
            let line = self.line().await?;
            self.command(&line).await?;
        }
    }

    /// Says what is polite, or what is not; whether what was said is exactly that, first of all.
    async fn answer(&mut self, step: &'static str, about: u64, polite: &str) -> io::Result<bool> {
        let mut dice = self.hop.dice(step, about);
        self.hop.strike(&mut dice, step);
        let fault = self.hop.fault(step, &mut dice, polite);
        match fault {
            None => {
                self.say(&mut dice, polite).await?;
                Ok(true)
            }
            Some(fault) => {
                let meant = matches!(&fault, Fault::Say(text) if text.starts_with(polite));
                self.misbehave(&mut dice, fault).await?;
                Ok(meant)
            }
        }
    }

    async fn misbehave(&mut self, dice: &mut Dice, fault: Fault) -> io::Result<()> {
        match fault {
            Fault::Say(text) => self.say(dice, &text).await,
            Fault::SayAndClose(text) => {
                self.say(dice, &text).await?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Fault::Close => Err(io::ErrorKind::ConnectionAborted.into()),
            Fault::Stall => self.stall().await,
        }
    }

    /// Silence until the relay goes away: time passes.
    async fn stall(&mut self) -> io::Result<()> {
        let mut octets = [0; 4096];
        for _ in 0..400 {
            self.hop.clock.pass(5);
            tokio::select! {
                read = self.stream.read(&mut octets) => match read? {
                    0 => break,
                    count => self.input.extend_from_slice(&octets[..count]),
                },
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    async fn say(&mut self, dice: &mut Dice, text: &str) -> io::Result<()> {
        let text = text.as_bytes();
        let (one, two) = text.split_at(match dice.chance(20) {
            true => dice.below(text.len()),
            false => 0,
        });
        if !one.is_empty() {
            self.stream.write_all(one).await?;
            tokio::task::yield_now().await;
        }
        self.stream.write_all(two).await
    }

    async fn fill(&mut self) -> io::Result<()> {
        let mut octets = [0; 16 * 1024];
        match self.stream.read(&mut octets).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.input.extend_from_slice(&octets[..count]);
                Ok(())
            }
        }
    }

    /// The next line without its CRLF.
    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.input.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.input.drain(..=at).collect();
                let text = String::from_utf8(line)
                    .unwrap_or_else(|error| error.into_bytes().escape_ascii().to_string());
                let bare = text.strip_suffix("\r\n");
                return match bare.filter(|bare| !bare.chars().any(char::is_control)) {
                    Some(bare) => Ok(bare.to_owned()),
                    None => {
                        self.hop
                            .model()
                            .violate(format!("no command line: {text:?}"));
                        Err(io::ErrorKind::InvalidData.into())
                    }
                };
            }
            self.fill().await?;
        }
    }

    async fn command(&mut self, line: &str) -> io::Result<()> {
        let about = self.about();
        match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" | "LHLO" => {
                if line.starts_with('L') != self.hop.lmtp || line.split(' ').count() != 2 {
                    self.hop.model().violate(format!("greets so: {line:?}"));
                }
                let mut reply = "250-simulated\r\n".to_owned();
                for keyword in &self.hop.announce {
                    reply.push_str(&format!("250-{keyword}\r\n"));
                }
                reply.push_str("250 ENHANCEDSTATUSCODES\r\n");
                self.answer("ehlo", self.number, &reply).await?;
            }
            // An EHLO that was not understood (RFC 5321 3.2).
            "HELO" if !self.hop.lmtp && line == "HELO localhost" => {
                self.answer("helo", self.number, "250 simulated\r\n")
                    .await?;
            }
            "MAIL" => self.mail(line).await?,
            "RCPT" => self.rcpt(line).await?,
            "DATA" if line == "DATA" => self.data(about).await?,
            "RSET" if line == "RSET" => {
                self.transaction = Transaction::default();
                self.answer("rset", about, "250 2.0.0 forgotten\r\n")
                    .await?;
            }
            "QUIT" if line == "QUIT" => {
                self.stream.write_all(b"221 2.0.0 bye\r\n").await?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            _ => {
                self.hop
                    .model()
                    .violate(format!("a command that no relay writes: {line:?}"));
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(())
    }

    /// Whose transaction it is, for the dice.
    fn about(&self) -> u64 {
        let sender = self.transaction.sender.as_deref().unwrap_or_default();
        sender.bytes().fold(0, |sum, octet| {
            u64::wrapping_add(sum.wrapping_mul(31), octet.into())
        })
    }

    /// What stands between the brackets of a command, where what follows is in order.
    fn path(&self, line: &str, start: &str) -> Option<String> {
        let (path, rest) = line.strip_prefix(start)?.split_once('>')?;
        let lawful = rest.is_empty() || rest.starts_with(' ');
        let known = path.is_empty()
            || consent_of(path).is_some()
            || self.hop.model().by_sender(path).is_some();
        (lawful && known && path != EVIL && !rest.contains(['<', '>'])).then(|| path.to_owned())
    }

    async fn mail(&mut self, line: &str) -> io::Result<()> {
        let Some(path) = self.path(line, "MAIL FROM:<") else {
            self.hop
                .model()
                .violate(format!("no MAIL of ours: {line:?}"));
            return Err(io::ErrorKind::InvalidData.into());
        };
        if self.transaction.sender.is_some() {
            self.hop
                .model()
                .violate(format!("MAIL within a transaction: {line:?}"));
        }
        self.transaction.sender = Some(path);
        if !self
            .answer("mail", self.about(), "250 2.1.0 ok\r\n")
            .await?
        {
            self.transaction = Transaction::default();
        }
        Ok(())
    }

    async fn rcpt(&mut self, line: &str) -> io::Result<()> {
        let Some(path) = self.path(line, "RCPT TO:<").filter(|path| !path.is_empty()) else {
            self.hop
                .model()
                .violate(format!("no RCPT of ours: {line:?}"));
            return Err(io::ErrorKind::InvalidData.into());
        };
        if self.transaction.sender.is_none() {
            // Pipelined behind a MAIL that was refused.
            return self.stream.write_all(b"503 5.5.1 MAIL first\r\n").await;
        }
        let about = path.bytes().fold(self.about(), |sum, octet| {
            u64::wrapping_add(sum.wrapping_mul(31), octet.into())
        });
        if self.answer("rcpt", about, "250 2.1.5 ok\r\n").await? {
            self.transaction.rcpts.push(path);
        }
        Ok(())
    }

    async fn data(&mut self, about: u64) -> io::Result<()> {
        if self.transaction.rcpts.is_empty() {
            return self.stream.write_all(b"554 5.5.1 for whom?\r\n").await;
        }
        let begun = self.hop.clock.passed();
        if !self.answer("data", about, "354 go on\r\n").await? {
            return Ok(());
        }
        let wire = self.content().await?;
        let octets = self.unstuffed(&wire);
        let transaction = std::mem::take(&mut self.transaction);
        let sender = transaction.sender.clone().unwrap_or_default();
        let number = {
            let mut model = self.hop.model();
            if !self.input.is_empty() {
                model.violate(format!(
                    "octets behind the dot: {:?}",
                    self.input.escape_ascii().to_string()
                ));
            }
            match sender.is_empty() {
                true => None,
                false => {
                    let number = number_of(&octets).unwrap_or(usize::MAX);
                    model.say(format!(
                        "next hop has {number} for {:?}, life {}",
                        transaction.rcpts, self.life
                    ));
                    model.seen(
                        number,
                        &sender,
                        &transaction.rcpts,
                        without_received(&octets),
                    );
                    Some(number)
                }
            }
        };
        self.dot(about, begun, number, &transaction.rcpts, &octets)
            .await
    }

    /// Takes a copy: of a letter, or of a report about one.
    fn take(&self, number: Option<usize>, rcpt: &str, octets: &[u8], confirmed: bool) {
        let mut model = self.hop.model();
        let Some(number) = number else {
            let (failed, delayed) = (reported(octets, "failed"), reported(octets, "delayed"));
            return match model.by_sender(rcpt) {
                Some(number) if !failed.is_empty() => model.reported(number, failed),
                Some(number) if !delayed.is_empty() => model.said_late(number, &delayed),
                _ => model.violate(format!("a report about nothing, to {rcpt}")),
            };
        };
        model.took(Copy {
            number,
            rcpt: rcpt.to_owned(),
            confirmed,
            life: self.life,
        });
    }

    /// The answer behind the dot, or the answers.
    async fn dot(
        &mut self,
        about: u64,
        begun: u64,
        number: Option<usize>,
        rcpts: &[String],
        octets: &[u8],
    ) -> io::Result<()> {
        let groups: Vec<&[String]> = match self.hop.lmtp {
            true => rcpts.chunks(1).collect(),
            false => vec![rcpts],
        };
        let last = groups.len() - 1;
        // Behind an answer that is none, nobody hears the others.
        let mut heard = true;
        for (index, group) in groups.into_iter().enumerate() {
            let mut dice = self.hop.dice("dot", about);
            self.hop.strike(&mut dice, "dot");
            let polite = "250 2.0.0 taken\r\n";
            let fault = self.hop.fault("dot", &mut dice, polite);
            // Taken and not said so, or said so that nobody can tell.
            let took = match &fault {
                None => true,
                Some(Fault::Say(text) | Fault::SayAndClose(text)) => {
                    let extra = text.starts_with(polite);
                    // An answer too many between two is an answer to the next: no client can tell.
                    if extra && index < last {
                        self.say(&mut dice, "452 4.2.2 not now\r\n").await?;
                        continue;
                    }
                    extra || (!is_refusal(text) && dice.chance(50))
                }
                Some(Fault::Close | Fault::Stall) => dice.chance(50),
            };
            let clear = match &fault {
                None => true,
                Some(Fault::Say(text)) => text.starts_with(polite),
                Some(_) => false,
            };
            let unheard = matches!(&fault, Some(Fault::Say(text)) if !clear && !is_refusal(text));
            let said = match fault {
                None => self.say(&mut dice, polite).await,
                Some(fault) => {
                    // A next hop that closes or stalls has taken it before, not after.
                    if took && !clear {
                        for rcpt in group {
                            self.take(number, rcpt, octets, false);
                        }
                    }
                    self.misbehave(&mut dice, fault).await
                }
            };
            if took && clear {
                let in_time = self.hop.clock.ordered() - begun < SURELY_WAITS;
                for rcpt in group {
                    self.take(number, rcpt, octets, heard && said.is_ok() && in_time);
                }
            }
            if said.is_err() && index < last {
                // The others' copies may be taken too; nobody hears of it.
                for rcpt in rcpts.iter().skip(index + 1).filter(|_| dice.chance(50)) {
                    self.take(number, rcpt, octets, false);
                }
            }
            heard &= !unheard;
            said?;
            self.hop.strike(&mut dice, "behind the answer");
        }
        Ok(())
    }

    /// The message as it came, to its dot.
    async fn content(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let end = match self.input.starts_with(b".\r\n") {
                true => Some(3),
                false => crate::mail::find(&self.input, b"\r\n.\r\n").map(|at| at + 5),
            };
            if let Some(end) = end {
                return Ok(self.input.drain(..end).collect());
            }
            self.fill().await?;
        }
    }

    fn unstuffed(&self, wire: &[u8]) -> Vec<u8> {
        let mut octets = Vec::with_capacity(wire.len());
        let body = &wire[..wire.len() - 3];
        for line in body.split_inclusive(|octet| *octet == b'\n') {
            let bare = line.strip_suffix(b"\r\n");
            let sound =
                bare.is_some_and(|bare| !bare.iter().any(|octet| b"\r\n\0".contains(octet)));
            if !sound || (line.starts_with(b".") && !line.starts_with(b"..")) {
                let shown = line.escape_ascii().to_string();
                self.hop
                    .model()
                    .violate(format!("a line that nobody may send: {shown}"));
            }
            octets.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        octets
    }
}

/// Whether a fault is a whole 4xx or 5xx.
fn is_refusal(text: &str) -> bool {
    let code = text.get(..4).unwrap_or_default();
    code.starts_with(['4', '5']) && code.ends_with([' ', '-'])
}

/// Whom a report of this kind is about.
fn reported(octets: &[u8], action: &str) -> Vec<String> {
    // Headers of a returned message may have any octets; what is looked for is ASCII.
    let text: String = octets.iter().map(|octet| char::from(*octet)).collect();
    if !text.contains(&format!("\r\nAction: {action}\r\n")) {
        return Vec::new();
    }
    text.lines()
        .filter_map(|line| line.strip_prefix("Final-Recipient: rfc822; "))
        .map(str::to_owned)
        .collect()
}
