//! What a project wants done with rooms by themselves: a list of rules.

use serde::{Deserialize, Serialize};

/// A rule of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// Rooms that are recorded without being asked.
    AutoRecord {
        /// Their names: `*` matches any run of characters.
        rooms: String,
        /// Only once an agent is there.
        agents: bool,
        /// How many of a hundred rooms, 0 to 100.
        percent: u64,
    },
    /// Rooms of which nothing is kept.
    ExcludeRooms {
        /// Their names: `*` matches any run of characters.
        rooms: String,
    },
}

impl Rule {
    /// The word of its kind, as rows have it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::AutoRecord { .. } => "auto_record",
            Self::ExcludeRooms { .. } => "exclude_rooms",
        }
    }
}

/// Whether rules leave rooms out by their names.
pub fn has_exclusions(rules: &[Rule]) -> bool {
    rules.iter().any(|rule| matches!(rule, Rule::ExcludeRooms { .. }))
}

/// Whether rules leave rooms of this name out.
pub fn excludes(rules: &[Rule], name: &str) -> bool {
    rules.iter().any(|rule| matches!(rule, Rule::ExcludeRooms { rooms } if matches_pattern(rooms, name)))
}

/// Whether a pattern, in which `*` stands for any run of characters, matches the whole name.
pub fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_patterns() {
        for (pattern, name, expected) in [
            ("support", "support", true),
            ("support", "support-1", false),
            ("support-*", "support-1", true),
            ("*-private", "hr-private", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches_pattern(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_rule_is_stored_with_its_kind_and_nothing_that_is_not_known_is_read() {
        let auto = Rule::AutoRecord { rooms: "call-*".to_owned(), agents: true, percent: 30 };
        let exclude = Rule::ExcludeRooms { rooms: "hr".to_owned() };
        for rule in [&auto, &exclude] {
            let json = serde_json::to_value(rule).unwrap();
            assert_eq!(json["kind"], rule.kind());
            assert_eq!(serde_json::from_value::<Rule>(json).unwrap(), *rule);
        }
        for text in [r#"{"kind":"other"}"#, r#"{"kind":"exclude_rooms","rooms":"a","unless":"b"}"#] {
            serde_json::from_str::<Rule>(text).unwrap_err();
        }
        assert!(excludes(&[auto.clone(), exclude.clone()], "hr") && !excludes(std::slice::from_ref(&auto), "call-1"));
        assert!(has_exclusions(&[auto.clone(), exclude]) && !has_exclusions(&[auto]));
    }
}
