//! The options that a recording of a room was requested with, stored so that a later process resumes it in the same way, and whom
//! they exclude.

use std::collections::BTreeMap;

use echosphere_domain::id::RecordingId;
use echosphere_recorder::room::people::Exclusions;
use echosphere_recorder::sound::Layout;
use echosphere_store::Store;
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// The options of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordingOptions {
    /// `agent_left` (the default) or `mix`.
    pub layout: Option<String>,
    /// Identities that are excluded.
    pub exclude: Vec<String>,
    /// LiveKit's kinds of participants that are excluded, besides those in the configuration.
    pub exclude_kinds: Vec<String>,
    /// Participants with one of these attributes are excluded, besides those with `echosphere.record` = `false`.
    pub exclude_attributes: BTreeMap<String, String>,
    /// Whether the recording is paused from the start.
    pub paused: bool,
}

impl RecordingOptions {
    /// The options in the form in which they are stored.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads stored options. Fields that a later version added are ignored; text that cannot be read gives the defaults.
    pub fn from_json(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|error| {
            tracing::error!(%error, "the options of a recording cannot be read; it goes on without them, and with whom they exclude");
            Self::default()
        })
    }

    /// The options of a recording; the defaults for one that was not made from a room.
    pub async fn of(store: &dyn Store, recording: RecordingId) -> Result<Self, echosphere_store::Error> {
        Ok(store.live_settings(recording).await?.map(|text| Self::from_json(&text)).unwrap_or_default())
    }

    /// Who is heard on which side.
    pub fn layout(&self) -> Layout {
        if self.layout.as_deref() == Some("mix") { Layout::Mix } else { Layout::AgentLeft }
    }

    /// Who is excluded from a recording, by these options and by the configuration.
    pub fn exclusions(&self, config: &Config) -> Exclusions {
        let kinds = config.recorder.exclude_kinds.iter().chain(&self.exclude_kinds);
        let mut exclusions = Exclusions {
            identities: self.exclude.iter().cloned().collect(),
            kinds: kinds.cloned().collect(),
            attributes: self.exclude_attributes.clone(),
        };
        // Nobody who asks not to be recorded is recorded.
        exclusions.attributes.insert("echosphere.record".to_owned(), "false".to_owned());
        exclusions
    }
}
