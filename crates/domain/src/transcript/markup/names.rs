//! The known delivery marks, under the names that their makers give them.

/// Elements that stand for something between words: a pause, a sound, a change of manner.
const BETWEEN: [&str; 44] = [
    // livekit-agents: what it writes for any voice, and what it writes for Cartesia, Inworld, Fish Audio
    "break",
    "emotion",
    "expression",
    "sound",
    "speed",
    "volume",
    // SSML 1.1 (W3C), elements that have no words in them
    "audio",
    "desc",
    "lexicon",
    "lookup",
    "mark",
    "meta",
    "metadata",
    // xAI, Gemini, Orpheus, Rime: sounds and manners
    "angry",
    "argh",
    "breath",
    "calm",
    "chuckle",
    "clear-throat",
    "confident",
    "cough",
    "cry",
    "curious",
    "exhale",
    "excited",
    "gasp",
    "giggle",
    "groan",
    "happy",
    "inhale",
    "laugh",
    "laughter",
    "long-pause",
    "mmm",
    "nervous",
    "pause",
    "playful",
    "sad",
    "sarcastic",
    "short pause",
    "sigh",
    "sniffle",
    "surprised",
    "yawn",
];

/// Elements around words.
const AROUND: [&str; 31] = [
    // livekit-agents
    "expr",
    "spell",
    // SSML 1.1
    "emphasis",
    "lang",
    "p",
    "phoneme",
    "prosody",
    "s",
    "say-as",
    "speak",
    "sub",
    "token",
    "voice",
    "w",
    // xAI, Fish Audio, Rime
    "build-intensity",
    "decrease-intensity",
    "fast",
    "forceful",
    "higher-pitch",
    "laugh-speak",
    "loud",
    "lower-pitch",
    "shout",
    "sing-song",
    "singing",
    "slow",
    "soft",
    "stress",
    "sympathetic",
    "whis",
    "whisper",
];

/// The namespaces of vendors' own SSML elements (Azure, Amazon, Google).
const NAMESPACES: [&str; 5] = ["amazon:", "google:", "mstts:", "livekit:", "tts:"];

/// Whether an element, by its name in lower case, is between words rather than around them. `None` when it is not
/// known.
pub fn element(name: &str) -> Option<bool> {
    if BETWEEN.contains(&name) {
        return Some(true);
    }
    (AROUND.contains(&name) || NAMESPACES.iter().any(|space| name.len() > space.len() && name.starts_with(space)))
        .then_some(false)
}

/// Whether the name of a known element begins with this text.
pub fn begins_element(start: &str) -> bool {
    let names = BETWEEN.iter().chain(&AROUND).chain(&NAMESPACES);
    let mut names = names.copied();
    names.any(|name| name.starts_with(start)) || NAMESPACES.iter().any(|space| start.starts_with(space))
}

/// Sounds that a voice makes, in the forms that `ElevenLabs`, Cartesia, Fish Audio, `MiniMax` and Soniox document, without endings.
const SOUNDS: [&str; 36] = [
    "applause", "breath", "breathe", "burp", "chuckle", "clap", "cough", "cry", "exhale", "gasp", "giggle", "groan",
    "growl", "gulp", "hiss", "hum", "inhale", "laugh", "laughter", "moan", "pant", "pause", "scream", "shout", "sigh",
    "sing", "sneeze", "snicker", "sniff", "sniffle", "snort", "sob", "swallow", "tsk", "whisper", "yawn",
];

/// Manners of speaking that the same vendors document; only in square brackets.
const MANNERS: [&str; 53] = [
    "angry",
    "annoyed",
    "anxious",
    "appalled",
    "break",
    "calm",
    "cheerful",
    "confident",
    "confused",
    "crying",
    "curious",
    "delighted",
    "depressed",
    "determined",
    "disappointed",
    "dramatic",
    "embarrassed",
    "emphasis",
    "empathetic",
    "excited",
    "frustrated",
    "grateful",
    "happy",
    "hopeful",
    "hurried",
    "impatient",
    "impressed",
    "joyful",
    "mischievous",
    "mischievously",
    "nervous",
    "playful",
    "professional",
    "proud",
    "quietly",
    "regretful",
    "relieved",
    "sad",
    "sarcastic",
    "sarcastically",
    "serious",
    "silence",
    "soft",
    "softly",
    "sorrowful",
    "surprised",
    "sympathetic",
    "tired",
    "thoughtful",
    "warm",
    "warmly",
    "wistful",
    "worried",
];

/// Sounds of more than one word.
const PHRASES: [&str; 7] =
    ["clear throat", "clears throat", "clearing throat", "lip smack", "lip smacking", "lip smacks", "tongue click"];

/// Words that say how much or how long; by themselves they are no mark.
const DEGREES: [&str; 19] = [
    "a",
    "and",
    "bit",
    "deeply",
    "gently",
    "heavily",
    "light",
    "lightly",
    "little",
    "long",
    "loudly",
    "nervously",
    "quick",
    "really",
    "short",
    "slight",
    "slightly",
    "starts",
    "very",
];

fn is_sound(word: &str) -> bool {
    let stems = [
        Some(word),
        word.strip_suffix('s'),
        word.strip_suffix("es"),
        word.strip_suffix("ing"),
        word.strip_suffix("ed"),
    ];
    stems.into_iter().flatten().any(|stem| {
        SOUNDS.iter().any(|sound| {
            // giggle, giggling; hum, humming
            let dropped = word.ends_with("ing") && sound.strip_suffix('e') == Some(stem);
            let doubled =
                stem.len() == sound.len() + 1 && stem.starts_with(sound) && stem.ends_with(&sound[sound.len() - 1..]);
            stem == *sound || dropped || doubled
        })
    }) || matches!(word, "cries" | "cried")
}

/// Whether a bracket with this content is a mark. A `square` one may also name a manner.
pub fn bracketed(inner: &str, square: bool) -> bool {
    let inner = inner.trim().to_lowercase();
    if square && let Some((name, value)) = inner.split_once('=') {
        // Mistral's Voxtral.
        return matches!(name.trim(), "emotion" | "pace") && !value.trim().is_empty();
    }
    let inner = inner.replace(['-', '_'], " ");
    let is_phrase = |words: &[&str]| PHRASES.contains(&words.join(" ").as_str());
    let is_known = |word: &&str| is_sound(word) || (square && MANNERS.contains(word));
    let words: Vec<&str> = inner.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let rest: Vec<&str> = words.iter().copied().filter(|word| !DEGREES.contains(word)).collect();
    !rest.is_empty() && words.len() <= 5 && (is_phrase(&rest) || rest.iter().all(is_known))
}

/// Whether the content of a mark in square brackets may begin with this text.
pub fn begins_bracketed(start: &str) -> bool {
    let start = start.trim_start().to_lowercase().replace(['-', '_'], " ");
    let names = SOUNDS.iter().chain(&MANNERS).chain(&PHRASES).chain(&DEGREES);
    let mut names = names.copied();
    names.any(|name| name.starts_with(&start)) || bracketed(&start, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sounds_in_their_forms_and_other_words() {
        for mark in [
            "laughs",
            "laughing",
            "Laughter",
            "sighs deeply",
            "clears throat",
            "clear-throat",
            "giggling",
            "humming",
            "cries",
            "long pause",
            "short_pause",
            "light laugh",
            "starts laughing",
            "lip-smacking",
            "exhales",
            "whispering",
        ] {
            assert!(bracketed(mark, true) && bracketed(mark, false), "{mark}");
        }
        for manner in ["very excited", "a little sad", "warmly", "emotion=happy", "pace = slow", "happy, surprised"] {
            assert!(bracketed(manner, true) && !bracketed(manner, false), "{manner}");
        }
        for words in [
            "1",
            "your name",
            "link",
            "a",
            "long",
            "",
            "image_content",
            "laughs at the joke of",
            "bus",
            "a bit",
            "hums a tune",
        ] {
            assert!(!bracketed(words, true), "{words}");
        }
    }
}
