//! Commands (RFC 5321 4.1) out of one line each, octet-exact: paths and parameter values stay as the client wrote them.
//!
//! Verbs and keywords are read in any case, blanks at the end are tolerated. Control characters, NUL and octets that
//! are not UTF-8 are refused here, so that nothing parsed can become a second command to a next hop.
//! It must never know a state: whether a command is legal now is the dialog's business.
//! A line that is no command is the [`Reply`] the client deserves.

use super::auth;
use super::parameter::Parameters;
use super::path::{ForwardPath, ReversePath, split_bracketed};
use super::reply::Reply;
use super::transaction::{Mail, Rcpt};
use super::xforward::{self, Attribute};
use super::{path, replies, xclient};

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `EHLO name`.
    Ehlo(String),
    /// `LHLO name` (RFC 2033).
    Lhlo(String),
    /// `HELO name`.
    Helo(String),
    /// `MAIL FROM:<path> parameters`.
    Mail(Mail),
    /// `RCPT TO:<path> parameters`.
    Rcpt(Rcpt),
    /// `DATA`.
    Data,
    /// `RSET`.
    Rset,
    /// `NOOP`, with or without an argument.
    Noop,
    /// `QUIT`.
    Quit,
    /// `VRFY anything`.
    Vrfy,
    /// `EXPN anything`.
    Expn,
    /// `HELP`, with or without an argument.
    Help,
    /// `XFORWARD attribute=value …`, decoded.
    Xforward(Vec<(Attribute, String)>),
    /// `STARTTLS`.
    Starttls,
    /// `AUTH mechanism [initial-response]`.
    Auth(auth::Start),
    /// `BDAT octets [LAST]` (RFC 3030): so many octets of message content follow, not commands.
    Bdat {
        /// How many.
        octets: u64,
        /// Whether they are the last ones.
        last: bool,
    },
    /// `BDAT` and something else: where the next command begins is not known.
    BadBdat,
    /// `XCLIENT attribute=value …`, decoded.
    Xclient(xclient::Xclient),
    /// A request of another protocol, sent here by a browser or a probe.
    Foreign,
    /// Any other verb.
    Unknown,
}

/// Octets of the name a client gives in EHLO.
const HELLO_OCTETS: usize = path::DOMAIN_OCTETS;

impl Command {
    /// Reads one line without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Self, Reply> {
        match Self::understood(line) {
            // Whatever is wrong with it, content follows that must not be read as commands.
            Err(_) if is_bdat(line) => Ok(Self::BadBdat),
            read => read,
        }
    }

    fn understood(line: &[u8]) -> Result<Self, Reply> {
        if line
            .iter()
            .any(|octet| (*octet < 0x20 && *octet != b'\t') || *octet == 0x7f)
        {
            return Err(replies::control_in_command());
        }
        let text = std::str::from_utf8(line).map_err(|_| replies::command_not_utf8())?;
        let text = text.trim_end_matches([' ', '\t']);
        let (verb, argument) = match text.split_once([' ', '\t']) {
            Some((verb, argument)) => (verb, argument.trim_start_matches([' ', '\t'])),
            None => (text, ""),
        };
        read(verb, argument)
    }
}

fn read(verb: &str, argument: &str) -> Result<Command, Reply> {
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => hello(argument, "EHLO name").map(Command::Ehlo),
        "LHLO" => hello(argument, "LHLO name").map(Command::Lhlo),
        "HELO" => hello(argument, "HELO name").map(Command::Helo),
        "MAIL" => mail(argument).map(Command::Mail),
        "RCPT" => rcpt(argument).map(Command::Rcpt),
        "DATA" => bare(argument, Command::Data, "DATA"),
        "RSET" => bare(argument, Command::Rset, "RSET"),
        "QUIT" => bare(argument, Command::Quit, "QUIT"),
        "NOOP" => Ok(Command::Noop),
        "HELP" => Ok(Command::Help),
        "VRFY" if argument.is_empty() => Err(replies::syntax("VRFY string")),
        "VRFY" => Ok(Command::Vrfy),
        "EXPN" => Ok(Command::Expn),
        "XFORWARD" => Ok(Command::Xforward(xforward::parse(argument)?)),
        "STARTTLS" => bare(argument, Command::Starttls, "STARTTLS"),
        "AUTH" => auth::parse(argument).map(Command::Auth),
        "BDAT" => Ok(bdat(argument).unwrap_or(Command::BadBdat)),
        "XCLIENT" => xclient::parse(argument).map(Command::Xclient),
        "GET" | "POST" | "PUT" | "HEAD" | "OPTIONS" | "CONNECT" => Ok(Command::Foreign),
        _ => Ok(Command::Unknown),
    }
}

/// Whether a line begins with this verb, readable or not behind it.
fn is_bdat(line: &[u8]) -> bool {
    let (verb, behind) = line.split_at_checked("BDAT".len()).unwrap_or_default();
    verb.eq_ignore_ascii_case(b"BDAT") && !behind.first().is_some_and(u8::is_ascii_alphanumeric)
}

fn bdat(argument: &str) -> Option<Command> {
    let mut words = argument.split([' ', '\t']).filter(|word| !word.is_empty());
    let octets = words.next()?;
    let digits = octets.bytes().all(|octet| octet.is_ascii_digit());
    let octets = octets.parse().ok().filter(|_| digits)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return None,
    };
    words
        .next()
        .is_none()
        .then_some(Command::Bdat { octets, last })
}

fn bare(argument: &str, command: Command, verb: &str) -> Result<Command, Reply> {
    if argument.is_empty() {
        Ok(command)
    } else {
        Err(replies::no_argument(verb))
    }
}

fn hello(argument: &str, form: &str) -> Result<String, Reply> {
    // RFC 5321 4.1.4: the name must not be a reason to refuse mail, so anything in one word will do. Who writes it
    // into a field quotes it there.
    let one_word = !argument.is_empty() && !argument.chars().any(char::is_whitespace);
    if !one_word || argument.len() > HELLO_OCTETS || argument.chars().any(char::is_control) {
        return Err(replies::syntax(form));
    }
    Ok(argument.to_owned())
}

fn mail(argument: &str) -> Result<Mail, Reply> {
    let path = behind(argument, "FROM:").ok_or_else(|| replies::syntax("MAIL FROM:<path>"))?;
    let (inside, rest) = split_path(path).ok_or_else(replies::bad_reverse_path)?;
    let reverse_path = ReversePath::parse(inside).ok_or_else(replies::bad_reverse_path)?;
    let parameters = Parameters::parse_mail(rest)?;
    let ascii = reverse_path.as_str().is_ascii() && parameters.is_ascii();
    if !ascii && !parameters.has("SMTPUTF8") {
        return Err(replies::reverse_path_needs_smtputf8());
    }
    Ok(Mail {
        reverse_path,
        parameters,
    })
}

fn rcpt(argument: &str) -> Result<Rcpt, Reply> {
    let path = behind(argument, "TO:").ok_or_else(|| replies::syntax("RCPT TO:<path>"))?;
    let (inside, rest) = split_path(path).ok_or_else(replies::bad_forward_path)?;
    Ok(Rcpt {
        forward_path: ForwardPath::parse(inside).ok_or_else(replies::bad_forward_path)?,
        parameters: Parameters::parse_rcpt(rest)?,
    })
}

/// What follows a prefix in any case; a blank behind the colon is common and harmless.
fn behind<'a>(argument: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = argument.split_at_checked(prefix.len())?;
    start
        .eq_ignore_ascii_case(prefix)
        .then(|| rest.trim_start_matches([' ', '\t']))
}

fn split_path(text: &str) -> Option<(&str, &str)> {
    let (inside, rest) = split_bracketed(text)?;
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then_some((inside, rest))
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
