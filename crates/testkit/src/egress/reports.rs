//! What a worker reports of an egress to LiveKit, as its script says.

use std::time::Duration;

use echosphere_livekit::psrpc::channel::Method;
use echosphere_livekit::psrpc::egress::{CREATE, UPDATE};
use livekit_protocol as proto;
use prost::Message as _;
use tokio::task::JoinSet;

use super::bus::Bus;
use super::script::Script;

/// How long an answer is waited for.
const CREATE_PATIENCE: Duration = Duration::from_secs(15);
const UPDATE_PATIENCE: Duration = Duration::from_secs(30);

/// What is reported of one egress.
pub struct Reports {
    bus: Bus,
    script: Script,
    late: JoinSet<()>,
    /// What is reported last.
    held: Vec<Vec<u8>>,
}

impl Reports {
    /// Nothing has been reported yet.
    pub fn new(bus: Bus, script: Script) -> Self {
        Self { bus, script, late: JoinSet::new(), held: Vec::new() }
    }

    /// Reports that it begins.
    pub async fn create(&self, info: &proto::EgressInfo) {
        tell(&self.bus, CREATE, info.encode_to_vec(), CREATE_PATIENCE, self.script.repeats()).await;
    }

    /// Reports how it is.
    pub async fn update(&mut self, info: &proto::EgressInfo) {
        let (bus, raw, repeats) = (self.bus.clone(), info.encode_to_vec(), self.script.repeats());
        if self.script.reports_active_last() && info.status() == proto::EgressStatus::EgressActive {
            self.held.push(raw);
        } else if let Some(delay) = self.script.report_delay() {
            self.late.spawn(async move {
                tokio::time::sleep(delay).await;
                tell(&bus, UPDATE, raw, UPDATE_PATIENCE, repeats).await;
            });
        } else {
            tell(&bus, UPDATE, raw, UPDATE_PATIENCE, repeats).await;
        }
    }

    /// Its end was reported: returns when what is late has been, too.
    pub async fn all_sent(mut self) {
        while self.late.join_next().await.is_some() {}
        for raw in self.held {
            tell(&self.bus, UPDATE, raw, UPDATE_PATIENCE, self.script.repeats()).await;
        }
    }
}

/// Nobody may be there to be told: a worker goes on all the same.
async fn tell(bus: &Bus, method: Method, raw: Vec<u8>, patience: Duration, repeats: usize) {
    for _ in 0..repeats {
        let _ = bus.ask(method, raw.clone(), patience).await;
    }
}
