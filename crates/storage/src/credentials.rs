//! Access keys: fixed ones, and those that AWS's ways hand out for a while and renew (environment, `~/.aws`, web identity, container, instance).

mod chain;
mod sts;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use echosphere_domain::time::WallTime;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use reqsign_core::{Context, StaticEnv};
use reqsign_file_read_tokio::TokioFileRead;
use reqsign_http_send_reqwest::ReqwestHttpSend;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use self::chain::Chain;
use self::sts::Redirected;

/// Keys are renewed when they are valid for no longer than this, as AWS's own programs do.
const EARLY: Duration = Duration::from_secs(300);
/// How long whoever hands them out may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An access key and its secret.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The access key, which is part of every URL.
    pub access_key: String,
    /// The secret, which is part of none.
    pub secret_key: SecretString,
    /// What goes with keys that are valid for a while only.
    pub session_token: Option<SecretString>,
    /// Until when they are valid, as far as it is known.
    pub until: Option<WallTime>,
}

impl Credentials {
    /// Keys that do not expire.
    pub fn fixed(access_key: impl Into<String>, secret_key: impl Into<SecretString>) -> Self {
        Self { access_key: access_key.into(), secret_key: secret_key.into(), session_token: None, until: None }
    }
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// None of AWS's ways has any; why those have none that were meant to.
    #[error(
        "there are no credentials for S3: neither storage.access_key, nor AWS_ACCESS_KEY_ID, a profile, a web identity, or a role of a container or an instance{0}"
    )]
    None(String),
    /// Whoever hands them out does not.
    #[error("credentials for S3 cannot be had: {0}")]
    Away(String),
}

/// Where credentials come from.
#[derive(Debug)]
pub struct Provider {
    chain: Option<Chain>,
    known: Mutex<Option<Arc<Credentials>>>,
    now: fn() -> WallTime,
}

impl Provider {
    /// Always the same.
    pub fn fixed(credentials: Credentials, now: fn() -> WallTime) -> Self {
        Self { chain: None, known: Mutex::new(Some(Arc::new(credentials))), now }
    }

    /// Those of AWS's default chain, by these variables of the environment: the variables themselves, profiles in `~/.aws`, web identity (at
    /// `AWS_ENDPOINT_URL_STS`, if it is set), and the roles of containers and instances. They are renewed five minutes before they expire.
    ///
    /// # Errors
    ///
    /// No HTTP client can be made, or the token service that the variables name has no address.
    pub fn chain(environment: HashMap<String, String>, now: fn() -> WallTime) -> Result<Self, Error> {
        let client = reqwest::Client::builder().timeout(PATIENCE).build();
        let client = client.map_err(|error| Error::Away(error.to_string()))?;
        let client = Redirected::new(ReqwestHttpSend::new(client), &environment)?;
        let home_dir = environment.get("HOME").map(PathBuf::from);
        let context = Context::new()
            .with_file_read(TokioFileRead)
            .with_http_send(client)
            .with_env(StaticEnv { home_dir, envs: environment });
        Ok(Self { chain: Some(Chain::new(context)), known: Mutex::new(None), now })
    }

    /// Credentials that are valid now.
    ///
    /// # Errors
    ///
    /// There are none, or what was there has expired and cannot be renewed.
    pub async fn get(&self) -> Result<Arc<Credentials>, Error> {
        let mut known = self.known.lock().await;
        let now = (self.now)();
        let valid = |early: Duration| {
            known.as_ref().filter(|known| known.until.is_none_or(|until| until > now.after(early))).cloned()
        };
        let Some(chain) = &self.chain else {
            return valid(Duration::ZERO).ok_or_else(|| Error::None(String::new()));
        };
        if let Some(known) = valid(EARLY) {
            return Ok(known);
        }
        match provide(chain).await {
            Ok(new) => Ok(Arc::clone(known.insert(Arc::new(new)))),
            Err(error) => valid(Duration::ZERO).ok_or(error),
        }
    }

    /// The clock by which they expire.
    pub(crate) fn clock(&self) -> fn() -> WallTime {
        self.now
    }

    /// Gives up what is known, if it is this: the server said that it has expired. Fixed ones stay.
    pub async fn give_up(&self, access_key: &str) {
        let mut known = self.known.lock().await;
        if self.chain.is_some() && known.as_ref().is_some_and(|known| known.access_key == access_key) {
            *known = None;
        }
    }
}

async fn provide(chain: &Chain) -> Result<Credentials, Error> {
    let provided = chain.provide().await?;
    Ok(Credentials {
        access_key: provided.access_key_id,
        secret_key: provided.secret_access_key.into(),
        session_token: provided.session_token.map(SecretString::from),
        until: provided.expires_in.map(|until| WallTime::from_nanos(until.as_second() * 1_000_000_000)),
    })
}

#[async_trait]
impl CredentialProvider for Provider {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let failed = |error: Error| object_store::Error::Generic { store: "S3", source: Box::new(error) };
        let credentials = self.get().await.map_err(failed)?;
        Ok(Arc::new(AwsCredential {
            key_id: credentials.access_key.clone(),
            secret_key: credentials.secret_key.expose_secret().to_owned(),
            token: credentials.session_token.as_ref().map(|token| token.expose_secret().to_owned()),
        }))
    }
}
