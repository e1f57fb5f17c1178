//! Who the client is: STARTTLS (RFC 3207), AUTH (RFC 4954) and XCLIENT.
//!
//! Each of them changes what the client may do, and none of them leaves anything of what was said before. A handshake that
//! fails ends the session; a login that fails leaves a stranger. It must never log a password or what a client claims to be.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncWrite};

use super::door::TlsMode;
use super::wire::{Line, WireError};
use super::{Flow, Session};
use crate::smtp::auth::{self, Credentials, Mechanism, Start};
use crate::smtp::replies;
use crate::smtp::reply::Reply;
use crate::smtp::xclient::Xclient;
use crate::smtp::xforward::Xforward;

/// What a failed login costs a client that guesses.
const AFTER_A_FAILURE: Duration = Duration::from_millis(500);

impl<S: AsyncRead + AsyncWrite + Unpin> Session<'_, S> {
    /// When TLS begins here.
    pub(super) fn tls_mode(&self) -> Option<TlsMode> {
        self.door.tls.as_ref().map(|tls| tls.mode)
    }

    /// STARTTLS: 220, the handshake, and everything anew.
    pub(super) async fn starttls(&mut self) -> Result<Flow, WireError> {
        self.ask_group().await;
        self.wire.say(&replies::ready_for_tls());
        self.wire.flush().await?;
        self.handshake().await?;
        self.reset().await;
        self.dialog.restarted();
        self.allow();
        Ok(Flow::GoOn)
    }

    /// The handshake, and what it shows of the client.
    pub(super) async fn handshake(&mut self) -> Result<(), WireError> {
        let Some(tls) = &self.door.tls else {
            return Err(WireError::Handshake("this listener has no TLS".to_owned()));
        };
        let config = Arc::clone(&tls.config);
        let within = self.shared.limits.handshake_timeout();
        let secured = tokio::select! {
            secured = self.wire.secure(config, within) => secured,
            // Nothing was begun, so nothing has to be finished.
            () = super::stopped(&mut self.stopping) => Err(WireError::Closed),
        };
        let how = if secured.is_ok() { "done" } else { "failed" };
        self.shared.counters.handshakes.add(how, 1);
        let facts = secured?;
        self.identity.login = None;
        self.door.secured(&mut self.identity, &facts);
        tracing::debug!(session = self.peer.session, version = facts.version, certificate = facts.certificate.is_some(), login = ?self.identity.login, "TLS");
        Ok(())
    }

    /// AUTH, to its last reply.
    pub(super) async fn auth(&mut self, start: Start) -> Result<Flow, WireError> {
        let limit = self.shared.limits.command_line_octets;
        self.wire.limit_lines(limit.max(auth::LINE_OCTETS));
        let said = self.credentials(start).await;
        self.wire.limit_lines(limit);
        let credentials = match said? {
            Ok(credentials) => credentials,
            Err(reply) if reply.code() == 421 => {
                self.dismiss(&reply)?;
                return Ok(Flow::Close);
            }
            Err(reply) => return self.auth_failed(&reply).await,
        };
        let name = credentials.name.clone();
        let Some(logins) = &self.door.logins else {
            return self.auth_failed(&replies::auth_unavailable()).await;
        };
        match logins.check(credentials).await {
            Some(true) => {
                tracing::info!(session = self.peer.session, client = ?self.identity.ip(), login = name, "logged in");
                self.shared.counters.logins.add("done", 1);
                self.identity.login = Some(name);
                self.allow();
                self.wire.say(&replies::authenticated());
                Ok(Flow::GoOn)
            }
            Some(false) => self.auth_failed(&replies::auth_failed()).await,
            None => self.auth_failed(&replies::auth_unavailable()).await,
        }
    }

    async fn auth_failed(&mut self, reply: &Reply) -> Result<Flow, WireError> {
        self.auth_failures += 1;
        self.shared.counters.logins.add("failed", 1);
        tracing::warn!(session = self.peer.session, client = ?self.identity.ip(), code = reply.code(), "login failed");
        let limit = self.shared.limits.auth_failures;
        tokio::time::sleep(AFTER_A_FAILURE).await;
        if self.auth_failures >= limit {
            self.wire.say(reply);
            self.dismiss(&replies::too_many_auth_failures(limit))?;
            return Ok(Flow::Close);
        }
        self.wire.say(reply);
        Ok(Flow::GoOn)
    }

    /// Name and password, asked for as the mechanism has it.
    async fn credentials(&mut self, start: Start) -> Result<Result<Credentials, Reply>, WireError> {
        let first = match start.initial {
            Some(encoded) => auth::response(encoded.as_bytes()),
            None => {
                let prompt = match start.mechanism {
                    Mechanism::Plain => "",
                    Mechanism::Login => "Username:",
                };
                self.challenge(prompt).await?
            }
        };
        let first = match first {
            Ok(first) => first,
            Err(reply) => return Ok(Err(reply)),
        };
        match start.mechanism {
            Mechanism::Plain => Ok(auth::plain(&first)),
            Mechanism::Login => match self.challenge("Password:").await? {
                Ok(password) => Ok(auth::credentials(&first, &password)),
                Err(reply) => Ok(Err(reply)),
            },
        }
    }

    async fn challenge(&mut self, prompt: &str) -> Result<Result<Vec<u8>, Reply>, WireError> {
        self.wire.say(&replies::challenge(&STANDARD.encode(prompt)));
        let seconds = self.shared.limits.command_timeout_seconds;
        let line = match self.next_line(("command_timeout_seconds", seconds)).await? {
            Ok(line) => line,
            Err(reply) => return Ok(Err(reply)),
        };
        match line {
            Line::Whole(octets) => Ok(auth::response(&octets)),
            Line::TooLong(_) => Ok(Err(replies::command_too_long(auth::LINE_OCTETS))),
            Line::Lost(_) => Err(WireError::Closed),
        }
    }

    /// XCLIENT: another client from here on. The right to say it stays with who really connected.
    pub(super) async fn xclient(&mut self, said: Xclient) -> Result<Flow, WireError> {
        self.reset().await;
        self.xforward = Xforward::default();
        let identity = &mut self.identity;
        if let Some(address) = said.address {
            let port = identity.address.map_or(0, |address| address.port());
            identity.address = address.map(|address| (address, port).into());
            identity.local = false;
        }
        if let (Some(port), Some(address)) = (said.port, &mut identity.address) {
            address.set_port(port.unwrap_or(0));
        }
        if let Some(login) = said.login {
            identity.login = login;
        }
        if let Some(helo) = said.helo {
            identity.helo = helo;
        }
        self.dialog.restarted();
        if let Err(reply) = self.admit().await {
            self.dismiss(&reply)?;
            return Ok(Flow::Close);
        }
        self.greet();
        Ok(Flow::GoOn)
    }
}
