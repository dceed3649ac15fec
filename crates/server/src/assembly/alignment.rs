//! Aligns a recording's transcripts with what was measured of its sound.

use std::collections::BTreeMap;

use echosphere_domain::id::CaptureId;
use echosphere_domain::recording::{Capture, CaptureStatus, Recording, Source as CaptureSource};
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_domain::transcript::align::{Account, Span, SpeechSpans, VERSION, Voice, align, align_in_room};
use echosphere_domain::transcript::{Role, Transcript};
use echosphere_media::aac::FRAME;
use echosphere_media::activity::{self, Echo};
use echosphere_recorder::sound::Index;

use super::Assembly;
use crate::error::Error as KeptError;
use crate::rendering::{Analysis, CaptureAnalysis, CaptureRenderer, Error};

/// Frames that are listened to at a time (30 s).
const LISTENED: i64 = 1_406;

/// A recording whose transcripts are aligned with what was measured of its captures.
pub struct Measured<'m> {
    assembly: &'m Assembly,
    recording: &'m Recording,
    captures: &'m [Capture],
    /// The room's capture, with the place of its tracks.
    room: Option<(&'m Capture, Option<CaptureRenderer>)>,
}

impl<'m> Measured<'m> {
    /// Reads what is needed besides the measurements.
    pub async fn of(assembly: &'m Assembly, recording: &'m Recording, captures: &'m [Capture]) -> Result<Self, Error> {
        let room = match captures.iter().find(|capture| capture.is_of_room()) {
            Some(room) => Some((room, assembly.rendering.renderer(recording, captures, room).await?)),
            None => None,
        };
        Ok(Self { assembly, recording, captures, room })
    }

    /// Measures the sound of sessions that the recording does not play, so that their turns are found in it.
    pub async fn listen(&self, analysis: &mut Analysis) -> Result<(), Error> {
        let is_kept = |capture: &&Capture| matches!(capture.status, CaptureStatus::Complete | CaptureStatus::Partial);
        let sessions = self.captures.iter().filter(|capture| capture.source == CaptureSource::Upload).filter(is_kept);
        for capture in sessions {
            if analysis.of(capture.id).is_none()
                && let Some(source) = self.assembly.rendering.renderer(self.recording, self.captures, capture).await?
            {
                let levels = levels(self.assembly, &source).await?;
                analysis.captures.push(CaptureAnalysis { levels, ..CaptureAnalysis::new(capture.id) });
            }
        }
        Ok(())
    }

    /// The transcripts of all captures, refined by what was measured. What nothing was measured for stays as it is.
    pub async fn align(&self, analysis: &Analysis) -> Result<Vec<(CaptureId, Transcript)>, Error> {
        let transcripts = self.assembly.rendering.store.transcripts(self.recording.id).await?;
        let refined = transcripts.into_iter().map(|(id, transcript)| {
            let mut transcript = self.refined(id, transcript, analysis);
            // Also where there was nothing to align with: there is nothing to be done again.
            transcript.alignment.version = VERSION;
            (id, transcript)
        });
        Ok(refined.collect())
    }

    fn refined(&self, id: CaptureId, transcript: Transcript, analysis: &Analysis) -> Transcript {
        let Some(capture) = self.captures.iter().find(|capture| capture.id == id) else { return transcript };
        let own = analysis.of(id).and_then(|levels| channels(capture, levels));
        let room = self.room.as_ref().and_then(|(room, _)| Some((*room, analysis.of(room.id)?)));
        match room {
            Some((room, levels)) if room.id == id => self
                .participants(room, levels)
                .map_or(transcript.clone(), |speech| align(transcript, &speech, Account::Room)),
            Some((room, levels)) => {
                let speech = channels(room, levels);
                speech.map_or(transcript.clone(), |speech| align_in_room(transcript, own.as_ref(), &speech))
            }
            None => own.map_or(transcript.clone(), |own| align(transcript, &own, Account::Session)),
        }
    }

    /// Each participant of a room by their own tracks. One who is alone on a side is measured on that side, which also has what
    /// another capture filled in.
    fn participants(&self, room: &Capture, levels: &CaptureAnalysis) -> Option<SpeechSpans> {
        let start = room.started_at?;
        let mut speech = channels(room, levels)?;
        let source = self.room.as_ref().and_then(|(_, source)| source.as_ref());
        let index = source.and_then(CaptureRenderer::log_index).filter(|_| !levels.tracks.is_empty());
        let Some(index) = index else { return Some(speech) };
        let speakers = self.speakers(index, levels);
        let agent_levels = levels.channel(0);
        for (identity, speaker) in &speakers {
            let is_alone = !index.is_mixed && speakers.values().filter(|other| other.role == speaker.role).count() == 1;
            let side = speech.voices.iter().find(|voice| voice.speaker.is_none() && voice.role == speaker.role);
            let own = if let Some(side) = side.filter(|_| is_alone) {
                side.clone()
            } else {
                let echo_of = (speaker.role == Role::User && !index.is_mixed).then_some(&agent_levels[..]);
                voice(start, speaker.role, speaker.levels.clone(), echo_of)
            };
            speech.voices.push(Voice { speaker: Some(identity.clone()), ..own });
        }
        // A side whose participants are listed themselves is dropped: it does not say who speaks.
        speech
            .voices
            .retain(|voice| voice.speaker.is_some() || !speakers.values().any(|speaker| speaker.role == voice.role));
        Some(speech)
    }

    fn speakers(&self, index: &Index, levels: &CaptureAnalysis) -> BTreeMap<String, Speaker> {
        let mut speakers: BTreeMap<String, Speaker> = BTreeMap::new();
        for track in &levels.tracks {
            let Some(stream) = index.streams.iter().find(|stream| stream.stream == track.stream) else { continue };
            let Some(about) = self.recording.tracks.iter().find(|about| about.id == stream.track_sid) else { continue };
            let is_agent =
                self.recording.participants.iter().any(|p| p.identity == about.participant && p.kind == "AGENT");
            let role = if is_agent { Role::Agent } else { Role::User };
            let speaker =
                speakers.entry(about.participant.clone()).or_insert_with(|| Speaker { role, levels: Vec::new() });
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

/// How loud both channels of a sound are, as `echosphere_media::activity` measures it. It ends where the master is lost.
pub async fn levels(assembly: &Assembly, renderer: &CaptureRenderer) -> Result<Vec<u8>, Error> {
    let (mut levels, renderer) = (Vec::new(), renderer.in_blocks());
    let frames = i64::try_from(renderer.audio().samples).unwrap_or(0) / FRAME as i64;
    for first in (0..frames).step_by(LISTENED as usize) {
        if assembly.stop.is_cancelled() {
            return Err(KeptError::Stopping.into());
        }
        let samples = first * FRAME as i64..(first + LISTENED).min(frames) * FRAME as i64;
        match renderer.listen(&assembly.rendering, samples).await {
            Ok(stereo) => levels.extend(activity::levels(&stereo)),
            Err(Error::MasterLost(_)) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(levels)
}

/// What is heard on two channels of a sound that begins at this time.
pub fn of_levels(start: WallTime, levels: &[u8]) -> SpeechSpans {
    let channel = |channel: usize| -> Vec<u8> { levels.iter().skip(channel).step_by(2).copied().collect() };
    let (agent, user) = (channel(0), channel(1));
    let user = voice(start, Role::User, user, Some(&agent));
    SpeechSpans { voices: vec![voice(start, Role::Agent, agent, None), user], until: None }
}

/// What is heard on the two channels of a capture.
fn channels(capture: &Capture, levels: &CaptureAnalysis) -> Option<SpeechSpans> {
    Some(of_levels(capture.started_at?, &levels.levels))
}

/// When somebody speaks, without the echo of another voice.
fn voice(start: WallTime, role: Role, mut levels: Vec<u8>, echo_of: Option<&[u8]>) -> Voice {
    if let Some((echo, other)) = echo_of.and_then(|other| Some((Echo::find(&levels, other)?, other))) {
        echo.remove(&mut levels, other);
    }
    let at = |sample: u64| start.plus_nanos(MediaTime::from_samples_48k(sample as i64).as_nanos());
    let activity = activity::detect(&levels, activity::Settings::default());
    let spans = activity.spans.into_iter().map(|span| Span { start: at(span.start), end: at(span.end) }).collect();
    Voice { role, speaker: None, noisy: activity.is_noisy, spans }
}
