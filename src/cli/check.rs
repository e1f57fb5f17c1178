//! `pixelgate check`: reads the configuration and says what it means; exit 78 names what is wrong.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::serve::read;
use super::{Failure, say};
use crate::config::File;
use crate::pixel::Rules;
use crate::relay::settings::WithdrawalLink;

pub(super) fn run(config: Option<PathBuf>) -> Result<(), Failure> {
    let config = read(config)?;
    let mut text = format!("{}: right\n", config.path.display());
    describe(&mut text, &config.file);
    for remark in &config.remarks {
        let _ = writeln!(text, "note: {remark}");
    }
    let _ = writeln!(
        text,
        "note: visible images that are individual are only acted on at known open-tracking endpoints; links are never touched"
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
            "listener {} ({:?}), mail taken from {}",
            listener.address,
            listener.protocol,
            networks.join(", ")
        );
    }
    for next_hop in &file.next_hops {
        let _ = writeln!(text, "next hop {}", next_hop.address);
    }
    for stream in file.streams().all() {
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
            let _ = writeln!(
                text,
                "  {} needs consent to {} (for {})",
                tracker.hosts.join(", "),
                purposes.join(" and "),
                tracker.recipient
            );
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
