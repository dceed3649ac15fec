//! The words of a line as they are compared: letters and digits alone.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::super::{Turn, markup};

/// The letters and digits of a line in one form (NFKD without accents and case, as in `Ｃafé` and `cafe`), without what is between
/// those: `can not` and `cannot` are the same, `A 1729` and `A1729`, `don’t` and `dont`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spoken {
    /// All of it.
    pub letters: String,
    /// The byte offset at which each word begins; in order.
    pub starts: Vec<usize>,
}

impl Spoken {
    /// The words of a turn; for one without letters or digits, all that it is written with but white space. `None` when
    /// there is nothing.
    pub fn of(turn: &Turn) -> Option<Self> {
        let spoken = Self::read(&turn.text);
        let written = || {
            let source = turn.source_text.as_ref().unwrap_or(&turn.text);
            Self { letters: source.split_whitespace().collect(), starts: vec![0] }
        };
        Some(if spoken.letters.is_empty() { written() } else { spoken }).filter(|spoken| !spoken.letters.is_empty())
    }

    fn read(text: &str) -> Self {
        let mut spoken = Self::default();
        let mut begins = true;
        for c in text.nfkd() {
            if c.is_alphanumeric() {
                // A script without spaces shows no words: each character counts as one.
                if begins || !markup::is_spaced(c) {
                    spoken.starts.push(spoken.letters.len());
                }
                begins = !markup::is_spaced(c);
                // Upper case first: `ß` becomes `SS`, and the two small sigmas become one.
                spoken.letters.extend(c.to_uppercase().flat_map(char::to_lowercase));
            } else if !is_joining(c) {
                begins = true;
            }
        }
        spoken
    }

    /// The number of words.
    pub fn words(&self) -> usize {
        self.starts.len()
    }

    /// Whether a word begins or ends at this byte.
    pub fn is_boundary(&self, at: usize) -> bool {
        at == self.letters.len() || self.starts.binary_search(&at).is_ok()
    }

    /// Appends the words that come next.
    pub fn append(&mut self, next: &Self) {
        let length = self.letters.len();
        self.starts.extend(next.starts.iter().map(|start| start + length));
        self.letters.push_str(&next.letters);
    }
}

/// Characters that join the parts of a word: apostrophes, accents and invisible ones.
fn is_joining(c: char) -> bool {
    is_combining_mark(c)
        || matches!(c, '\'' | '`' | '´' | '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}' | '\u{ff07}')
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn letters(text: &str) -> String {
        Spoken::read(text).letters
    }

    #[test]
    fn spaces_case_punctuation_and_unicode_forms_make_no_difference() {
        for (one, other) in [
            ("I can not, really!", "i cannot really"),
            ("A 1729", "a1729"),
            ("Don’t", "DON'T"),
            ("e-mail", "email"),
            ("Caf\u{e9}", "cafe\u{301}"),
            ("Ｆｕｌｌ １", "full 1"),
            ("STRASSE", "straße"),
            ("ΟΔΟΣ", "οδος"),
            ("soft\u{ad}ly", "softly"),
        ] {
            assert_eq!(letters(one), letters(other), "{one} {other}");
        }
        assert_ne!(letters("can"), letters("cannot"));
        assert_ne!(letters("か"), letters("がっ"));
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC{0,40}") {
            let spoken = Spoken::read(&text);
            prop_assert!(spoken.starts.is_sorted());
            prop_assert!(spoken.starts.iter().all(|at| spoken.letters.is_char_boundary(*at) && *at < spoken.letters.len()));
        }
    }
}
