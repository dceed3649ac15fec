//! A client of LiveKit's room service (Twirp over HTTP, JSON; livekit/protocol, `livekit_room.proto`): which rooms there are, and
//! who is in them.

use std::time::{Duration, Instant};

use echosphere_domain::time::WallTime;
use echosphere_livekit::token;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::wire::Wire;

/// Why a call of the room service failed.
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
        /// Its message.
        message: String,
    },
}

/// A room that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// LiveKit's id.
    pub sid: String,
    /// Its name.
    pub name: String,
    /// The number of participants, without hidden ones.
    pub participants: u64,
}

/// A participant of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The identity.
    pub identity: String,
    /// LiveKit's kind.
    pub kind: String,
}

/// LiveKit's room service.
pub struct RoomService<'w> {
    wire: &'w Wire,
    base: String,
    key: &'w str,
    secret: &'w SecretString,
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

impl<'w> RoomService<'w> {
    /// A client for a server and a key pair.
    pub fn new(wire: &'w Wire, url: &str, key: &'w str, secret: &'w SecretString) -> Self {
        let base = url.replacen("wss://", "https://", 1).replacen("ws://", "http://", 1);
        Self { wire, base, key, secret }
    }

    /// All rooms.
    pub async fn rooms(&self, now: WallTime) -> Result<Vec<Room>, Error> {
        self.list(json!({}), now).await
    }

    /// Whether there is a room of this name.
    pub async fn exists(&self, name: &str, now: WallTime) -> Result<bool, Error> {
        Ok(self.list(json!({ "names": [name] }), now).await?.iter().any(|room| room.name == name))
    }

    /// The server's clock, to the second, from the `Date` of its response (RFC 9110 section 6.6.1); and how long the request took.
    pub async fn clock(&self) -> Result<(Option<String>, Duration), Error> {
        let asked = Instant::now();
        let answer = self.wire.http.get(&self.base).send().await.map_err(|error| self.unreachable(error))?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
        Ok((date, asked.elapsed()))
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        let is_away = error.is_timeout() || error.is_connect() || error.is_request();
        let may_pass = is_away && !is_distrust(&error);
        Error::Unreachable { url: self.base.clone(), reason: root_cause(&error.without_url()), may_pass }
    }

    async fn list(&self, which: Value, now: WallTime) -> Result<Vec<Room>, Error> {
        let answer = self.call("ListRooms", which, None, now).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let room = |room: &Value| Room {
            sid: text(&room["sid"]),
            name: text(&room["name"]),
            participants: number(room.get("num_participants").or_else(|| room.get("numParticipants"))),
        };
        Ok(answer["rooms"].as_array().map(|rooms| rooms.iter().map(room).collect()).unwrap_or_default())
    }

    /// Everybody in a room, including recorders.
    pub async fn people(&self, room: &str, now: WallTime) -> Result<Vec<Person>, Error> {
        let answer = self.call("ListParticipants", json!({ "room": room }), Some(room), now).await?;
        let person = |person: &Value| Person {
            identity: person["identity"].as_str().unwrap_or_default().to_owned(),
            kind: person["kind"].as_str().unwrap_or("STANDARD").to_owned(),
        };
        Ok(answer["participants"].as_array().map(|people| people.iter().map(person).collect()).unwrap_or_default())
    }

    async fn call(&self, method: &str, body: Value, room: Option<&str>, now: WallTime) -> Result<Value, Error> {
        let token = token::mint_room_service(self.key, self.secret, room, now, 60);
        let url = format!("{}/twirp/livekit.RoomService/{method}", self.base);
        let request = self.wire.http.post(&url).bearer_auth(token).json(&body);
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        let message = body["msg"].as_str().unwrap_or("without a reason").to_owned();
        Err(Error::Refused { status: status.as_u16(), message })
    }
}

/// protojson writes 32-bit numbers as numbers and 64-bit ones as strings.
fn number(value: Option<&Value>) -> u64 {
    value.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok())).unwrap_or(0)
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
