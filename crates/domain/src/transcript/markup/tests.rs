//! Tests of removing delivery marks from lines.

use proptest::prelude::*;

use super::*;

#[test]
fn marks_of_the_sdk_and_of_voices_are_no_words() {
    for (line, heard) in [
        (
            r#"<expr type="expression" label="say warmly"/>Hello, this is Nova <expr type="break" label="300ms"/>from us."#,
            "Hello, this is Nova from us.",
        ),
        (
            r#"Order <expr type="spell">A1729</expr>. It left our <expr type="prosody" label="slow">Rotterdam warehouse</expr> on Monday."#,
            "Order A1729. It left our Rotterdam warehouse on Monday.",
        ),
        (
            r#"Oh no, I'm sorry. <expr type="expression" label="warm, a > b"/> Let me see."#,
            "Oh no, I'm sorry. Let me see.",
        ),
        (r"Welcome <expr type='sound' label='laugh' /> back", "Welcome back"),
        (r#"Well.<break time="1s"/>Then <break time='500ms'/>, I see<break/>."#, "Well. Then, I see."),
        (r#"<speak><p>It is <emphasis level="strong">un</emphasis>believable.</p></speak>"#, "It is unbelievable."),
        (
            r#"<prosody rate="slow" pitch="+2st">Slowly</prosody>, <say-as interpret-as="digits">12</say-as>"#,
            "Slowly, 12",
        ),
        (
            r#"<emotion value="happy"/> Hi <speed ratio="1.2"/>there <spell>A7</spell> <VOLUME ratio="0.5"/>"#,
            "Hi there A7",
        ),
        (
            r#"<mstts:express-as style="sad">Sorry</mstts:express-as> <amazon:effect name="whispered">you</amazon:effect>"#,
            "Sorry you",
        ),
        (r"That's funny! [laughs] Really. [sighs deeply]", "That's funny! Really."),
        (r"[excited] We did it (laughs) [pause] today", "We did it today"),
        (r"Wait. <750> Are you <#0.5#> sure?", "Wait. Are you sure?"),
        (r"Hey <laugh> that <short pause> is <whis>secret</whis>", "Hey that is secret"),
        (r"<excited><loud>Hi</loud></excited> you", "Hi you"),
        ("你好<break time=\"1s\"/>世界", "你好世界"),
        ("One.\n<expr type=\"break\" label=\"1s\"/> Two.", "One.\nTwo."),
        (r#"<expr type="break" label="300ms>Hello "you""#, r#"Hello "you""#),
        (r#"<expr type="expression" label="happy">Hello"#, "Hello"),
        (r#"<expr type="sound" label="laugh"/>"#, ""),
        ("[laughs] ", ""),
    ] {
        assert_eq!(words(line), heard, "{line}");
    }
}

#[test]
fn words_are_no_marks() {
    for line in [
        "a < b",
        "I <3 you",
        "if a<b and c>d",
        "1 < 2 > 0",
        "press [1] or [your name]",
        "[laughs](https://example.com)",
        "see (a) and (b)",
        "<name> is your name",
        "Tom & Jerry",
        "x <- y",
        "(happy)",
        "is it less than <5>",
        "say [hello",
        "<breakfast>",
        "if a <5",
        "<https://example.com>",
        "<bob@example.com>",
        "[image_content]",
        "a <break.> b",
        "he (laughed at me)",
    ] {
        assert!(matches!(words(line), Cow::Borrowed(same) if same == line), "{line}: {}", words(line));
    }
}

#[test]
fn an_unfinished_mark_at_the_end_is_not_shown() {
    let line = r#"Sure, <expr type="expression" label="say warmly"/>I can. [laughs] <break time="1s"/>Yes"#;
    let whole = "Sure, I can. Yes";
    for end in (0..=line.len()).filter(|end| line.is_char_boundary(*end)) {
        let shown = words(&line[..end]).into_owned();
        assert!(whole.starts_with(shown.trim_end()), "{:?}: {shown:?}", &line[..end]);
    }
    assert_eq!(words("Yes </exp"), "Yes");
    assert_eq!(words("Yes <prosody rate=\"sl"), "Yes");
}

#[test]
fn only_what_agents_speak_has_marks() {
    let line =
        |role: Role, kind: Kind, typed: bool| Turn { typed, ..Turn::new("", kind, role, "Hi [laughs] <break/> you") };
    let mut transcript = Transcript {
        turns: vec![
            line(Role::Agent, Kind::Message, false),
            line(Role::User, Kind::Message, false),
            line(Role::Agent, Kind::Message, true),
            line(Role::Agent, Kind::ToolCall, false),
        ],
        ..Transcript::default()
    };
    remove_marks(&mut transcript);
    remove_marks(&mut transcript);
    let source = |turn: &Turn| turn.source_text.clone();
    assert_eq!(transcript.turns[0].text, "Hi you");
    assert_eq!(source(&transcript.turns[0]).as_deref(), Some("Hi [laughs] <break/> you"));
    assert!(transcript.turns[1..].iter().all(|turn| turn.text.contains("<break/>") && source(turn).is_none()));
}

proptest! {
    #[test]
    fn any_text(text in "(\\PC|<|>|/|\\[|\\]|\\(|\\)|\"|expr|break|laughs| |\n|=){0,60}") {
        let once = words(&text).into_owned();
        // Nothing is made up: what is left are characters of the text, in order, except for spaces.
        let mut rest = text.chars();
        prop_assert!(once.chars().filter(|c| !c.is_whitespace()).all(|c| rest.any(|other| other == c)));
    }

    #[test]
    fn text_without_brackets_stays(text in "[^<\\[(]{0,60}") {
        prop_assert!(matches!(words(&text), Cow::Borrowed(_)));
    }

    #[test]
    fn marks_between_words_are_removed_wherever_they_stand(parts in prop::collection::vec(("[a-z]{1,8}", 0..6_usize), 1..8)) {
        const MARKS: [&str; 6] = ["", "<expr type=\"break\" label=\"1s\"/>", "[laughs]", "<break time=\"1s\"/>", "<emotion value=\"sad\"/>", "</expr>"];
        let line: Vec<String> = parts.iter().map(|(word, mark)| format!("{word} {}", MARKS[*mark])).collect();
        let heard = words(&line.join(" ")).split_whitespace().collect::<Vec<_>>().join(" ");
        let expected: Vec<&str> = parts.iter().map(|(word, _)| word.as_str()).collect();
        prop_assert_eq!(heard, expected.join(" "));
    }
}
