//! A small HTTP listener for whoever watches the relay: `/healthz`, `/readyz`, `/metrics` (OpenMetrics).
//!
//! It answers questions and changes nothing; it must never show an address, a URL or a subject. Slow and many connections are
//! bounded, and a fault in it is its own: mail goes on without it.

mod metrics;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::timeout;

pub use self::metrics::{Number, Source};

/// Octets of the header of a request.
const HEADER_OCTETS: usize = 8 << 10;
/// Connections at once; one more ends the oldest, so that whoever only holds connections open keeps nobody out.
const CONNECTIONS: usize = 32;
/// How long one connection may take, whatever it does.
const CONNECTION: Duration = Duration::from_secs(30);
/// How long a client has for its header.
const HEADER: Duration = Duration::from_secs(5);

/// `[admin]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where to listen; none: nowhere.
    pub address: Option<SocketAddr>,
    /// Whether that may be an address that others than this machine reach.
    pub allow_remote: bool,
}

/// Why the admin listener could not start. The operator is to blame, or whoever holds the address.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Anybody could read it.
    #[error(
        "admin.address {0} can be reached from other machines; set admin.allow_remote = true if that is meant"
    )]
    Remote(SocketAddr),
    /// It cannot be bound.
    #[error("cannot listen on {address} (admin.address): {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

impl Settings {
    /// Refuses to be open to everybody by mistake.
    ///
    /// # Errors
    /// Where it would be.
    pub fn check(&self) -> Result<(), AdminError> {
        match self.address {
            Some(address) if !address.ip().is_loopback() && !self.allow_remote => {
                Err(AdminError::Remote(address))
            }
            _ => Ok(()),
        }
    }
}

/// The listener, bound.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
}

impl Admin {
    /// Binds it; `None` where none is configured.
    ///
    /// # Errors
    /// It cannot be bound.
    pub async fn bind(settings: &Settings) -> Result<Option<Self>, AdminError> {
        settings.check()?;
        let Some(address) = settings.address else {
            return Ok(None);
        };
        let bound = TcpListener::bind(address).await;
        let listener = bound.map_err(|source| AdminError::Bind { address, source })?;
        Ok(Some(Self { listener }))
    }

    /// Where it really listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Answers until dropped.
    pub async fn serve(self, source: Arc<dyn Source>) {
        let mut open: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the admin listener cannot accept");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            open.retain(|connection| !connection.is_finished());
            if open.len() >= CONNECTIONS
                && let Some(oldest) = open.pop_front()
            {
                oldest.abort();
            }
            let source = Arc::clone(&source);
            let connection = tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let source = Arc::clone(&source);
                    async move { Ok::<_, Infallible>(answer(&request, source.as_ref()).await) }
                });
                let serving = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER)
                    .max_buf_size(HEADER_OCTETS)
                    .serve_connection(TokioIo::new(stream), service);
                // Whatever became of it, the next one is served.
                let _ = timeout(CONNECTION, serving).await;
            });
            open.push_back(connection.abort_handle());
        }
    }
}

async fn answer(request: &Request<Incoming>, source: &dyn Source) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return said(
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "GET or HEAD\n".to_owned(),
        );
    }
    match request.uri().path() {
        "/healthz" => said(StatusCode::OK, "text/plain", "ok\n".to_owned()),
        "/readyz" => {
            let wrong = source.not_ready();
            let status = match wrong.is_empty() {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            let body = serde_json::json!({ "ready": wrong.is_empty(), "not_ready": wrong });
            said(status, "application/json", format!("{body}\n"))
        }
        "/metrics" => match metrics::text(source) {
            Ok(text) => said(
                StatusCode::OK,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                text,
            ),
            Err(error) => said(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain",
                format!("{error}\n"),
            ),
        },
        _ => said(
            StatusCode::NOT_FOUND,
            "text/plain",
            "/healthz, /readyz or /metrics\n".to_owned(),
        ),
    }
}

fn said(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
