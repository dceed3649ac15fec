//! A client of LiveKit's room service (livekit/protocol, `livekit_room.proto`): which rooms there are, and who is in them.

use std::time::{Duration, Instant};

use echosphere_domain::time::WallTime;
use echosphere_livekit::protojson::{field, number};
use echosphere_livekit::token;
use secrecy::SecretString;
use serde_json::{Value, json};

pub use crate::twirp::Error;
use crate::twirp::Server;
use crate::wire::Wire;

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
pub struct RoomService<'w>(Server<'w>);

impl<'w> RoomService<'w> {
    /// A client for a server and a key pair.
    pub fn new(wire: &'w Wire, url: &str, key: &'w str, secret: &'w SecretString) -> Self {
        Self(Server::new(wire, url, key, secret))
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
        Ok((self.0.header("date").await?, asked.elapsed()))
    }

    async fn list(&self, which: Value, now: WallTime) -> Result<Vec<Room>, Error> {
        let answer = self.call("ListRooms", which, None, now).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let room = |room: &Value| Room {
            sid: text(&room["sid"]),
            name: text(&room["name"]),
            participants: field(room, "num_participants")
                .and_then(number)
                .and_then(|count| u64::try_from(count).ok())
                .unwrap_or(0),
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
        let token = token::mint_room_service(self.0.key, self.0.secret, room, now, 60);
        self.0.call(&format!("RoomService/{method}"), token, &body, None).await
    }
}
