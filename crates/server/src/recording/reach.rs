//! How the rooms of a project are reached: the server, the key, and the address of ours that media come to.

use std::net::IpAddr;

use echosphere_domain::id::ProjectId;
use echosphere_recorder::room;

use super::{Error, Recorder};
use crate::config::KeyPair;

/// How a project's rooms are reached.
#[derive(Clone)]
pub(super) struct Reach {
    pub(super) url: String,
    pub(super) local: IpAddr,
    pub(super) key: KeyPair,
}

pub(super) async fn reach(recorder: &Recorder, project: &ProjectId) -> Result<Reach, Error> {
    let url = recorder.config.livekit_url.clone().ok_or(Error::NoServer)?;
    let pair = recorder.config.project(project).and_then(|project| project.livekit.first());
    let key = pair.cloned().ok_or_else(|| Error::NoKey(project.clone()))?;
    let local = room::transport::local_address(&url).await;
    let local = local.map_err(|error| Error::NoWay { url: url.clone(), reason: error.to_string() })?;
    Ok(Reach { url, local, key })
}
