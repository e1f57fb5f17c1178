//! What `strip --explain` says: for programs one JSON object a line, for people a paragraph for each finding.
//!
//! Both say what was found where, by which evidence, what was decided and why, and what was done. Neither shows a URL in clear.

use std::fmt::Write as _;

use serde_json::json;

use super::super::paper::{counted, wrap};
use super::super::plain;
use crate::mime::splice::Splice;
use crate::register::Keys;
use crate::relay::decide::Decision;
use crate::relay::examine::Examined;
use crate::relay::record::{evidence, hex, shown_host, shown_url};
use crate::relay::survey::{Blind, Found, Uninspectable};

/// One JSON object for each finding, one for each part that cannot be read, one for what is only reported, one for each
/// replaced range.
pub(super) fn json(examined: &Examined<'_>, keys: &Keys, to: &str) -> String {
    let survey = &examined.survey;
    let mut lines = Vec::new();
    for (n, found, decision, acts) in findings(examined) {
        let finding = &found.finding;
        lines.push(json!({
            "finding": n, "to": to, "stream": examined.assignment.stream.name, "part": found.path, "line": finding.line,
            "vector": finding.vector.as_str(), "host": shown_host(keys, &finding.host), "url_hash": shown_url(keys, &finding.url),
            "url_sha256": hex(ring::digest::digest(&ring::digest::SHA256, finding.url.as_bytes()).as_ref()),
            "verdict": finding.verdict.as_str(), "evidence": finding.evidence.iter().map(evidence).collect::<Vec<_>>(),
            "treatment": finding.treatment.as_str(), "action": action(decision, acts),
            "basis": decision.basis.map(|basis| basis.to_string()), "reason": decision.reason.map(|reason| reason.to_string()),
            "uninspectable": found.fixed.map(Uninspectable::as_str),
            "proof": decision.proofs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
    }
    for (blind, decision) in blind(examined, survey.findings.len()) {
        lines.push(json!({
            "part": blind.path, "to": to, "uninspectable": blind.why.as_str(), "action": decision.action.to_string(),
            "basis": decision.basis.map(|basis| basis.to_string()), "reason": decision.reason.map(|reason| reason.to_string()),
        }));
    }
    for reported in &survey.reported {
        lines.push(json!({ "reported": reported.kind.as_str(), "part": reported.path, "line": reported.line }));
    }
    for splice in splices(examined) {
        lines.push(json!({ "range": [splice.range.start, splice.range.end], "octets": splice.replacement.len() }));
    }
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

/// The same for people; the codes that ledger and JSON have stand in brackets.
pub(super) fn text(examined: &Examined<'_>, keys: &Keys, to: &str) -> String {
    let survey = &examined.survey;
    let mut text = String::new();
    let stream = &examined.assignment.stream.name;
    let found = counted(survey.findings.len() as u64, "finding", "findings");
    let line = format!("{found} for {to}, judged as mail of stream {stream}.");
    wrap(&mut text, &line, "", "  ");
    for (n, found, decision, acts) in findings(examined) {
        text.push('\n');
        let host = shown_host(keys, &found.finding.host);
        finding(&mut text, n, found, host.as_str(), decision, acts);
    }
    for (blind, decision) in blind(examined, survey.findings.len()) {
        let why = blind.why.as_str();
        let line = format!(
            "Part {} could not be inspected: {} [{why}].",
            blind.path,
            plain::uninspectable(why)
        );
        text.push('\n');
        wrap(&mut text, &line, "", "  ");
        decided(&mut text, decision, true);
    }
    for reported in &survey.reported {
        let what = reported.kind.as_str();
        let line = format!(
            "Part {}, line {}: {} [{what}]. It is reported, and stays as it is.",
            reported.path,
            reported.line,
            plain::reported(what)
        );
        text.push('\n');
        wrap(&mut text, &line, "", "  ");
    }
    let (mut ranges, mut octets) = (0_u64, 0_u64);
    for splice in splices(examined) {
        ranges = ranges.saturating_add(1);
        octets = octets.saturating_add(splice.range.len() as u64);
    }
    let line = match ranges {
        0 => "Nothing in the message is changed.".to_owned(),
        _ => format!(
            "{} of the message, {octets} octets, replaced; all other octets are as they came.",
            counted(ranges, "range", "ranges")
        ),
    };
    text.push('\n');
    wrap(&mut text, &line, "", "  ");
    text
}

fn finding(
    text: &mut String,
    n: usize,
    found: &Found,
    host: &str,
    decision: &Decision,
    acts: bool,
) {
    let finding = &found.finding;
    let line = format!(
        "{}. Part {}, line {}: a {} from {host} is {} [{}].",
        n.saturating_add(1),
        found.path,
        finding.line,
        plain::vector(finding.vector.as_str()),
        plain::verdict(finding.verdict.as_str()),
        finding.verdict.as_str()
    );
    wrap(text, &line, "", "   ");
    for one in &finding.evidence {
        let code = evidence(one);
        let line = format!("{} [{code}]", plain::evidence(&code));
        wrap(text, &line, "   - ", "     ");
    }
    if let Some(why) = found.fixed {
        let line = format!(
            "It cannot be taken out: of its part, {} [{}].",
            plain::uninspectable(why.as_str()),
            why.as_str()
        );
        wrap(text, &line, "   ", "   ");
    }
    decided(text, decision, acts);
    if acts && !decision.keeps() && found.fixed.is_none() {
        let treatment = finding.treatment.as_str();
        let line = format!("Done: {} [{treatment}].", plain::treatment(treatment));
        wrap(text, &line, "   ", "   ");
    }
}

fn decided(text: &mut String, decision: &Decision, acts: bool) {
    let (why, code) = match (&decision.basis, &decision.reason) {
        (Some(basis), _) => {
            let word = basis.to_string();
            (plain::basis(&word).to_owned(), word)
        }
        (None, reason) => {
            let word = reason.map(|reason| reason.to_string()).unwrap_or_default();
            (plain::reason(&word).to_owned(), word)
        }
    };
    let action = action(decision, acts);
    let line = format!(
        "Decided: {}, because {why} [{action}, {code}].",
        plain::action(&action)
    );
    wrap(text, &line, "   ", "   ");
}

/// Every finding with its number, its decision, and whether the decision acts.
fn findings<'e>(
    examined: &'e Examined<'_>,
) -> impl Iterator<Item = (usize, &'e Found, &'e Decision, bool)> {
    let recipient = examined.recipients.first();
    let findings = examined.survey.findings.iter().enumerate();
    findings.filter_map(move |(n, found)| {
        let recipient = recipient?;
        let decision = recipient.decisions.get(n)?;
        Some((n, found, decision, recipient.enforced || decision.keeps()))
    })
}

/// Every part that cannot be read, with its decision.
fn blind<'e>(
    examined: &'e Examined<'_>,
    findings: usize,
) -> impl Iterator<Item = (&'e Blind, &'e Decision)> {
    let recipient = examined.recipients.first();
    let blind = examined.survey.blind.iter().enumerate();
    blind.filter_map(move |(offset, blind)| {
        let decision = recipient?.decisions.get(findings.saturating_add(offset))?;
        Some((blind, decision))
    })
}

fn splices<'e>(examined: &'e Examined<'_>) -> impl Iterator<Item = &'e Splice> {
    let variants = examined.variants.iter().flatten();
    variants.flat_map(|variant| variant.splices())
}

fn action(decision: &Decision, acts: bool) -> String {
    match acts {
        true => decision.action.to_string(),
        false => "would_strip".to_owned(),
    }
}
