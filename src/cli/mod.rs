//! The command line: words in, exit codes out (0 done, 64 usage, 65 bad input data, 69 a service is unavailable,
//! 75 try again, 78 configuration).
//!
//! The only place that prints. Knows which command does what; it must never decide about mail itself.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod check;
mod consent;
mod extract;
mod keys;
mod learn;
mod ledger;
mod log;
mod paper;
mod plain;
mod report;
mod serve;
mod spool;
mod strip;
mod why;

/// Exit codes (sysexits.h), part of what others build on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command line is wrong.
    Usage = 64,
    /// The input is wrong.
    Data = 65,
    /// Something this command needs is not there.
    Unavailable = 69,
    /// Another process holds what this one needs; try again.
    Again = 75,
    /// The configuration is wrong.
    Config = 78,
}

/// What a command failed of: the exit code and one line for the operator.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What to print, without the program's name.
    pub message: String,
}

impl Failure {
    fn new(exit: Exit, message: impl std::fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
        }
    }
}

/// An SMTP relay that strips tracking pixels in transit, by each recipient's recorded consent.
#[derive(Debug, Parser)]
#[command(name = "pixelgate", version, arg_required_else_help = true)]
struct Line {
    /// Configuration file [default: ./config/pixelgate.toml, then /etc/pixelgate/pixelgate.toml]
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay
    Serve,
    /// Read the configuration, say what it means and what is wrong with it
    Check,
    /// Treat one message exactly as `serve` would, and write it to standard output
    Strip(strip::Arguments),
    /// The consent register
    #[command(subcommand)]
    Consent(consent::Command),
    /// Say what was done with the trackers in mail to one person, and why
    Why(why::Why),
    /// The ledger: every decision that was written down
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// What is owed and lies on disk
    #[command(subcommand)]
    Spool(spool::Command),
    /// The keys of the register
    #[command(subcommand)]
    Keys(keys::Command),
    /// What was learned over many messages
    #[command(subcommand)]
    Learn(learn::Command),
}

#[derive(Debug, Clone, Args)]
struct Whom {
    /// The controller the consent was given to
    #[arg(long, default_value = "default")]
    controller: String,
    /// The e-mail address
    #[arg(long = "to", value_name = "ADDRESS")]
    address: String,
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let wanted = matches!(
                error.kind(),
                clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion
            );
            // Help that was asked for is an answer and goes to standard output; everything else is a complaint.
            let text = error.render().to_string();
            let written = if wanted {
                std::io::stdout().write_all(text.as_bytes())
            } else {
                std::io::stderr().write_all(text.as_bytes())
            };
            return if wanted && written.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(Exit::Usage as u8)
            };
        }
    };
    let config = line.config;
    let result = match line.command {
        Command::Serve => serve::run(config),
        Command::Check => check::run(config),
        Command::Strip(arguments) => strip::run(config, &arguments),
        Command::Consent(command) => consent::run(config, command),
        Command::Why(why) => why::run(config, &why),
        Command::Ledger(command) => ledger::run(config, command),
        Command::Spool(command) => spool::run(config, command),
        Command::Keys(command) => keys::run(config, command),
        Command::Learn(command) => learn::run(config, command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.message);
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// One line to standard error. A closed standard error is nobody listening, not a failure.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "pixelgate: {message}");
}

/// Text to standard output; a closed pipe ends the command with an error the operator sees.
fn say(text: &str) -> Result<(), Failure> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::new(Exit::Unavailable, format_args!("standard output: {error}")))
}
