//! Calls of LiveKit's services (Twirp over HTTP, JSON: <https://twitchtv.github.io/twirp/docs/spec_v7.html>), and why they fail.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use crate::wire::Wire;

/// Why a call of a service failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached.
    #[error("LiveKit at {url} cannot be reached: {reason}")]
    Unreachable {
        /// The URL.
        url: String,
        /// The reason.
        reason: String,
        /// Whether that may pass by itself.
        may_pass: bool,
    },
    /// It rejects the call.
    #[error("LiveKit refuses: {status} {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Twirp's word for the reason, such as `not_found`; empty if it gives none.
        code: String,
        /// Its message.
        message: String,
    },
}

impl Error {
    /// Whether a retry in a moment may succeed without anybody doing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { may_pass, .. } => *may_pass,
            Self::Refused { status, .. } => matches!(status, 502..=504),
        }
    }
}

/// A server, as its services are called.
pub struct Server<'w> {
    wire: &'w Wire,
    base: String,
    /// The API key whose tokens calls have.
    pub(crate) key: &'w str,
    /// Its secret.
    pub(crate) secret: &'w SecretString,
}

impl<'w> Server<'w> {
    /// The server at a URL (`ws`, `wss`, `http` or `https`), for a key pair.
    pub fn new(wire: &'w Wire, url: &str, key: &'w str, secret: &'w SecretString) -> Self {
        Self { wire, key, secret, base: url.replacen("wss://", "https://", 1).replacen("ws://", "http://", 1) }
    }

    /// The value of a header of its answer to a request for nothing.
    pub async fn header(&self, name: &str) -> Result<Option<String>, Error> {
        let answer = self.wire.http.get(&self.base).send().await.map_err(|error| self.unreachable(error))?;
        Ok(answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned))
    }

    /// Calls a method of a service with a token, and waits for its answer that long at most; `None` is as long as for any other.
    pub async fn call(
        &self,
        method: &str,
        token: String,
        body: &Value,
        patience: Option<Duration>,
    ) -> Result<Value, Error> {
        let mut request =
            self.wire.http.post(format!("{}/twirp/livekit.{method}", self.base)).bearer_auth(token).json(body);
        if let Some(patience) = patience {
            request = request.timeout(patience);
        }
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        let body = answer.json().await;
        if status.is_success() {
            return body.map_err(|error| self.unreachable(error));
        }
        let body: Value = body.unwrap_or_default();
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let message = text("msg").unwrap_or_else(|| "without a reason".to_owned());
        Err(Error::Refused { status: status.as_u16(), code: text("code").unwrap_or_default(), message })
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        let is_away = error.is_timeout() || error.is_connect() || error.is_request();
        let may_pass = is_away && !is_distrust(&error);
        Error::Unreachable { url: self.base.clone(), reason: root_cause(&error.without_url()), may_pass }
    }
}

/// Whether an error says that the other side is not trusted: that does not pass by itself.
fn is_distrust(error: &(dyn std::error::Error + 'static)) -> bool {
    // The source of an I/O error is the source of the error that it holds: the held error itself has to be asked for.
    let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || held.is_some_and(|held| is_distrust(held)) || error.source().is_some_and(is_distrust)
}

/// The innermost cause, which is the one that helps.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
