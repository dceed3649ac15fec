//! Signing in with a browser: it sends a credential once, and then a cookie with each request.
//!
//! A cookie is 32 random bytes, and the room that a token limited the sign-in to. The database has only the SHA-256 of all of it,
//! so that nobody can sign in with what is on the disk, and no room's name is there. It also has a keyed hash of the credential:
//! removing a key from the configuration ends its sign-ins.

pub mod attempts;
pub mod codes;
mod start;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use echosphere_domain::id::ProjectId;
use echosphere_domain::time::WallTime;
use echosphere_livekit::token::Claims;
use echosphere_store::{SignIn, Store};
use hmac::Mac;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use self::attempts::Attempts;
use self::codes::Code;
use crate::config::{self, Config};
use crate::entropy;

pub use start::{Error, begin, forget_old, link};

/// The name of the data directory's secret.
pub const SECRET: &str = "sign-in";
/// How long a sign-in link is valid.
const LINK_LIFE: Duration = Duration::from_secs(3600);
/// How many browsers are signed in at most; a further one ends the sign-in of the one that was seen longest ago.
const MOST: u32 = 10_000;
/// The longest room name that fits into a cookie, in bytes: a browser keeps 4,096 of a cookie (RFC 6265bis, section 5.6).
const LONGEST_ROOM: usize = 2_048;
/// The longest cookie that is looked at, in bytes.
const LONGEST_COOKIE: usize = 4_096;
/// How often it is noted that a browser was seen, at most (an eighth of `sign_in.idle` where that is shorter).
const SEEN_EVERY: Duration = Duration::from_secs(60);

/// What somebody signs in with.
pub enum Credential {
    /// An API key of a project.
    ApiKey(ProjectId, SecretString),
    /// A LiveKit token.
    Token(Claims),
    /// A sign-in link's code.
    Link(Code),
}

/// A browser that is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The id of its row.
    pub id: String,
    /// Its project.
    pub project: ProjectId,
    /// Its room, if it is limited to one.
    pub room: Option<String>,
    /// When it ends.
    pub until: WallTime,
}

/// A new cookie.
pub struct Cookie {
    /// Its text.
    pub text: String,
    /// How long the browser is to keep it.
    pub life: Duration,
}

/// Who may sign in, and who has.
pub struct SignIns {
    key: SecretString,
    life: config::SignIn,
    /// The hashes of the credentials in the current configuration, with their projects.
    credentials: HashMap<String, ProjectId>,
    attempts: Mutex<Attempts>,
}

impl SignIns {
    /// `key` is the data directory's secret.
    pub fn new(key: SecretString, config: &Config) -> Self {
        let mut credentials = HashMap::new();
        for project in &config.projects {
            let api_keys = project.api_keys.iter().map(|api_key| of_api_key(&key, &project.id, api_key));
            let pairs = project.livekit.iter().map(|pair| of_pair(&key, &project.id, &pair.key, &pair.secret));
            let all = api_keys.chain(pairs).chain([of_link(&key, &project.id)]);
            credentials.extend(all.map(|hash| (hash, project.id.clone())));
        }
        Self { key, life: config.sign_in.clone(), credentials, attempts: Mutex::default() }
    }

    /// The hashes of all credentials that the configuration has.
    pub fn credentials(&self) -> Vec<String> {
        self.credentials.keys().cloned().collect()
    }

    fn attempts(&self) -> std::sync::MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an address may try to sign in now.
    pub fn may_try(&self, address: IpAddr, now: WallTime) -> bool {
        self.attempts().may_try(address, now)
    }

    /// An address has failed to sign in; true when that was its last try, or everybody's, for a while.
    pub fn failed(&self, address: IpAddr, now: WallTime) -> bool {
        self.attempts().failed(address, now)
    }

    /// A new code of a sign-in link.
    pub fn code(&self, project: &ProjectId, now: WallTime) -> String {
        codes::mint(&self.key, project, entropy::bytes(), now.after(LINK_LIFE))
    }

    /// What a code says, if it is valid and its project exists.
    pub fn read_code(&self, code: &str, now: WallTime) -> Result<Code, codes::Error> {
        let code = codes::verify(&self.key, code, now)?;
        let exists = self.credentials.contains_key(&of_link(&self.key, &code.project));
        if exists { Ok(code) } else { Err(codes::Error::Invalid) }
    }

    /// Signs a browser in; `None` when the name of the token's room is too long for a cookie.
    pub async fn sign_in(
        &self,
        store: &dyn Store,
        config: &Config,
        credential: Credential,
        now: WallTime,
    ) -> Result<Option<Cookie>, echosphere_store::Error> {
        let end = now.after(self.life.lifetime);
        let (project, hash, room, end) = match credential {
            Credential::ApiKey(project, api_key) => {
                let hash = of_api_key(&self.key, &project, &api_key);
                (project, hash, None, end)
            }
            Credential::Link(code) => {
                let hash = of_link(&self.key, &code.project);
                (code.project, hash, None, end)
            }
            Credential::Token(Claims { project, key, room, expires }) => {
                let pairs = config.project(&project).into_iter().flat_map(|project| &project.livekit);
                let secret = pairs.into_iter().find(|pair| pair.key == key).map(|pair| &pair.secret);
                let hash = secret.map(|secret| of_pair(&self.key, &project, &key, secret)).unwrap_or_default();
                (project, hash, room, end.min(expires))
            }
        };
        if room.as_ref().is_some_and(|room| room.len() > LONGEST_ROOM) {
            return Ok(None);
        }
        let mut text = URL_SAFE_NO_PAD.encode(entropy::bytes::<32>());
        if let Some(room) = &room {
            text = format!("{text}.{}", URL_SAFE_NO_PAD.encode(room));
        }
        let ends_at = WallTime::from_millis(end.as_millis().div_euclid(1000) * 1000);
        let row = SignIn { id: id(&text), project, credential: hash, created_at: now, seen_at: now, ends_at };
        store.begin_sign_in(&row, MOST).await?;
        let life = Duration::from_nanos(u64::try_from(ends_at.since(now)).unwrap_or(0));
        Ok(Some(Cookie { text, life }))
    }

    /// The browser that a cookie belongs to, while it is signed in. Notes that it was seen.
    pub async fn known(
        &self,
        store: &dyn Store,
        cookie: &str,
        now: WallTime,
    ) -> Result<Option<Known>, echosphere_store::Error> {
        let Ok(room) = room(cookie) else { return Ok(None) };
        let Some(row) = store.sign_in(&id(cookie)).await?.filter(|row| self.goes_on(row, now)) else { return Ok(None) };
        if now.since(row.seen_at) > SEEN_EVERY.min(self.life.idle / 8).as_nanos() as i64 {
            store.see_sign_in(&row.id, now).await?;
        }
        Ok(Some(Known { id: row.id, project: row.project, room, until: row.ends_at }))
    }

    /// Whether a browser that was known is still signed in.
    pub async fn is_known(&self, store: &dyn Store, id: &str, now: WallTime) -> Result<bool, echosphere_store::Error> {
        Ok(store.sign_in(id).await?.is_some_and(|row| self.goes_on(&row, now)))
    }

    fn goes_on(&self, row: &SignIn, now: WallTime) -> bool {
        let is_used = now < row.seen_at.after(self.life.idle);
        is_used && now < row.ends_at && self.credentials.get(&row.credential) == Some(&row.project)
    }
}

/// The id of a cookie's row.
pub fn id(cookie: &str) -> String {
    hex::encode(Sha256::digest(cookie))
}

/// The cookie is not one of ours.
struct Foreign;

/// The room that a cookie is limited to. The row's id covers it, so it cannot be changed.
fn room(cookie: &str) -> Result<Option<String>, Foreign> {
    if cookie.len() > LONGEST_COOKIE {
        return Err(Foreign);
    }
    let Some((_, room)) = cookie.split_once('.') else { return Ok(None) };
    let room = URL_SAFE_NO_PAD.decode(room).map_err(|_| Foreign)?;
    String::from_utf8(room).map(Some).map_err(|_| Foreign)
}

fn of_api_key(key: &SecretString, project: &ProjectId, api_key: &SecretString) -> String {
    hash(key, &["API key", project.as_str(), api_key.expose_secret()])
}

fn of_pair(key: &SecretString, project: &ProjectId, name: &str, secret: &SecretString) -> String {
    hash(key, &["LiveKit key", project.as_str(), name, secret.expose_secret()])
}

fn of_link(key: &SecretString, project: &ProjectId) -> String {
    hash(key, &["link", project.as_str()])
}

fn hash(key: &SecretString, parts: &[&str]) -> String {
    let mut mac = codes::keyed(key);
    mac.update(b"echosphere sign-in credential 1");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests;
