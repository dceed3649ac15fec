//! A client of LiveKit's Egress API (livekit/protocol, `livekit_egress.proto`): begins, stops and looks at egresses of rooms.
//!
//! There is no key by which a repeated start is known: after a start that was not answered, look ([`EgressApi::of_room`]) before another one.

use std::time::Duration;

use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use echosphere_livekit::egress::EgressInfo;
use echosphere_livekit::token::{self, Grant};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::twirp::{Error, Server};
use crate::wire::Wire;

/// How long a start may take: a server that finds no worker says so after 6 to 23 s.
const START: Duration = Duration::from_secs(45);
/// How long the other calls may take: the server waits for a worker that is gone.
const OTHERS: Duration = Duration::from_secs(20);
/// How long a token of a call is valid, in seconds.
const VALID: i64 = 120;
/// The longest segment, in whole seconds, as the request says it.
const SEGMENT_SECONDS: u32 = 4;

/// Where an egress writes, if its worker is not to use its own settings. These travel in clear over LiveKit's Redis: keys that may only put below
/// the prefix.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// The bucket.
    pub name: String,
    /// Its region.
    pub region: String,
    /// The address of the S3 server; `None` is AWS's own.
    pub endpoint: Option<String>,
    /// Whether the bucket's name is in the path.
    pub is_path_style: bool,
    /// The access key.
    pub access_key: String,
    /// The secret key.
    pub secret_key: SecretString,
}

/// An egress that is to begin.
#[derive(Debug, Clone)]
pub struct Wanted<'r> {
    /// The room's name.
    pub room_name: &'r str,
    /// The folder of its segments: names of theirs are counted up, `segment_00000.ts`, beside `playlist.m3u8`.
    pub folder: &'r ObjectKey,
    /// Where it writes, if not where its worker is set to.
    pub bucket: Option<&'r Bucket>,
}

/// LiveKit's Egress API.
pub struct EgressApi<'w>(Server<'w>);

impl<'w> EgressApi<'w> {
    /// A client for a server and a key pair.
    pub fn new(wire: &'w Wire, url: &str, key: &'w str, secret: &'w SecretString) -> Self {
        Self(Server::new(wire, url, key, secret))
    }

    /// Begins to record a room: sound only, the agent on the left and everybody else on the right, in segments of 4 s.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `not_found` when there is no such room, with `unavailable` when there is no worker that has room for it.
    /// After [`Error::Unreachable`] it may have begun all the same.
    pub async fn start(&self, wanted: &Wanted<'_>, now: WallTime) -> Result<Option<EgressInfo>, Error> {
        let answer = self.call("StartRoomCompositeEgress", &request(wanted), START, now).await?;
        Ok(EgressInfo::read(&answer))
    }

    /// Ends an egress; it writes what it has, and reports its end.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `failed_precondition` when it has ended, with `not_found` when there is none, with `deadline_exceeded` when its worker does not answer
    /// (`unavailable` in earlier versions of the server).
    pub async fn stop(&self, egress: &str, now: WallTime) -> Result<Option<EgressInfo>, Error> {
        let answer = self.call("StopEgress", &json!({ "egress_id": egress }), OTHERS, now).await?;
        Ok(EgressInfo::read(&answer))
    }

    /// All egresses that go on, whoever began them.
    pub async fn active(&self, now: WallTime) -> Result<Vec<EgressInfo>, Error> {
        self.list(&json!({ "active": true }), now).await
    }

    /// Those of a room, also those that have ended; one that was only just begun may be missing.
    pub async fn of_room(&self, room_name: &str, now: WallTime) -> Result<Vec<EgressInfo>, Error> {
        self.list(&json!({ "room_name": room_name }), now).await
    }

    /// What is known of an egress; `None` when it is not, or not any more.
    pub async fn find(&self, egress: &str, now: WallTime) -> Result<Option<EgressInfo>, Error> {
        Ok(self.list(&json!({ "egress_id": egress }), now).await?.into_iter().find(|info| info.id == egress))
    }

    async fn list(&self, which: &Value, now: WallTime) -> Result<Vec<EgressInfo>, Error> {
        let answer = self.call("ListEgress", which, OTHERS, now).await?;
        let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(items.iter().filter_map(EgressInfo::read).collect())
    }

    async fn call(&self, method: &str, body: &Value, patience: Duration, now: WallTime) -> Result<Value, Error> {
        let token = token::mint(self.0.key, self.0.secret, Grant::RoomRecord, now, VALID);
        self.0.call(&format!("Egress/{method}"), token, body, Some(patience)).await
    }
}

/// The request. Neither a layout nor a template: either would make the worker start a browser, and mix everybody into both channels.
fn request(wanted: &Wanted<'_>) -> Value {
    let mut output = json!({
        "filename_prefix": format!("{}/segment", wanted.folder),
        "playlist_name": "playlist.m3u8",
        "segment_duration": SEGMENT_SECONDS,
    });
    if let Some(bucket) = wanted.bucket {
        output["s3"] = json!({
            "access_key": bucket.access_key,
            "secret": bucket.secret_key.expose_secret(),
            "region": bucket.region,
            "endpoint": bucket.endpoint.as_deref().unwrap_or_default(),
            "bucket": bucket.name,
            "force_path_style": bucket.is_path_style,
        });
    }
    json!({
        "room_name": wanted.room_name,
        "audio_only": true,
        "audio_mixing": "DUAL_CHANNEL_AGENT",
        "segment_outputs": [output],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_for_that_would_start_a_browser() {
        let folder = ObjectKey::parse("recordings/s/id/1").unwrap();
        let mut wanted = Wanted { room_name: "call", folder: &folder, bucket: None };
        let plain = request(&wanted);
        assert_eq!(plain["segment_outputs"][0]["filename_prefix"], "recordings/s/id/1/segment");
        assert!(plain.get("layout").is_none() && plain.get("custom_base_url").is_none());
        assert!(plain["segment_outputs"][0].get("s3").is_none(), "the worker has its own settings");
        let bucket = Bucket {
            name: "calls".to_owned(),
            region: "eu-west-1".to_owned(),
            endpoint: Some("http://minio:9000".to_owned()),
            is_path_style: true,
            access_key: "key".to_owned(),
            secret_key: "secret".into(),
        };
        wanted.bucket = Some(&bucket);
        assert_eq!(request(&wanted)["segment_outputs"][0]["s3"]["endpoint"], "http://minio:9000");
        assert!(!format!("{wanted:?}").contains("\"secret\""), "it is in no log");
    }
}
