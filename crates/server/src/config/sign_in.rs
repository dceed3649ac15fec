//! The settings for signing in with a browser, and the check whether `--no-auth` is allowed.

use std::time::Duration;

use super::network::is_loopback_host;
use super::{Config, Error};

/// How long a browser stays signed in, and over what it may sign in.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// How long it stays signed in without being used.
    pub idle: Duration,
    /// How long it stays signed in at most.
    pub lifetime: Duration,
    /// Whether it may sign in over plain HTTP from another machine.
    pub allow_http: bool,
}

impl Default for SignIn {
    fn default() -> Self {
        Self { idle: Duration::from_secs(12 * 3600), lifetime: Duration::from_secs(7 * 86_400), allow_http: false }
    }
}

impl Config {
    /// The same, but local clients need no credentials.
    ///
    /// # Errors
    /// If others than local clients could come: the listener or the public URL is not on a loopback address.
    pub fn without_auth(self) -> Result<Self, Error> {
        let refused = |why: String| Err(Error::Contradiction(format!("--no-auth is refused: {why}")));
        if !self.listen.ip().to_canonical().is_loopback() {
            return refused(format!(
                "{} is not a loopback address, so everybody who reaches it would be let in; listen on 127.0.0.1, or leave --no-auth out and sign in",
                self.listen
            ));
        }
        if let Some(url) = self.public_elsewhere() {
            return refused(format!(
                "public_url is {url}, so there is a proxy, and what comes through it cannot be told from a local client; leave one of them out"
            ));
        }
        Ok(Self { no_auth: true, ..self })
    }

    /// The public URL, if it leads to another machine than this one.
    pub(super) fn public_elsewhere(&self) -> Option<&str> {
        self.public_url.as_deref().filter(|url| !is_loopback_host(host(url)))
    }
}

/// The authority of a URL that was checked before.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}
