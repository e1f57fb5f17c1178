//! From a socket to a connection that can carry mail: TLS, greeting, EHLO, login, and no loop.
//!
//! What was said before TLS counts for nothing behind it. Whatever a server sends between its 220 and the handshake came from
//! somebody in the middle, and ends the connection. A password is said under TLS only, unless the operator allows it in clear;
//! it must never be logged.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Way, connect, due};
use super::pool::Ready;
use super::secure::{Secure, TlsMode};
use super::settings::Settings;
use super::unreachable::{Step, Unreachable};
use crate::smtp::Protocol;
use crate::smtp::extensions::Extensions;
use crate::smtp::reply::{Reply, Severity};

/// Connects and does all that has to be done before MAIL.
pub(super) async fn open(
    ready: &Ready,
    until: Option<Instant>,
) -> Result<Box<Connection>, Unreachable> {
    let secure = ready.secure.as_ref();
    match attempt(ready, secure, until).await {
        Err(error) if is_optional(secure) && is_of_tls(&error) => {
            tracing::warn!(next_hop = %ready.settings.address, %error, "no TLS with the next hop: going on in clear (tls.mode = opportunistic)");
            attempt(ready, None, until).await
        }
        ended => ended,
    }
}

fn is_optional(secure: Option<&Secure>) -> bool {
    secure.is_some_and(|secure| secure.mode == TlsMode::Opportunistic && !secure.implicit)
}

/// Whether it was TLS that failed, and not the server behind it.
fn is_of_tls(error: &Unreachable) -> bool {
    matches!(
        error,
        Unreachable::Tls(_)
            | Unreachable::Said {
                step: Step::Starttls,
                ..
            }
            | Unreachable::Closed {
                step: Step::Starttls
            }
            | Unreachable::TimedOut {
                step: Step::Starttls
            }
            | Unreachable::Io {
                step: Step::Starttls,
                ..
            }
    )
}

async fn attempt(
    ready: &Ready,
    secure: Option<&Secure>,
    until: Option<Instant>,
) -> Result<Box<Connection>, Unreachable> {
    let settings = &ready.settings;
    let by = due(settings.limits.connect_timeout_seconds, until);
    let step = Step::Connect;
    let connecting = connect(&settings.address, settings.source_address, by);
    let stream = timeout_at(by, connecting)
        .await
        .map_err(|_| Unreachable::TimedOut { step })?
        .map_err(|source| Unreachable::Io { step, source })?;
    let mut connection = Box::new(Connection::new(stream, settings.limits.clone()));
    if let Some(secure) = secure.filter(|secure| secure.implicit) {
        connection.handshake(secure, until).await?;
    }
    let by = due(settings.limits.greeting_timeout_seconds, until);
    let greeting = connection.reply(Step::Greeting, by).await?;
    if !greeting.is_done() {
        return Err(Unreachable::said(Step::Greeting, &greeting));
    }
    connection.hello(settings, until).await?;
    if let Some(secure) = secure.filter(|secure| !secure.implicit) {
        connection.starttls(secure, until).await?;
        if connection.way() == Way::Secure {
            connection.hello(settings, until).await?;
        }
    }
    if connection.extensions().xpixelgate && !settings.chained {
        connection.farewell().await;
        return Err(Unreachable::Loop);
    }
    if let Some(login) = &ready.login {
        if connection.way() == Way::Clear && !login.plaintext {
            return Err(Unreachable::Tls(
                "auth needs TLS, and there is none (auth.plaintext allows it in clear)".to_owned(),
            ));
        }
        connection.login(login, until).await?;
    }
    // A server that has said more than it was asked is not one to give mail to.
    if connection.has_unread_input() {
        return Err(Unreachable::OutOfTurn { step: Step::Hello });
    }
    Ok(connection)
}

/// A name and its password, read from its file.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
    pub(super) plaintext: bool,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Login")
    }
}

impl Connection {
    async fn hello(
        &mut self,
        settings: &Settings,
        until: Option<Instant>,
    ) -> Result<(), Unreachable> {
        let verb = match settings.protocol {
            Protocol::Smtp => "EHLO",
            Protocol::Lmtp => "LHLO",
        };
        let mut reply = self.say_hello(verb, &settings.helo, until).await?;
        // RFC 5321 3.2: a server that does not know EHLO is asked with HELO. There is no such way in LMTP.
        let old = settings.protocol == Protocol::Smtp && reply.severity() == Severity::Refused;
        if old {
            reply = self.say_hello("HELO", &settings.helo, until).await?;
        }
        if !reply.is_done() {
            return Err(Unreachable::said(Step::Hello, &reply));
        }
        let mut announced = match old {
            true => Extensions::default(),
            false => Extensions::from_ehlo_lines(reply.lines().iter().skip(1).map(String::as_str)),
        };
        // RFC 8689 4.2.1: a server that was not proved to be the right one cannot give it.
        announced.requiretls &= self.is_verified();
        self.set_extensions(announced);
        Ok(())
    }

    async fn say_hello(
        &mut self,
        verb: &str,
        name: &str,
        until: Option<Instant>,
    ) -> Result<Reply, Unreachable> {
        self.ask(Step::Hello, &format!("{verb} {name}"), until)
            .await
    }

    /// STARTTLS where it is offered; where it is not, nothing if TLS may be missing, else an error.
    async fn starttls(
        &mut self,
        secure: &Secure,
        until: Option<Instant>,
    ) -> Result<(), Unreachable> {
        if !self.extensions().starttls {
            return match secure.mode {
                TlsMode::None | TlsMode::Opportunistic => Ok(()),
                TlsMode::Required | TlsMode::Verified => Err(Unreachable::Tls(
                    "the next hop does not announce STARTTLS".to_owned(),
                )),
            };
        }
        let reply = self.ask(Step::Starttls, "STARTTLS", until).await?;
        if reply.code() != 220 {
            return Err(Unreachable::said(Step::Starttls, &reply));
        }
        if self.has_unread_input() {
            return Err(Unreachable::OutOfTurn {
                step: Step::Starttls,
            });
        }
        self.handshake(secure, until).await
    }

    async fn handshake(
        &mut self,
        secure: &Secure,
        until: Option<Instant>,
    ) -> Result<(), Unreachable> {
        let by = due(self.limits().handshake_timeout_seconds, until);
        let connector = TlsConnector::from(std::sync::Arc::clone(&secure.config));
        let stream = self.take_stream();
        let verified = secure.mode == TlsMode::Verified;
        match timeout_at(by, connector.connect(secure.name.clone(), stream)).await {
            Ok(Ok(stream)) => {
                self.set_secure(Box::new(stream), verified);
                Ok(())
            }
            Ok(Err(error)) => Err(Unreachable::Tls(error.to_string())),
            Err(_) => Err(Unreachable::TimedOut {
                step: Step::Starttls,
            }),
        }
    }

    async fn login(&mut self, login: &Login, until: Option<Instant>) -> Result<(), Unreachable> {
        let offered = &self.extensions().auth;
        let refused = |reply: &Reply| Unreachable::said(Step::Auth, reply);
        let reply = if offered.contains("PLAIN") {
            let message = format!("\0{}\0{}", login.user, login.password);
            let line = format!("AUTH PLAIN {}", STANDARD.encode(message));
            self.ask(Step::Auth, &line, until).await?
        } else if offered.contains("LOGIN") {
            let mut reply = self.ask(Step::Auth, "AUTH LOGIN", until).await?;
            for answer in [&login.user, &login.password] {
                if reply.code() != 334 {
                    return Err(refused(&reply));
                }
                let line = STANDARD.encode(answer);
                reply = self.ask(Step::Auth, &line, until).await?;
            }
            reply
        } else {
            return Err(Unreachable::NoAuth);
        };
        match reply.code() {
            235 => Ok(()),
            _ => Err(refused(&reply)),
        }
    }
}

/// How long a hop is left in peace after so many failures in a row.
pub(super) fn back_off(failures: u32, first: Duration, most: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    first.saturating_mul(1 << doublings).min(most)
}
