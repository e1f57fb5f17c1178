//! Mail of our own to an SMTP next hop, through lettre: what we write ourselves needs no octet-exact client.
//!
//! lettre speaks over our own socket, which counts replies, watches the dot and has TCP_NODELAY; it is given the
//! message without its last CRLF, because it always writes one, and its reply to DATA is checked here, because it
//! does not. It must never carry mail in transit.
//! Every failure is a [`Fate`]: nothing is lost in silence, and nothing is called taken without a 2xx behind the dot.

use std::sync::Mutex;

use lettre::Address as LettreAddress;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail as LettreMail, Rcpt as LettreRcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::{Instant, timeout, timeout_at};

use crate::smtp::extensions::Extensions;
use crate::smtp::path::{ForwardPath, Mailbox};

use super::connection::{FAREWELL, connect, due};
use super::fate::{Fate, is_about_us};
use super::guarded::{Guarded, Seen, seen};
use super::pool::{Pool, Slot};
use super::replies;
use super::settings::Settings;
use super::unreachable::{Step, Unreachable};

/// Whether lettre can carry it: an ordinary mailbox, ASCII, lines ended by CRLF.
pub(super) fn is_plain<'a>(forward_path: &'a ForwardPath, message: &[u8]) -> Option<&'a Mailbox> {
    let ForwardPath::Mailbox(mailbox) = forward_path else {
        return None;
    };
    let mut before = 0;
    let strict = message.iter().all(|&octet| {
        let fits = (octet == b'\n') == (before == b'\r');
        before = octet;
        fits
    });
    (mailbox.is_ascii() && message.is_ascii() && strict && before != b'\r').then_some(mailbox)
}

/// Why a dialog ended before its end.
enum Ended {
    /// Here: a refusal, a failure or a time-out. What was said stands in [`Seen`].
    At(Step),
    /// The next hop is one of us.
    Loop,
}

/// One message with a null reverse-path (RFC 5321 4.5.5) to one mailbox.
pub(super) async fn submit(
    slot: &mut Slot,
    mailbox: &Mailbox,
    message: &[u8],
    until: Instant,
) -> Fate {
    slot.make_room().await;
    let pool = slot.pool();
    let limits = &pool.settings().limits;
    let no_dot_after = limits.no_dot_after(until);
    let step = Step::Connect;
    let by = due(limits.connect_timeout_seconds, Some(no_dot_after));
    let connecting = connect(&pool.settings().address, pool.settings().source_address, by);
    let failure = match timeout_at(by, connecting).await {
        Ok(Ok(stream)) => {
            let (stream, shared) = Guarded::new(stream, limits.reply(), no_dot_after);
            let spoken = speak(stream, &shared, pool.settings(), mailbox, message, until).await;
            return judge(pool, spoken, &seen(&shared));
        }
        Ok(Err(source)) => Unreachable::Io { step, source },
        Err(_) => Unreachable::TimedOut { step },
    };
    Fate::Down(pool.note(failure).to_reply())
}

/// The dialog. Each step has its own time-out: lettre has none.
async fn speak(
    stream: Guarded,
    shared: &Mutex<Seen>,
    settings: &Settings,
    mailbox: &Mailbox,
    message: &[u8],
    until: Instant,
) -> Result<(), Ended> {
    let limits = &settings.limits;
    let hello = ClientId::Domain(settings.helo.clone());
    let connecting = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello);
    let seconds = limits.greeting_timeout_seconds;
    let mut client = within(seconds, until, Step::Hello, connecting).await?;
    if is_loop(&seen(shared)) && !settings.chained {
        return Err(Ended::Loop);
    }
    let seconds = limits.command_timeout_seconds;
    let mail = client.command(LettreMail::new(None, Vec::new()));
    within(seconds, until, Step::Mail, mail).await?;
    // The path came through our own parser, which is stricter about octets and knows quoted local parts and literals.
    let address = LettreAddress::new_dangerous(mailbox.local_part(), mailbox.domain());
    let rcpt = client.command(LettreRcpt::new(address, Vec::new()));
    within(seconds, until, Step::Rcpt, rcpt).await?;
    let data = client.command(Data);
    let reply = within(limits.data_start_timeout_seconds, until, Step::Data, data).await?;
    if !reply.has_code(354) {
        return Err(Ended::At(Step::Data));
    }
    seen(shared).content = true;
    let content = client.message(message.strip_suffix(b"\r\n").unwrap_or(message));
    within(limits.dot_timeout_seconds, until, Step::Dot, content).await?;
    seen(shared).content = false;
    let _ = timeout(FAREWELL, client.quit()).await;
    Ok(())
}

async fn within<T>(
    seconds: u64,
    until: Instant,
    step: Step,
    doing: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<T, Ended> {
    match timeout_at(due(seconds, Some(until)), doing).await {
        Ok(Ok(done)) => Ok(done),
        // lettre's error repeats the next hop's text, which may hold addresses; what matters of it stands in `Seen`.
        Ok(Err(_)) | Err(_) => Err(Ended::At(step)),
    }
}

fn is_loop(seen: &Seen) -> bool {
    seen.reply.as_ref().is_some_and(|reply| {
        let keywords = reply.lines().iter().skip(1).map(String::as_str);
        Extensions::from_ehlo_lines(keywords).xpixelgate
    })
}

/// What became of the message, by what went over the socket and not by what lettre made of it.
fn judge(pool: &Pool, spoken: Result<(), Ended>, seen: &Seen) -> Fate {
    let step = match spoken {
        Ok(()) => Step::Dot,
        Err(Ended::Loop) => return Fate::Down(pool.note(Unreachable::Loop).to_reply()),
        Err(Ended::At(step)) => step,
    };
    if seen.no_time {
        pool.counters.no_time_for_dot.one();
        return Fate::Down(replies::no_time_for_dot());
    }
    match &seen.reply {
        Some(reply) => {
            if is_about_us(reply) || step == Step::Hello {
                pool.note(Unreachable::said(step, reply));
            }
            match step {
                Step::Dot if seen.dot => Fate::of_dot(reply.clone()),
                Step::Mail | Step::Rcpt | Step::Data => Fate::undelivered(reply.clone()),
                _ => Fate::Down(replies::about_us(reply)),
            }
        }
        None => {
            let said = pool.note(Unreachable::Closed { step }).to_reply();
            match seen.dot {
                true => Fate::Unknown(replies::no_answer_to_dot()),
                false => Fate::NotNow(said),
            }
        }
    }
}
