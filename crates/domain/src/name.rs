//! Names that people and programs give to rooms, agents, participants and sessions.
//!
//! A name is shown and matched, so it is kept as it was sent, whatever characters it has. Code that shows it makes it safe for the
//! place where it appears.

/// The most characters of a name that are kept. LiveKit allows 256 for the name of a room, unless it is configured
/// otherwise.
pub const LONGEST: usize = 1_024;

/// A name in the form in which it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name, or its beginning.
    pub text: String,
    /// Whether the rest of it was left out.
    pub is_shortened: bool,
}

impl Name {
    /// What is kept of a name; `None` for one without characters. U+0000, which databases cannot keep in a text, becomes U+FFFD.
    pub fn new(name: &str) -> Option<Self> {
        let end = name.char_indices().nth(LONGEST).map(|(end, _)| end);
        let text = name[..end.unwrap_or(name.len())].replace('\0', "\u{fffd}");
        (!text.is_empty()).then_some(Self { text, is_shortened: end.is_some() })
    }
}

/// Whether a name is kept unchanged. Only such a name may identify what is requested: a shortened name may equal somebody else's.
pub fn is_whole(name: &str) -> bool {
    Name::new(name).is_some_and(|kept| kept.text == name)
}

/// Whether two names are equal, as far as they are kept.
pub fn is_same(one: &str, other: &str) -> bool {
    Name::new(one) == Name::new(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_as_it_was_sent() {
        let long = "n".repeat(600);
        for name in
            ["support", long.as_str(), "a\tb\nc", "\u{202e}nommos\u{202c}", "\"it's\" <b>/\\&%", "👩‍👩‍👧‍👦 Straße", " "]
        {
            assert_eq!(Name::new(name), Some(Name { text: name.to_owned(), is_shortened: false }));
            assert!(is_whole(name));
        }
        assert_eq!(Name::new(""), None);
    }

    #[test]
    fn of_one_that_is_too_long_the_beginning_is_kept() {
        let exact = "ü".repeat(LONGEST);
        assert!(is_whole(&exact));
        let longer = format!("{exact}x");
        assert_eq!(Name::new(&longer), Some(Name { text: exact.clone(), is_shortened: true }));
        assert!(!is_whole(&longer) && !is_same(&longer, &exact) && is_same(&longer, &format!("{exact}y")));
    }

    #[test]
    fn what_no_database_keeps_is_marked() {
        assert_eq!(Name::new("a\0b").map(|name| name.text), Some("a\u{fffd}b".to_owned()));
        assert!(!is_whole("a\0b"));
    }
}
