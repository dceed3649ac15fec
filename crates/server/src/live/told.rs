//! What a recorder was told when it was started; kept, so that another process goes on in the same way.

use std::collections::BTreeMap;

use echosphere_domain::id::RecordingId;
use echosphere_recorder::sound::Layout;
use serde::{Deserialize, Serialize};

use crate::app::App;

/// What a recorder was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// `agent_left` (the default) or `mix`.
    pub layout: Option<String>,
    /// Identities that are left out.
    pub exclude: Vec<String>,
    /// LiveKit's kinds that are left out, beside those of the configuration.
    pub exclude_kinds: Vec<String>,
    /// Participants with one of these attributes are left out, beside `echosphere.record` = `false`.
    pub exclude_attributes: BTreeMap<String, String>,
    /// Whether keeping is paused from the start.
    pub paused: bool,
}

impl Told {
    /// As it is kept.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Takes back what was kept. What a later version added is not known here, and left out.
    pub fn from_json(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// What the recorder of a recording was told.
    pub async fn of(app: &App, recording: RecordingId) -> Result<Self, echosphere_store::Error> {
        Ok(app.store.live_settings(recording).await?.map(|text| Self::from_json(&text)).unwrap_or_default())
    }

    /// Who is heard where.
    pub fn layout(&self) -> Layout {
        if self.layout.as_deref() == Some("mix") { Layout::Mix } else { Layout::AgentLeft }
    }
}
