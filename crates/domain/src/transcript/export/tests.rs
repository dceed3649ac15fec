//! Tests of `export`.

use super::*;
use crate::transcript::Turn;
use proptest::prelude::*;

fn placed(role: Role, text: &str, start: i64, end: i64) -> Placed {
    let (start, end) = (MediaTime::from_millis(start), MediaTime::from_millis(end));
    let turn = Turn::new("", Kind::Message, role, text);
    Placed { turn, started_at: None, ended_at: None, start: Some(start), end: Some(end), approximate: false }
}

#[test]
fn the_three_forms() {
    let turns = [placed(Role::Agent, "Hi <you> & me", 239, 4_985), placed(Role::User, "a\n\nb", 3_661_000, 3_661_001)];
    assert_eq!(
        vtt(&turns),
        "WEBVTT\n\n00:00:00.239 --> 00:00:04.985\n<v Agent>Hi &lt;you&gt; &amp; me\n\n\
             01:01:01.000 --> 01:01:01.500\n<v User>a\nb\n"
    );
    assert!(srt(&turns).starts_with("1\n00:00:00,239 --> 00:00:04,985\nAgent: Hi <you> & me\n\n2\n"));
    assert_eq!(text(&turns), "[00:00:00.239] Agent: Hi <you> & me\n[01:01:01.000] User: a b\n");
}

#[test]
fn a_direction_ends_with_the_line_that_begins_it() {
    for (line, expected) in [
        ("abc", "abc"),
        ("a\u{202E}b", "a\u{202E}b\u{202C}"),
        ("\u{2067}\u{202B}x\u{2069}y\u{202D}", "\u{2067}\u{202B}x\u{2069}y\u{202D}\u{202C}"),
        ("\u{202C}\u{2069}", "\u{202C}\u{2069}"),
        ("\u{202E}a\u{202C}", "\u{202E}a\u{202C}"),
    ] {
        assert_eq!(closed(line.to_owned()), expected);
    }
    let mut turn = placed(Role::Agent, "hello", 0, 1_000);
    turn.turn.speaker = Some("Eve\u{202E}".to_owned());
    for form in [vtt, srt, text] {
        assert!(form(&[turn.clone()]).contains("Eve\u{202E}\u{202C}"));
    }
}

proptest! {
    #[test]
    fn no_text_breaks_a_format(texts in prop::collection::vec("(\\PC|\n|\r|-->|<v x>){0,30}", 1..6)) {
        let speaker = |mut placed: Placed, name: &str| {
            placed.turn.speaker = Some(name.to_owned());
            placed
        };
        let turns: Vec<_> = (0..).zip(&texts)
            .map(|(n, text)| speaker(placed(Role::User, text, n * 1000, n * 1000 + 900), &texts[0])).collect();
        let spoken = texts.iter().filter(|text| !lines(text).trim().is_empty()).count();
        let count = |text: &str| text.split("\n\n").filter(|block| block.contains(" --> ")).count();
        prop_assert_eq!(count(&vtt(&turns)), spoken);
        prop_assert_eq!(vtt(&turns).matches("-->").count(), spoken);
        prop_assert_eq!(srt(&turns).matches("-->").count(), spoken);
    }
}
