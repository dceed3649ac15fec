//! Transcripts are laid on what was measured of the sound.

use std::collections::BTreeMap;

use echosphere_domain::id::CaptureId;
use echosphere_domain::recording::{Capture, Recording, Source as CaptureSource};
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_domain::transcript::align::{Account, Heard, Span, Voice, align, align_in_room};
use echosphere_domain::transcript::{Role, Transcript};
use echosphere_media::activity::{self, Echo};
use echosphere_recorder::sound::Index;

use crate::render::{Analysis, CaptureAnalysis};

/// What transcripts are laid on: the captures of a recording with what was measured of them.
pub(super) struct Measured<'m> {
    pub recording: &'m Recording,
    pub captures: &'m [Capture],
    pub analysis: &'m Analysis,
    /// Where the tracks of the room's capture lie.
    pub room_index: Option<&'m Index>,
}

impl Measured<'_> {
    /// Refines the transcript of a capture. What nothing was measured for stays as it is.
    pub fn align(&self, id: CaptureId, transcript: Transcript) -> Transcript {
        let Some(capture) = self.captures.iter().find(|capture| capture.id == id) else { return transcript };
        let room = self.captures.iter().find(|capture| is_room(capture) && self.analysis.of(capture.id).is_some());
        let own = self.analysis.of(id).and_then(|levels| channels(capture, levels));
        match (room, capture.source) {
            (Some(room), CaptureSource::Recorder) if room.id == id => {
                self.participants(room).map_or(transcript.clone(), |heard| align(transcript, &heard, Account::Room))
            }
            (Some(room), _) => {
                let heard = self.analysis.of(room.id).and_then(|levels| channels(room, levels));
                heard.map_or(transcript.clone(), |heard| align_in_room(transcript, own.as_ref(), &heard))
            }
            (None, _) => own.map_or(transcript.clone(), |own| align(transcript, &own, Account::Session)),
        }
    }

    /// Each participant of a room by their own tracks. Who is alone on a side is heard on that side, which also has what another capture
    /// filled in.
    fn participants(&self, room: &Capture) -> Option<Heard> {
        let levels = self.analysis.of(room.id)?;
        let start = room.started_at?;
        let mut heard = channels(room, levels)?;
        let Some(index) = self.room_index.filter(|_| !levels.tracks.is_empty()) else { return Some(heard) };
        let speakers = self.speakers(index, levels);
        let agent_levels = levels.channel(0);
        for (identity, speaker) in &speakers {
            let is_alone = !index.is_mixed && speakers.values().filter(|other| other.role == speaker.role).count() == 1;
            let spans = if is_alone {
                heard.voices.iter().find(|voice| voice.speaker.is_none() && voice.role == speaker.role).map(|voice| voice.spans.clone())
            } else {
                let others = (speaker.role == Role::User && !index.is_mixed).then_some(&agent_levels[..]);
                Some(spans(start, speaker.levels.clone(), others))
            };
            let voice = Voice { role: speaker.role, speaker: Some(identity.clone()), spans: spans.unwrap_or_default() };
            heard.voices.push(voice);
        }
        // A side that several share says nothing of who speaks.
        heard.voices.retain(|voice| voice.speaker.is_some() || !speakers.values().any(|speaker| speaker.role == voice.role));
        Some(heard)
    }

    fn speakers(&self, index: &Index, levels: &CaptureAnalysis) -> BTreeMap<String, Speaker> {
        let mut speakers: BTreeMap<String, Speaker> = BTreeMap::new();
        for track in &levels.tracks {
            let Some(stream) = index.streams.iter().find(|stream| stream.stream == track.stream) else { continue };
            let Some(about) = self.recording.tracks.iter().find(|about| about.id == stream.track_sid) else { continue };
            let is_agent = self.recording.participants.iter().any(|p| p.identity == about.participant && p.kind == "AGENT");
            let role = if is_agent { Role::Agent } else { Role::User };
            let speaker = speakers.entry(about.participant.clone()).or_insert_with(|| Speaker { role, levels: Vec::new() });
            speaker.levels.resize(speaker.levels.len().max(track.levels.len()), activity::SILENCE);
            speaker.levels.iter_mut().zip(&track.levels).for_each(|(all, level)| *all = (*all).max(*level));
        }
        speakers
    }
}

struct Speaker {
    role: Role,
    levels: Vec<u8>,
}

/// Whether a capture has the sound of the whole room.
pub(super) fn is_room(capture: &Capture) -> bool {
    matches!(capture.source, CaptureSource::Recorder | CaptureSource::Egress)
}

/// What is heard on the two channels of a capture.
pub(super) fn channels(capture: &Capture, levels: &CaptureAnalysis) -> Option<Heard> {
    let start = capture.started_at?;
    let (agent, user) = (levels.channel(0), levels.channel(1));
    let user = spans(start, user, Some(&agent));
    Some(Heard::of_channels(spans(start, agent, None), user))
}

/// When somebody speaks, without the echo of another voice.
pub(crate) fn spans(start: WallTime, mut levels: Vec<u8>, echo_of: Option<&[u8]>) -> Vec<Span> {
    if let Some((echo, other)) = echo_of.and_then(|other| Some((Echo::find(&levels, other)?, other))) {
        echo.remove(&mut levels, other);
    }
    let at = |sample: u64| start.plus_nanos(MediaTime::from_samples_48k(sample as i64).as_nanos());
    let spans = activity::detect(&levels, activity::Settings::default());
    spans.into_iter().map(|span| Span { start: at(span.start), end: at(span.end) }).collect()
}
