//! Where bytes are: an object in a store, or a part of one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::key::ObjectKey;

/// Why a text is not the name of a store, or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not the name of a store.
    #[error("{0:?} is not the name of a store: expected 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit")]
    Store(String),
    /// Not a key.
    #[error("a key of {0} bytes: expected 1 to 1024, of which none is zero")]
    Key(usize),
}

/// The name of an object store, as the rows have it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoreName(String);

impl StoreName {
    /// The store that EchoSphere writes to.
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// Parses a name: 1 to 63 of a-z, 0-9 and `-`, beginning with a letter or digit.
    pub fn parse(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_name = text.len() <= 63
            && text.bytes().next().is_some_and(is_plain)
            && text.bytes().all(|byte| is_plain(byte) || byte == b'-');
        if is_name { Ok(Self(text)) } else { Err(Error::Store(text)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key that somebody else made (LiveKit's Egress, another program), exactly as it is. It is never made into a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ForeignKey(String);

impl ForeignKey {
    /// Takes a key of 1 to 1,024 bytes (S3's own limit), of which none is zero.
    pub fn new(key: impl Into<String>) -> Result<Self, Error> {
        let key = key.into();
        let fits = (1..=ObjectKey::MAX_LEN).contains(&key.len()) && !key.contains('\0');
        if fits { Ok(Self(key)) } else { Err(Error::Key(key.len())) }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_conversions {
    ($name:ident, $parse:path) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                $parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                $parse(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

text_conversions!(StoreName, StoreName::parse);
text_conversions!(ForeignKey, ForeignKey::new);

/// The key of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// One that EchoSphere made.
    Own(ObjectKey),
    /// One that somebody else made.
    Foreign(ForeignKey),
}

impl Key {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Own(key) => key.as_str(),
            Self::Foreign(key) => key.as_str(),
        }
    }
}

/// A part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ByteRange {
    /// Bytes before the part.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// Where bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// The store.
    pub store: StoreName,
    /// The object in it.
    pub key: Key,
    /// The part of the object; `None` for all of it.
    pub range: Option<ByteRange>,
}

impl Location {
    /// A part of an object of ours, in the store that EchoSphere writes to.
    pub fn part(key: ObjectKey, offset: u64, length: u64) -> Self {
        Self { store: StoreName::main(), key: Key::Own(key), range: Some(ByteRange { offset, length }) }
    }

    /// A whole object of ours, in the store that EchoSphere writes to.
    pub fn whole(key: ObjectKey) -> Self {
        Self { store: StoreName::main(), key: Key::Own(key), range: None }
    }

    /// The key, if the object is ours and in the store that EchoSphere writes to.
    pub fn own(&self) -> Option<&ObjectKey> {
        match &self.key {
            Key::Own(key) if self.store == StoreName::main() => Some(key),
            Key::Own(_) | Key::Foreign(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_keys_are_checked() {
        for name in ["main", "s3-eu", "0"] {
            assert_eq!(StoreName::parse(name).unwrap().to_string(), name);
        }
        for name in ["", "-a", "A", "a_b", "a/b", &"a".repeat(64)] {
            StoreName::parse(name).unwrap_err();
        }
        for key in ["", "a\0b", &"a".repeat(1_025)] {
            ForeignKey::new(key).unwrap_err();
        }
        let theirs = Key::Foreign(ForeignKey::new("../a key/of theirs?").unwrap());
        let part = Location::part(ObjectKey::parse("a/b").unwrap(), 3, 4);
        assert_eq!((part.own().map(ObjectKey::as_str), part.range.unwrap().length), (Some("a/b"), 4));
        assert_eq!(Location { key: theirs.clone(), ..part.clone() }.own(), None);
        assert_eq!(Location { store: StoreName::parse("other").unwrap(), ..part }.own(), None);
        assert_eq!(theirs.as_str(), "../a key/of theirs?");
    }

    proptest! {
        #[test]
        fn a_foreign_key_stays_as_it_is(text in "\\PC{1,300}") {
            prop_assume!(text.len() <= 1_024);
            let key = ForeignKey::new(text.clone()).unwrap();
            prop_assert_eq!(serde_json::from_str::<ForeignKey>(&serde_json::to_string(&key).unwrap()).unwrap(), key.clone());
            prop_assert_eq!(String::from(key), text);
        }
    }
}
