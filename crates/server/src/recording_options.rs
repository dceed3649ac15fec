//! What the options of a recording mean: who is heard on which side, and who is excluded.

use echosphere_domain::options::{ChannelLayout, RecordingOptions};
use echosphere_recorder::room::people::Exclusions;
use echosphere_recorder::sound::Layout;

use crate::config::Config;

/// Who is heard on which side.
pub fn layout(options: &RecordingOptions) -> Layout {
    match options.layout {
        Some(ChannelLayout::Mix) => Layout::Mix,
        Some(ChannelLayout::AgentLeft) | None => Layout::AgentLeft,
    }
}

/// Who is excluded from a recording, by its options and by the configuration.
pub fn exclusions(options: &RecordingOptions, config: &Config) -> Exclusions {
    let kinds = config.recorder.exclude_kinds.iter().chain(&options.exclude_kinds);
    let mut exclusions = Exclusions {
        identities: options.exclude.iter().cloned().collect(),
        kinds: kinds.cloned().collect(),
        attributes: options.exclude_attributes.clone(),
    };
    // Nobody who asks not to be recorded is recorded.
    exclusions.attributes.insert("echosphere.record".to_owned(), "false".to_owned());
    exclusions
}
