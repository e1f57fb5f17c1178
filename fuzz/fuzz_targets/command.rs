//! Any line: parsing never panics, and nothing that goes on to a next hop holds a control character.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pixelgate::smtp::command::Command;
use pixelgate::smtp::parameter::Parameters;
use pixelgate::smtp::path::{ForwardPath, ReversePath};

fn clean(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

fn clean_parameters(parameters: &Parameters) {
    for parameter in &parameters.0 {
        clean(&parameter.keyword);
        clean(parameter.value.as_deref().unwrap_or_default());
    }
}

fuzz_target!(|line: &[u8]| {
    match Command::parse(line) {
        Ok(Command::Mail(mail)) => {
            let text = mail.reverse_path.as_str();
            clean(text);
            assert_eq!(ReversePath::parse(text).as_ref(), Some(&mail.reverse_path));
            clean_parameters(&mail.parameters);
        }
        Ok(Command::Rcpt(rcpt)) => {
            let text = rcpt.forward_path.as_str();
            clean(text);
            assert_eq!(ForwardPath::parse(text).as_ref(), Some(&rcpt.forward_path));
            clean_parameters(&rcpt.parameters);
        }
        Ok(Command::Ehlo(name) | Command::Lhlo(name) | Command::Helo(name)) => clean(&name),
        Ok(Command::Xforward(pairs)) => pairs.iter().for_each(|(_, value)| clean(value)),
        Ok(_) => {}
        Err(reply) => assert!(reply.code() >= 500 && reply.to_wire().lines().count() == 1),
    }
});
