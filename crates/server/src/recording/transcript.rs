//! The transcript of a room while it goes on: aligned with the sound of its tracks so far.

use std::collections::BTreeMap;

use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_domain::transcript::align::{Account, Span, SpeechSpans, Voice, align, joined};
use echosphere_domain::transcript::{Role, Transcript};

use super::session::{Found, RoomSession};

impl RoomSession {
    /// What was said so far. Turns are aligned when there is a new one, or more sound; meanwhile their texts grow where they are.
    pub(super) fn transcript(&self) -> Transcript {
        let mut transcript = self.capture().words().transcript();
        let state = (self.measured().windows(), transcript.turns.len());
        let mut found = self.found();
        if found.of == Some(state) {
            for turn in &mut transcript.turns {
                turn.refined = found.lines.get(&turn.id).copied();
            }
            transcript.alignment = found.alignment.clone();
            return transcript;
        }
        if let Some(speech) = self.speech() {
            transcript = align(transcript, &speech, Account::Room);
        }
        let lines = transcript.turns.iter().filter_map(|turn| Some((turn.id.clone(), turn.refined?)));
        *found = Found { of: Some(state), alignment: transcript.alignment.clone(), lines: lines.collect() };
        transcript
    }

    /// What is heard so far of each participant.
    fn speech(&self) -> Option<SpeechSpans> {
        let (spoken, until): (Vec<_>, u64) = {
            let measured = self.measured();
            (measured.spoken().collect(), measured.until())
        };
        let capture = self.capture();
        let zero = WallTime::from_nanos(capture.assembler().zero()?);
        let at = |sample: u64| zero.plus_nanos(MediaTime::from_samples_48k(sample as i64).as_nanos());
        let mut voices: BTreeMap<String, Voice> = BTreeMap::new();
        for (stream, spans) in spoken {
            let Some(person) = capture.assembler().publisher(stream) else { continue };
            let role = if person.kind == "AGENT" { Role::Agent } else { Role::User };
            let speaker = Some(person.identity.clone());
            let voice = voices.entry(person.identity.clone()).or_insert_with(|| Voice {
                role,
                speaker,
                noisy: false,
                spans: Vec::new(),
            });
            voice.spans.extend(spans.into_iter().map(|span| Span { start: at(span.start), end: at(span.end) }));
        }
        for voice in voices.values_mut() {
            // Two tracks of one participant at once are one voice.
            voice.spans = joined(std::mem::take(&mut voice.spans), 0);
        }
        Some(SpeechSpans { voices: voices.into_values().collect(), until: Some(at(until)) })
    }
}
