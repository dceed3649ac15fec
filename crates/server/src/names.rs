//! Shortens names that are too long to be stored, and makes names fit for the log.

use echosphere_domain::name::Name;
use echosphere_store::SessionFacts;

/// The names of a session, as they are stored.
pub fn kept(facts: SessionFacts) -> SessionFacts {
    let SessionFacts { room_name, agent_name, tags, sdk_version, simulated } = facts;
    SessionFacts {
        room_name: room_name.and_then(|name| one("room_name", &name)),
        agent_name: agent_name.and_then(|name| one("agent_name", &name)),
        tags: tags.iter().filter_map(|tag| one("tag", tag)).collect(),
        sdk_version: sdk_version.and_then(|version| one("sdk_version", &version)),
        simulated,
    }
}

/// One name, as it is stored. `what` says in the log which name it is.
pub fn one(what: &'static str, name: &str) -> Option<String> {
    let Name { text, is_shortened } = Name::new(name)?;
    if is_shortened {
        tracing::warn!(what, bytes = name.len(), begins = shown(&text), "a name is too long; its beginning is kept");
    }
    Some(text)
}

/// The beginning of a name (80 characters at most) for the log, with characters escaped that could control a terminal or mislead a
/// reader.
pub fn shown(name: &str) -> String {
    const ENOUGH: usize = 80;
    let mut text = String::new();
    for c in name.chars().take(ENOUGH) {
        if c.is_control() || turns_direction(c) {
            text.extend(c.escape_unicode());
        } else {
            text.push(c);
        }
    }
    text
}

/// Whether a character changes the direction of the text after it (Unicode Standard Annex 9, section 2), and could make a name look
/// like another one.
pub fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_and_the_rest_is_shortened() {
        let facts = SessionFacts {
            room_name: Some("a\tb".to_owned()),
            agent_name: Some("n".repeat(5_000)),
            tags: vec!["t".repeat(600), String::new()],
            sdk_version: None,
            simulated: false,
        };
        let kept = kept(facts);
        assert_eq!(kept.room_name.as_deref(), Some("a\tb"));
        assert_eq!(kept.agent_name.map(|name| name.len()), Some(1_024));
        assert_eq!(kept.tags, ["t".repeat(600)]);
        assert_eq!(shown(&"ü".repeat(200)), "ü".repeat(80));
        assert_eq!(shown("a\t\u{202e}b"), "a\\u{9}\\u{202e}b");
    }
}
