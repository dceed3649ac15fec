//! Masters: what is kept of a capture as it came. They are divided into parts, so that sound and words can go at different times.

use serde::{Deserialize, Serialize};

use crate::key::{ObjectKey, RecordingPrefix};
use crate::location::Location;

/// Which part of a capture a master is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// All of it, as it came, until it is divided: the body of an upload, or a capture log.
    Whole,
    /// Its sound. While an upload's body is not divided, this is a range of it.
    Sound,
    /// What was said and written: an upload's chat history; of a capture log, messages, participants and who spoke.
    Words,
    /// What an upload says of its session.
    Header,
}

impl Part {
    /// The word that rows and keys use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Sound => "sound",
            Self::Words => "words",
            Self::Header => "header",
        }
    }

    /// The key of this part of an upload.
    pub fn of_upload(self, prefix: &RecordingPrefix, attempt: u32) -> ObjectKey {
        match self {
            Self::Whole => prefix.upload_body(attempt),
            Self::Sound => prefix.child(attempt, "sound.ogg"),
            Self::Words => prefix.child(attempt, "chat_history.json"),
            Self::Header => prefix.child(attempt, "header.binpb"),
        }
    }

    /// The key of this part of a capture log, in one object.
    pub fn of_log(self, prefix: &RecordingPrefix, attempt: u32) -> ObjectKey {
        prefix.child(attempt, &format!("{}.esl", self.as_str()))
    }
}

/// What is kept, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Master {
    /// Ogg Opus.
    Ogg(Location),
    /// The capture log of a room, or a part of it.
    Log {
        /// Its first chunk while each chunk is an object of its own, else the object that all are in.
        #[serde(flatten)]
        at: Location,
        /// Whether one object has all chunks (`docs/capture-log.md`).
        is_joined: bool,
        /// How many chunks there are.
        chunks: u32,
        /// The length of all of them, in bytes.
        length: u64,
        /// Whether they were deleted (`recorder.keep_log`): only the segments that were rendered from them are left.
        is_gone: bool,
    },
    /// Segments that somebody else made. They are listed as they are, and nothing is rendered.
    Segments,
    /// A file as it came.
    File(Location),
}

impl Master {
    /// Where it is; of a capture log in chunks, where the first one is.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Ogg(location) | Self::File(location) | Self::Log { at: location, .. } => Some(location),
            Self::Segments => None,
        }
    }

    /// The object of ours that it is in, or begins in.
    pub fn own(&self) -> Option<&ObjectKey> {
        self.location().and_then(Location::own)
    }
}

/// Of the masters of a capture, the one for this part.
pub fn of(masters: &[(Part, Master)], part: Part) -> Option<&Master> {
    masters.iter().find(|(found, _)| *found == part).map(|(_, master)| master)
}

/// Of the masters of a capture, the one that has its sound.
pub fn sound(masters: &[(Part, Master)]) -> Option<&Master> {
    of(masters, Part::Sound).or_else(|| of(masters, Part::Whole).filter(|whole| matches!(whole, Master::Log { .. })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::{ForeignKey, Key};

    fn key(text: &str) -> ObjectKey {
        ObjectKey::parse(text).unwrap()
    }

    fn log(is_joined: bool) -> Master {
        Master::Log { at: Location::whole(key("a/log/0")), is_joined, chunks: 3, length: 9, is_gone: false }
    }

    #[test]
    fn masters_are_stored_as_the_migration_writes_them() {
        let ogg = r#"{"kind":"ogg","store":"main","key":{"own":"a/body"},"range":{"offset":7,"length":9}}"#;
        let of_room = r#"{"kind":"log","store":"main","key":{"own":"a/log/0"},"range":null,"is_joined":false,"chunks":3,"length":9,"is_gone":false}"#;
        let body = r#"{"kind":"file","store":"main","key":{"own":"a/body"},"range":null}"#;
        let read = |json: &str| serde_json::from_str::<Master>(json).unwrap();
        assert_eq!(read(ogg), Master::Ogg(Location::part(key("a/body"), 7, 9)));
        assert_eq!(read(of_room), log(false));
        assert_eq!(read(body), Master::File(Location::whole(key("a/body"))));
        for json in [ogg, of_room, body] {
            assert_eq!(serde_json::to_string(&read(json)).unwrap(), json);
        }
        let theirs = Key::Foreign(ForeignKey::new("their key.mp3").unwrap());
        for master in [Master::Segments, Master::File(Location { key: theirs, ..Location::whole(key("a")) })] {
            assert_eq!(master.own(), None);
            assert_eq!(read(&serde_json::to_string(&master).unwrap()), master);
        }
    }

    #[test]
    fn a_log_that_is_whole_has_the_sound_and_a_body_has_not() {
        let (sound_of, ogg) = (sound, Master::Ogg(Location::part(key("a"), 1, 2)));
        assert_eq!(sound_of(&[(Part::Whole, log(false))]), Some(&log(false)));
        assert_eq!(sound_of(&[(Part::Whole, log(false)), (Part::Sound, log(true))]), Some(&log(true)));
        let body = Master::File(Location::whole(key("a")));
        assert_eq!(sound_of(&[(Part::Whole, body.clone()), (Part::Sound, ogg.clone())]), Some(&ogg));
        assert_eq!(sound_of(&[(Part::Whole, body)]), None);
    }
}
