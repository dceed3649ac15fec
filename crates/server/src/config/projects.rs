//! Projects: named sets of LiveKit key pairs and API keys.

use echosphere_domain::id::ProjectId;
use secrecy::SecretString;
use serde::Deserialize;

use super::credentials::{ApiKey, LiveKitSecret};

/// A LiveKit API key and its secret.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// The key: the `iss` of tokens.
    pub key: String,
    /// The secret that signs them.
    pub secret: SecretString,
}

/// A project's settings.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its name.
    pub id: ProjectId,
    /// The LiveKit key pairs whose tokens belong to it.
    pub livekit: Vec<KeyPair>,
    /// Static keys for the API.
    pub api_keys: Vec<SecretString>,
    /// Whether session uploads are accepted, and rooms recorded automatically.
    pub recording: bool,
    /// Rooms (names, `*` matches any run of characters) whose session uploads are refused, and which are not recorded
    /// automatically.
    pub excluded_rooms: Vec<String>,
}

impl Project {
    /// The project `default`, which excludes nothing.
    pub fn default_project(livekit: Vec<KeyPair>) -> Self {
        Self { id: ProjectId::default(), livekit, api_keys: Vec::new(), recording: true, excluded_rooms: Vec::new() }
    }
}

/// The form of a project in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectEntry {
    name: String,
    #[serde(default)]
    livekit: Vec<KeyPairEntry>,
    #[serde(default)]
    api_keys: Vec<ApiKey>,
    #[serde(default = "yes")]
    recording: bool,
    #[serde(default)]
    excluded_rooms: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyPairEntry {
    api_key: String,
    api_secret: LiveKitSecret,
}

fn yes() -> bool {
    true
}

impl ProjectEntry {
    pub(super) fn into_project(self) -> Result<Project, String> {
        let id = ProjectId::parse(self.name).map_err(|error| error.to_string())?;
        if self.livekit.iter().any(|pair| pair.api_key.trim().is_empty()) {
            return Err(format!("a LiveKit api_key of the project {id} is empty"));
        }
        let pair = |entry: KeyPairEntry| KeyPair { key: entry.api_key, secret: entry.api_secret.0 };
        Ok(Project {
            id,
            livekit: self.livekit.into_iter().map(pair).collect(),
            api_keys: self.api_keys.into_iter().map(|key| key.0).collect(),
            recording: self.recording,
            excluded_rooms: self.excluded_rooms,
        })
    }
}
