//! The options that a recording of a room was requested with.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// How a room is recorded. Stored as one JSON document, so that a later process resumes the room in the same way; fields that a later
/// version added are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordingOptions {
    /// Who is heard on which side; `None` for [`ChannelLayout::AgentLeft`].
    #[serde(deserialize_with = "known_layout")]
    pub layout: Option<ChannelLayout>,
    /// Identities that are excluded.
    pub exclude: Vec<String>,
    /// LiveKit's kinds of participants that are excluded, besides those in the configuration.
    pub exclude_kinds: Vec<String>,
    /// Participants with one of these attributes are excluded, besides those with `echosphere.record` = `false`.
    pub exclude_attributes: BTreeMap<String, String>,
    /// Whether the recording is paused from the start.
    pub paused: bool,
}

/// Who is heard on which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelLayout {
    /// Agents on the left, everybody else on the right.
    AgentLeft,
    /// Everybody on both sides.
    Mix,
}

/// A layout that only a later version knows counts as none: whom the options exclude must still be read.
fn known_layout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ChannelLayout>, D::Error> {
    let word = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(word.and_then(|word| serde_json::from_value(word).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_every_version_wrote_them() {
        let read = |text: &str| serde_json::from_str::<RecordingOptions>(text).unwrap();
        assert_eq!(read("{}"), RecordingOptions::default());
        let options = RecordingOptions {
            layout: Some(ChannelLayout::Mix),
            exclude: vec!["bob".to_owned()],
            paused: true,
            ..RecordingOptions::default()
        };
        let text = r#"{"layout":"mix","exclude":["bob"],"exclude_kinds":[],"exclude_attributes":{},"paused":true}"#;
        assert_eq!((read(text), serde_json::to_string(&options).unwrap()), (options.clone(), text.to_owned()));
        let later = r#"{"layout":"round","exclude":["bob"],"paused":true,"scenes":3}"#;
        assert_eq!(read(later), RecordingOptions { layout: None, ..options });
        assert_eq!(read(r#"{"layout":null}"#), RecordingOptions::default());
    }
}
