//! Removes delivery marks: markup that an agent's model writes for its text-to-speech voice, and that is not spoken.
//!
//! The agents SDK's expressive mode writes `<expr type=".." label=".."/>` (livekit-agents, `tts/_provider_format.py`), voices have
//! marks of their own (SSML, `<emotion value=".."/>`, `[laughs]`), and all of them may occur in the text that the agent is reported
//! to have said. Only known marks are taken for marks: `a < b`, `<3` and `[1]` are words.

mod names;
mod scan;

use std::borrow::Cow;

use self::scan::{Shape, mark_at};
use super::{Kind, Role, Transcript, Turn};

/// Removes the delivery marks from the lines that agents speak. What the source wrote is kept as `source_text` where it differs.
pub fn remove_marks(transcript: &mut Transcript) {
    for turn in &mut transcript.turns {
        remove_marks_of(turn);
    }
}

fn remove_marks_of(turn: &mut Turn) {
    if turn.role != Role::Agent || turn.kind != Kind::Message || turn.typed {
        return;
    }
    if let Cow::Owned(words) = words(&turn.text) {
        let source = std::mem::replace(&mut turn.text, words);
        turn.source_text.get_or_insert(source);
    }
}

/// The words of a line that an agent speaks: its text without delivery marks, and without an unfinished mark at its end. The words
/// inside a mark stay. Borrowed when there is no mark.
pub fn words(text: &str) -> Cow<'_, str> {
    let mut words = Words { out: String::new(), pending: None };
    let (mut kept, mut at, mut any) = (0, 0, false);
    while let Some(found) = text[at..].find(['<', '[', '(']) {
        let start = at + found;
        match mark_at(text, start) {
            Some(mark) => {
                words.push(&text[kept..start]);
                words.pending = Some(words.pending.map_or(mark.shape, |before| before.max(mark.shape)));
                (kept, at, any) = (mark.end, mark.end, true);
            }
            None => at = start + 1,
        }
    }
    if !any {
        return Cow::Borrowed(text);
    }
    words.push(&text[kept..]);
    Cow::Owned(words.finish())
}

/// Puts together what is left between marks.
struct Words {
    out: String,
    /// The shape of the marks that were removed since the last words.
    pending: Option<Shape>,
}

impl Words {
    /// Adds words. Of the white space on both sides of a removed mark, one side's stays.
    fn push(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let Some(shape) = self.pending.take() else {
            self.out.push_str(text);
            return;
        };
        let (last, next) = (self.out.chars().next_back(), text.chars().next());
        let blank = |c: Option<char>| c.is_none_or(char::is_whitespace);
        match (blank(last), blank(next)) {
            (true, _) => {
                let text = text.trim_start_matches([' ', '\t']);
                if text.starts_with(['.', ',', ';', ':', '!', '?', '…']) && !self.out.ends_with('\n') {
                    self.out.truncate(self.out.trim_end().len());
                }
                self.out.push_str(text);
                if text.is_empty() {
                    self.pending = Some(shape);
                }
                return;
            }
            (false, true) if text.trim_start().starts_with(['.', ',', ';', ':', '!', '?', '…']) => {
                self.out.push_str(text.trim_start_matches([' ', '\t']));
                return;
            }
            (false, false) if shape == Shape::Between && parts(last) && begins(next) => self.out.push(' '),
            _ => {}
        }
        self.out.push_str(text);
    }

    fn finish(mut self) -> String {
        if self.pending.is_some() {
            self.out.truncate(self.out.trim_end().len());
        }
        self.out
    }
}

/// Whether a word or a sentence may end with this character, in scripts that separate words by spaces.
fn parts(last: Option<char>) -> bool {
    last.is_some_and(|c| is_spaced(c) && (c.is_alphanumeric() || ".,;:!?…\"')".contains(c)))
}

fn begins(next: Option<char>) -> bool {
    next.is_some_and(|c| is_spaced(c) && c.is_alphanumeric())
}

/// Whether a character is of a script with spaces between words; Chinese, Japanese and Thai have none.
pub(super) fn is_spaced(c: char) -> bool {
    !matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..)
}

#[cfg(test)]
mod tests;
