//! `pixelgate strip`: one message, treated exactly as `serve` would treat it, to standard output.
//!
//! Line ends are kept: a message with LF only is read as CRLF and written back as LF; mixed line ends are refused (65) unless
//! `--crlf` makes every line end CRLF. What `serve` would not send is not written: the refusal is said and the exit code is 65.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::serve::{examiner, read};
use super::{Exit, Failure, learn};
use crate::config::File;
use crate::mime::splice::Spliced;
use crate::register::Keys;
use crate::relay::examine::{Case, Examined, today};
use crate::relay::plan::Treatment;
use crate::relay::recall::Answers;
use crate::relay::record::{evidence, hex, shown_host, shown_url};
use crate::smtp::path::{ForwardPath, ReversePath};

/// `pixelgate strip`.
#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    /// The recipient
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// The sender; empty for the null reverse-path
    #[arg(long, value_name = "ADDRESS", default_value = "sender@localhost")]
    from: String,
    /// The listener it would come by, as its address stands in the configuration [default: the first]
    #[arg(long, value_name = "ADDRESS")]
    listener: Option<String>,
    /// Write one JSON object for each finding to standard error
    #[arg(long)]
    explain: bool,
    /// Make every line end CRLF
    #[arg(long)]
    crlf: bool,
    /// What was learned, as `learn export` wrote it; nothing is added to it [default: nothing is known]
    #[arg(long, value_name = "FILE")]
    learned: Option<PathBuf>,
    /// The message [default: standard input]
    message: Option<PathBuf>,
}

pub(super) fn run(config: Option<PathBuf>, arguments: &Arguments) -> Result<(), Failure> {
    let config = read(config)?;
    let usage = |what: &str| Failure::new(Exit::Usage, what);
    let to = ForwardPath::parse(&arguments.to).ok_or_else(|| usage("--to is not an address"))?;
    let from =
        ReversePath::parse(&arguments.from).ok_or_else(|| usage("--from is not an address"))?;
    let (message, was_lf) = line_ends(input(arguments)?, arguments.crlf)?;
    let limit = config.file.limits.message_octets;
    if message.len() > limit {
        return Err(Failure::new(
            Exit::Data,
            format_args!(
                "the message has {} octets; limits.message_octets is {limit}",
                message.len()
            ),
        ));
    }
    let learned = arguments.learned.as_deref();
    let learned = learned.map(|from| learn::exported(&config.file, from).map(Arc::new));
    let examiner = examiner(&config.file, learned.transpose()?)?;
    let message = Bytes::from(message);
    let listener = listener(&config.file, arguments.listener.as_deref())?;
    let case = Case {
        message: &message,
        listener: &listener,
        login: None,
        reverse_path: from.as_str(),
        forward_paths: vec![to.as_str()],
        received: None,
        answers: Answers::default(),
        today: today(Timestamp::now()),
        ledger: true,
        hold_over: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Unavailable, error))?;
    let examined = runtime.block_on(examiner.examine(&case)).map_err(|reply| {
        Failure::new(
            Exit::Data,
            format_args!("refused: {} {}", reply.code(), reply.text()),
        )
    })?;
    if arguments.explain {
        explain(&examined, &examiner.keys, &arguments.to)?;
    }
    match (
        examined.groups.first().map(|group| &group.treatment),
        examined.variants.into_iter().next().flatten(),
    ) {
        (_, Some(variant)) => write(&variant, was_lf),
        (Some(Treatment::Held(cause)), None) => Err(Failure::new(
            Exit::Data,
            format_args!("held (451): {cause}"),
        )),
        (Some(Treatment::Rejected(cause)), None) => Err(Failure::new(
            Exit::Data,
            format_args!("rejected (550): {cause}"),
        )),
        (Some(Treatment::Forward { .. }) | None, None) => {
            Err(Failure::new(Exit::Unavailable, "no variant was made"))
        }
    }
}

/// The listener that mail would come by.
pub(super) fn listener(file: &File, asked: Option<&str>) -> Result<String, Failure> {
    let mut listeners = file.listeners.iter().map(|door| door.address.to_string());
    let listener = match asked {
        None => listeners.next(),
        Some(asked) => listeners.find(|address| address == asked),
    };
    listener.ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            "--listener is not the address of a [[listener]]",
        )
    })
}

fn input(arguments: &Arguments) -> Result<Vec<u8>, Failure> {
    let read = match &arguments.message {
        Some(path) => std::fs::read(path).map_err(|error| format!("{}: {error}", path.display())),
        None => {
            let mut octets = Vec::new();
            std::io::stdin()
                .lock()
                .read_to_end(&mut octets)
                .map(|_| octets)
                .map_err(|error| format!("standard input: {error}"))
        }
    };
    read.map_err(|error| Failure::new(Exit::Data, error))
}

/// The message with CRLF, and whether it came with LF.
fn line_ends(octets: Vec<u8>, crlf: bool) -> Result<(Vec<u8>, bool), Failure> {
    let lf = memchr::memchr_iter(b'\n', &octets).count();
    let cr = memchr::memchr_iter(b'\r', &octets).count();
    let pairs = memchr::memmem::find_iter(&octets, b"\r\n").count();
    if memchr::memchr(0, &octets).is_some() {
        return Err(Failure::new(
            Exit::Data,
            "the message holds a NUL octet, which `serve` refuses (550 5.6.0)",
        ));
    }
    if cr == pairs && lf == pairs {
        return Ok((octets, false));
    }
    if cr != 0 && !crlf {
        return Err(Failure::new(
            Exit::Data,
            "the message mixes line ends; --crlf makes every one CRLF",
        ));
    }
    let was_lf = cr == 0 && !crlf;
    let mut made = Vec::with_capacity(octets.len() + lf);
    let mut before = 0;
    for octet in octets {
        match octet {
            b'\n' if before == b'\r' => {}
            b'\n' | b'\r' => made.extend_from_slice(b"\r\n"),
            _ => made.push(octet),
        }
        before = octet;
    }
    Ok((made, was_lf))
}

fn write(variant: &Spliced, as_lf: bool) -> Result<(), Failure> {
    let failed = |error| Failure::new(Exit::Unavailable, format_args!("standard output: {error}"));
    let mut out = std::io::stdout().lock();
    if as_lf {
        let octets = variant.to_bytes();
        let mut rest = octets.as_ref();
        while let Some(at) = memchr::memmem::find(rest, b"\r\n") {
            out.write_all(rest.get(..at).unwrap_or_default())
                .and_then(|()| out.write_all(b"\n"))
                .map_err(failed)?;
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        out.write_all(rest).map_err(failed)?;
    } else {
        for piece in variant.pieces() {
            out.write_all(piece).map_err(failed)?;
        }
    }
    out.flush().map_err(failed)
}

/// One JSON object for each finding, one for each part that cannot be read, one for what is only reported, one for each replaced range.
fn explain(examined: &Examined<'_>, keys: &Keys, to: &str) -> Result<(), Failure> {
    let survey = &examined.survey;
    let mut lines = Vec::new();
    let decisions = examined
        .recipients
        .first()
        .map(|recipient| (recipient.enforced, &recipient.decisions));
    let decision = |n: usize| {
        decisions
            .and_then(|(enforced, decisions)| decisions.get(n).map(|decision| (enforced, decision)))
    };
    for (n, found) in survey.findings.iter().enumerate() {
        let Some((enforced, decision)) = decision(n) else {
            continue;
        };
        let finding = &found.finding;
        lines.push(json!({
            "finding": n, "to": to, "stream": examined.assignment.stream.name, "part": found.path, "line": finding.line,
            "vector": finding.vector.as_str(), "host": shown_host(keys, &finding.host), "url_hash": shown_url(keys, &finding.url),
            "url_sha256": hex(ring::digest::digest(&ring::digest::SHA256, finding.url.as_bytes()).as_ref()),
            "verdict": finding.verdict.as_str(), "evidence": finding.evidence.iter().map(evidence).collect::<Vec<_>>(),
            "treatment": finding.treatment.as_str(), "action": if enforced || decision.keeps() { decision.action.to_string() } else { "would_strip".to_owned() },
            "basis": decision.basis.map(|basis| basis.to_string()), "reason": decision.reason.map(|reason| reason.to_string()),
            "uninspectable": found.fixed.map(super::super::relay::survey::Uninspectable::as_str),
            "proof": decision.proofs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
    }
    for (offset, blind) in survey.blind.iter().enumerate() {
        let Some((_, decision)) = decision(survey.findings.len() + offset) else {
            continue;
        };
        lines.push(json!({
            "part": blind.path, "to": to, "uninspectable": blind.why.as_str(), "action": decision.action.to_string(),
            "basis": decision.basis.map(|basis| basis.to_string()), "reason": decision.reason.map(|reason| reason.to_string()),
        }));
    }
    for reported in &survey.reported {
        lines.push(json!({ "reported": reported.kind.as_str(), "part": reported.path, "line": reported.line }));
    }
    for variant in examined.variants.iter().flatten() {
        for splice in variant.splices() {
            lines.push(json!({ "range": [splice.range.start, splice.range.end], "octets": splice.replacement.len() }));
        }
    }
    let mut err = std::io::stderr().lock();
    for line in lines {
        writeln!(err, "{line}").map_err(|error| {
            Failure::new(Exit::Unavailable, format_args!("standard error: {error}"))
        })?;
    }
    Ok(())
}
