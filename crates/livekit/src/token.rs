//! Verifies and makes LiveKit access tokens: JSON Web Tokens, HS256, `iss` the API key (livekit/protocol, auth/).
//!
//! Implemented here rather than taken from a library, because a token's times must be checked against a clock that is passed in,
//! and because nothing but HS256 may ever be accepted.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use echosphere_domain::id::ProjectId;
use echosphere_domain::time::WallTime;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

/// How far the sender's clock may be ahead of ours, in seconds.
const LEEWAY: f64 = 60.0;
/// The longest token that is accepted, in bytes.
const MAX_LEN: usize = 16 * 1024;

/// What a token must permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// `observability.write`: session and telemetry uploads of the agents SDK.
    ObservabilityWrite,
    /// `video.roomRecord`: use of the API.
    RoomRecord,
}

/// Why a token is rejected. Reveals nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not three base64url parts, or they do not contain JSON.
    #[error("the token is not a JSON Web Token")]
    Malformed,
    /// It is signed with another algorithm, or not at all.
    #[error("the token's algorithm is not HS256")]
    Algorithm,
    /// Its issuer is none of the configured API keys.
    #[error("the token's issuer is none of the configured API keys")]
    UnknownIssuer,
    /// It was signed with another secret.
    #[error("the token's signature is wrong")]
    Signature,
    /// It has no expiry.
    #[error("the token has no expiry (exp)")]
    NoExpiry,
    /// It was valid once.
    #[error("the token has expired")]
    Expired,
    /// It will be valid later.
    #[error("the token is not valid yet (nbf)")]
    NotYet,
    /// It grants something else.
    #[error("the token lacks the grant {0}")]
    MissingGrant(&'static str),
}

impl Error {
    /// The message for the sender of the token: it does not reveal whether a key is known.
    pub fn public_message(self) -> &'static str {
        match self {
            Self::UnknownIssuer | Self::Signature => "the token is not signed by a configured API key and its secret",
            Self::Malformed => "the token is not a JSON Web Token",
            Self::Algorithm => "the token's algorithm is not HS256",
            Self::NoExpiry => "the token has no expiry (exp)",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not valid yet (nbf)",
            Self::MissingGrant("roomRecord") => "the token lacks the grant roomRecord",
            Self::MissingGrant("observability.write") => "the token lacks the grant observability.write",
            Self::MissingGrant(_) => "the token lacks a grant that is needed here",
        }
    }
}

/// The claims of a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The project of the key that signed it.
    pub project: ProjectId,
    /// The API key that signed it.
    pub key: String,
    /// The room to which its grant is limited.
    pub room: Option<String>,
    /// When it expires, rounded down to the second.
    pub expires: WallTime,
}

struct Key {
    project: ProjectId,
    name: String,
    secret: SecretString,
}

/// Verifies tokens against key pairs.
#[derive(Default)]
pub struct Verifier {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    iss: String,
    exp: Option<f64>,
    nbf: Option<f64>,
    #[serde(default)]
    video: Option<Video>,
    #[serde(default)]
    observability: Option<Observability>,
    #[serde(default)]
    sha256: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Video {
    room_record: bool,
    room: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Observability {
    write: bool,
}

impl Verifier {
    /// A verifier for these key pairs: project, API key, secret.
    pub fn new(keys: impl IntoIterator<Item = (ProjectId, String, SecretString)>) -> Self {
        let keys = keys.into_iter().map(|(project, name, secret)| Key { project, name, secret });
        Self { keys: keys.collect() }
    }

    /// Checks a token's algorithm, signature, times and grant.
    pub fn verify(&self, token: &str, now: WallTime, grant: Grant) -> Result<Claims, Error> {
        let (project, payload) = self.check(token, now)?;
        check_grant(&payload, grant)?;
        let room = payload.video.map(|video| video.room).filter(|room| !room.is_empty());
        // A number too large for the type saturates: such a token practically never expires.
        let expires = WallTime::from_millis((payload.exp.unwrap_or_default().floor() as i64).saturating_mul(1000));
        Ok(Claims { project, key: payload.iss, room, expires })
    }

    /// Checks the token of a webhook; returns the base64 SHA-256 of the body for which it was signed.
    pub fn verify_body(&self, token: &str, now: WallTime) -> Result<(ProjectId, String), Error> {
        let (project, payload) = self.check(token, now)?;
        let sum = payload.sha256.filter(|sum| !sum.is_empty()).ok_or(Error::MissingGrant("sha256"))?;
        Ok((project, sum))
    }

    fn check(&self, token: &str, now: WallTime) -> Result<(ProjectId, Payload), Error> {
        let (signed, signature) = token.rsplit_once('.').filter(|_| token.len() <= MAX_LEN).ok_or(Error::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Error::Malformed)?;
        let header: Header = decode(header)?;
        if header.alg != "HS256" {
            return Err(Error::Algorithm);
        }
        let payload: Payload = decode(payload)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Error::Malformed)?;
        let key = self.keys.iter().find(|key| key.name == payload.iss);
        // For an unknown issuer a signature is computed too, so that the time taken does not reveal which keys are known.
        let secret = key.map_or_else(|| SecretString::from("no key has this secret"), |key| key.secret.clone());
        let verified = mac(&secret, signed).verify_slice(&signature);
        let key = key.ok_or(Error::UnknownIssuer)?;
        verified.map_err(|_| Error::Signature)?;
        check_times(&payload, now)?;
        Ok((key.project.clone(), payload))
    }
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Error> {
    let json = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).map_err(|_| Error::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Error::Malformed)
}

fn mac(secret: &SecretString, signed: &str) -> Hmac<Sha256> {
    let key = secret.expose_secret().as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(signed.as_bytes());
    mac
}

fn check_times(payload: &Payload, now: WallTime) -> Result<(), Error> {
    let now = now.as_millis() as f64 / 1000.0;
    let expiry = payload.exp.ok_or(Error::NoExpiry)?;
    if now >= expiry {
        return Err(Error::Expired);
    }
    if payload.nbf.is_some_and(|not_before| now + LEEWAY < not_before) {
        return Err(Error::NotYet);
    }
    Ok(())
}

fn check_grant(payload: &Payload, grant: Grant) -> Result<(), Error> {
    let (held, name) = match grant {
        Grant::ObservabilityWrite => {
            (payload.observability.as_ref().is_some_and(|grant| grant.write), "observability.write")
        }
        Grant::RoomRecord => (payload.video.as_ref().is_some_and(|grant| grant.room_record), "roomRecord"),
    };
    if held { Ok(()) } else { Err(Error::MissingGrant(name)) }
}

/// Makes a token like the agents SDK's: valid from now on for `seconds`, with one grant.
pub fn mint(api_key: &str, secret: &SecretString, grant: Grant, now: WallTime, seconds: i64) -> String {
    let grant = match grant {
        Grant::ObservabilityWrite => json!({ "observability": { "write": true } }),
        Grant::RoomRecord => json!({ "video": { "roomRecord": true } }),
    };
    sign(api_key, secret, "", grant, now, seconds)
}

/// Makes a token for the API, limited to a room if one is given.
pub fn mint_api(api_key: &str, secret: &SecretString, room: Option<&str>, now: WallTime, seconds: i64) -> String {
    let video = json!({ "roomRecord": true, "room": room.unwrap_or_default() });
    sign(api_key, secret, "", json!({ "video": video }), now, seconds)
}

/// Makes the token with which a recorder joins a room: hidden from the others, not counted as a participant, announced to everyone
/// as `active_recording`. `identity` must be unique in the room.
pub fn mint_recorder(
    api_key: &str,
    secret: &SecretString,
    room: &str,
    identity: &str,
    now: WallTime,
    seconds: i64,
) -> String {
    let claims = json!({
        "name": "EchoSphere",
        "kind": "egress",
        "video": {
            "roomJoin": true, "room": room, "hidden": true, "recorder": true,
            "canSubscribe": true, "canPublish": false, "canPublishData": false,
        },
    });
    sign(api_key, secret, identity, claims, now, seconds)
}

/// Makes the token with which a speaker joins a room: may publish, does not subscribe.
pub fn mint_speaker(
    api_key: &str,
    secret: &SecretString,
    room: &str,
    identity: &str,
    now: WallTime,
    seconds: i64,
) -> String {
    let video = json!({ "roomJoin": true, "room": room, "canPublish": true, "canSubscribe": false });
    sign(api_key, secret, identity, json!({ "video": video }), now, seconds)
}

/// Makes the token with which a server queries LiveKit's room service. `room` limits it to one room.
pub fn mint_room_service(
    api_key: &str,
    secret: &SecretString,
    room: Option<&str>,
    now: WallTime,
    seconds: i64,
) -> String {
    let video = json!({ "roomList": true, "roomAdmin": room.is_some(), "room": room.unwrap_or_default() });
    sign(api_key, secret, "", json!({ "video": video }), now, seconds)
}

/// Makes the token with which a LiveKit server signs a webhook's body.
pub fn mint_webhook(api_key: &str, secret: &SecretString, body: &[u8], now: WallTime, seconds: i64) -> String {
    let sum = STANDARD.encode(Sha256::digest(body));
    sign(api_key, secret, "", json!({ "sha256": sum }), now, seconds)
}

fn sign(
    api_key: &str,
    secret: &SecretString,
    identity: &str,
    mut claims: serde_json::Value,
    now: WallTime,
    seconds: i64,
) -> String {
    let start = now.as_millis().div_euclid(1000);
    claims["iss"] = json!(api_key);
    claims["sub"] = json!(identity);
    claims["nbf"] = json!(start);
    claims["exp"] = json!(start + seconds);
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&json!({ "alg": "HS256", "typ": "JWT" })), encode(&claims));
    let signature = URL_SAFE_NO_PAD.encode(mac(secret, &signed).finalize().into_bytes());
    format!("{signed}.{signature}")
}

#[cfg(test)]
mod tests;
