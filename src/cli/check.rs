//! `pixelgate check`: reads the configuration and says what it means; exit 78 names what is wrong.

mod law;

use std::fmt::Write as _;
use std::path::PathBuf;

use super::serve::read;
use super::{Failure, say};
use crate::config::File;
use crate::pixel::Rules;
use crate::relay::settings::{Stream, WithdrawalLink};
use crate::relay::speaks::{FIELD, Speaks};
use crate::smtp::Protocol;

pub(super) fn run(config: Option<PathBuf>) -> Result<(), Failure> {
    let config = read(config)?;
    let mut text = format!("{}: right\n", config.path.display());
    describe(&mut text, &config.file);
    for remark in &config.remarks {
        let _ = writeln!(text, "note: {remark}");
    }
    let _ = writeln!(
        text,
        "note: visible images that are individual are found where one message, or many (`[learn]`), prove it, and each stream's individual_images decides; links are never touched"
    );
    say(&text)
}

fn describe(text: &mut String, file: &File) {
    for listener in &file.listeners {
        let networks: Vec<String> = listener
            .trusted_networks
            .iter()
            .map(ToString::to_string)
            .collect();
        let _ = writeln!(
            text,
            "listener {} ({}), mail taken from {}",
            listener.address,
            match listener.protocol {
                Protocol::Smtp => "smtp",
                Protocol::Lmtp => "lmtp",
            },
            networks.join(", ")
        );
    }
    for listener in &file.listeners {
        let _ = match &listener.controllers {
            Speaks::OfItsStreams => continue,
            Speaks::Listed(names) => writeln!(
                text,
                "listener {} speaks for {}",
                listener.address,
                names.iter().cloned().collect::<Vec<_>>().join(", ")
            ),
            Speaks::Named => writeln!(
                text,
                "listener {} speaks for whomever {FIELD} names",
                listener.address
            ),
        };
    }
    for next_hop in &file.next_hops {
        let _ = writeln!(text, "next hop {}", next_hop.address);
    }
    for stream in file.streams().all() {
        describe_stream(text, stream);
    }
    if let Ok(lawbook) = file.lawbook() {
        law::describe(text, &lawbook);
    }
    let rules = Rules::built_in();
    let _ = writeln!(
        text,
        "{} detection rules: {}",
        rules.all().len(),
        rules
            .all()
            .iter()
            .map(|rule| rule.name.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    );
}

fn describe_stream(text: &mut String, stream: &Stream) {
    let _ = writeln!(
        text,
        "stream `{}`: {} mail of {}",
        stream.name,
        stream.kind,
        match &stream.controller {
            Some(controller) => format!("controller `{controller}`"),
            None => "every controller for which its listeners speak".to_owned(),
        }
    );
    for tracker in &stream.trackers {
        let purposes: Vec<String> = tracker.purposes.iter().map(ToString::to_string).collect();
        let (hosts, purposes) = (tracker.hosts.join(", "), purposes.join(" and "));
        let exempt = tracker
            .purposes
            .iter()
            .all(|purpose| purpose.may_be_exempt());
        let _ = match exempt {
            false => writeln!(
                text,
                "  {hosts} needs consent to {purposes} (for {})",
                tracker.recipient
            ),
            true => writeln!(
                text,
                "  {hosts} is for {purposes}: without consent only where the recipient's profile exempts it (for {})",
                tracker.recipient
            ),
        };
    }
    let all = stream.trackers.iter().flat_map(|tracker| &tracker.hosts);
    if !all.into_iter().any(|host| host == "*") {
        let _ = writeln!(text, "  any other host needs consent to every purpose");
    }
    let _ = match &stream.withdrawal_link {
        None => writeln!(text, "  no withdrawal link is asked for in the mail"),
        Some(WithdrawalLink::Elsewhere(link)) => {
            writeln!(text, "  recipients withdraw elsewhere: {}", link.elsewhere)
        }
        Some(WithdrawalLink::Checked(link)) => writeln!(
            text,
            "  nothing is kept without a link that starts with {}",
            link.url_prefix
        ),
    };
}
