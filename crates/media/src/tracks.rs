//! Mixes several tracks into one: each participant's packets are decoded on their own, placed where they were spoken,
//! and mixed.

use std::ops::Range;

use bytes::Bytes;
use opus::{Channels, Decoder};

use crate::{SAMPLE_RATE, activity};

/// The longest Opus packet, in samples.
const LONGEST_PACKET: usize = 5_760;
/// A hole up to this long, in samples (100 ms), is concealed by the decoder; a longer one is silent.
pub const CONCEALED: i64 = 4_800;
/// The decoder conceals in units of 2.5 ms.
const UNIT: i64 = 120;
/// Where a packet overlaps the one before, at most this much at the end of the overlap (2.5 ms) is cross-faded.
const FADE: i64 = 120;
/// A patch fades in and out over this (5 ms).
const EDGE: i64 = 240;

/// Where a track is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// On the left: the agent.
    Left,
    /// On the right: everybody else.
    Right,
    /// On both: a plain mix.
    Both,
}

impl Channel {
    /// Whether it is heard on the left, and on the right.
    pub(crate) fn sides(self) -> [bool; 2] {
        match self {
            Self::Left => [true, false],
            Self::Right => [false, true],
            Self::Both => [true, true],
        }
    }

    fn gains(self) -> [i16; 2] {
        self.sides().map(i16::from)
    }
}

/// A packet with its place on the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedPacket {
    /// Its first sample.
    pub start: i64,
    /// Its length in samples.
    pub samples: u32,
    /// Whether packets before it were lost (rather than never sent).
    pub after_loss: bool,
    /// Its bytes.
    pub data: Bytes,
}

impl PlacedPacket {
    /// Whether a part of it lies in a range of samples.
    pub fn is_heard_in(&self, samples: &Range<i64>) -> bool {
        self.start < samples.end && self.start + i64::from(self.samples) > samples.start
    }
}

/// The packets of one participant's track in the order of their sequence numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// The source's own number for it; identifies its levels.
    pub stream: u32,
    /// Where it is heard.
    pub channel: Channel,
    /// Its packets.
    pub packets: Vec<PlacedPacket>,
}

impl Track {
    /// Its packets that are heard in a range of samples.
    pub fn heard_in(&self, samples: &Range<i64>) -> impl Iterator<Item = &PlacedPacket> {
        self.packets.iter().filter(|packet| packet.is_heard_in(samples))
    }

    /// What is heard of it in a range of samples; `None` when that is nothing.
    pub fn within(&self, samples: &Range<i64>) -> Option<Self> {
        let packets: Vec<PlacedPacket> = self.heard_in(samples).cloned().collect();
        (!packets.is_empty()).then_some(Self { packets, ..*self })
    }
}

/// Sound from another source, for a stretch where the tracks have nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Where it is heard.
    pub channel: Channel,
    /// The stretch.
    pub stretch: Range<i64>,
    /// Where `samples` begins.
    pub start: i64,
    /// As much of the stretch as is needed.
    pub samples: Vec<i16>,
}

impl Patch {
    /// Its gain at a sample, in units of 1/[`EDGE`]: it fades in and out.
    fn gain(&self, at: i64) -> i64 {
        (at - self.stretch.start + 1).min(self.stretch.end - at).clamp(0, EDGE)
    }

    /// Adds it to the interleaved stereo of a range that begins at `from`.
    fn add(&self, from: i64, out: &mut [i16]) {
        let channels = self.channel.gains();
        for (offset, &sample) in self.samples.iter().enumerate() {
            let at = self.start + offset as i64;
            let Some(pair) = usize::try_from(at - from).ok().and_then(|at| out.as_chunks_mut::<2>().0.get_mut(at))
            else {
                continue;
            };
            let sample = (i64::from(sample) * self.gain(at) / EDGE) as i16;
            pair[0] = pair[0].saturating_add(sample * channels[0]);
            pair[1] = pair[1].saturating_add(sample * channels[1]);
        }
    }
}

/// Decodes tracks and mixes them. Between windows it holds decoders and buffers, and nothing that a window depends on.
#[derive(Default)]
pub(crate) struct Mixer {
    decoder: Option<Decoder>,
    packet: Vec<i16>,
    voice: Vec<i16>,
    /// The levels of each track by itself, as mixed last.
    levels: Vec<TrackLevels>,
}

/// How loud a track is by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackLevels {
    /// [`Track::stream`].
    pub stream: u32,
    /// A level for each half frame ([`activity::level_of`]).
    pub levels: Vec<u8>,
}

impl Mixer {
    /// The levels of the tracks that were mixed last, one for each half frame of the range.
    pub(crate) fn levels(&self) -> &[TrackLevels] {
        &self.levels
    }

    /// Fills `out` with the interleaved stereo of a range of samples. Returns how many packets were refused.
    pub(crate) fn mix(
        &mut self,
        tracks: &[Track],
        patches: &[Patch],
        range: Range<i64>,
        out: &mut Vec<i16>,
    ) -> Result<u32, opus::Error> {
        let length = (range.end - range.start).max(0) as usize;
        out.clear();
        out.resize(2 * length, 0);
        let mut bad = 0;
        self.levels.clear();
        for track in tracks.iter().filter(|track| !track.packets.is_empty()) {
            bad += self.decode(track, &range)?;
            let levels = self.voice.chunks_exact(activity::STEP).map(|half| activity::level_of(half.iter().copied()));
            self.levels.push(TrackLevels { stream: track.stream, levels: levels.collect() });
            let channels = track.channel.gains();
            for (pair, voice) in out.as_chunks_mut::<2>().0.iter_mut().zip(&self.voice) {
                pair[0] = pair[0].saturating_add(voice * channels[0]);
                pair[1] = pair[1].saturating_add(voice * channels[1]);
            }
        }
        for patch in patches {
            patch.add(range.start, out);
        }
        Ok(bad)
    }

    /// Fills `voice` with one track.
    fn decode(&mut self, track: &Track, range: &Range<i64>) -> Result<u32, opus::Error> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            empty => empty.insert(Decoder::new(SAMPLE_RATE, Channels::Mono)?),
        };
        decoder.reset_state()?;
        self.packet.resize(LONGEST_PACKET, 0);
        self.voice.clear();
        self.voice.resize((range.end - range.start).max(0) as usize, 0);
        let mut voice = Voice { samples: &mut self.voice, range: range.clone(), cursor: i64::MIN };
        let mut bad = 0;
        for packet in &track.packets {
            let end = packet.start + i64::from(packet.samples);
            if end <= voice.cursor {
                // LiveKit's own silent frames may repeat a time that has speech already.
                continue;
            }
            let hole = packet.start.saturating_sub(voice.cursor);
            if packet.after_loss && (1..=CONCEALED).contains(&hole) {
                conceal(decoder, packet, hole, &mut self.packet, &mut voice);
            }
            match decoder.decode(&packet.data, &mut self.packet, false) {
                Ok(decoded) => voice.place(packet.start, &self.packet[..decoded.min(LONGEST_PACKET)]),
                Err(_) => bad += 1,
            }
        }
        Ok(bad)
    }
}

/// Conceals a hole: first by extrapolating what came before, at its end by what the next packet carries of it (in-band FEC, RFC
/// 6716 section 2.1.7).
fn conceal(decoder: &mut Decoder, next: &PlacedPacket, hole: i64, buffer: &mut [i16], voice: &mut Voice<'_>) {
    let carried = i64::from(next.samples).min(hole / UNIT * UNIT);
    let guessed = (hole - carried) / UNIT * UNIT;
    let mut at = voice.cursor;
    if guessed > 0
        && let Some(buffer) = buffer.get_mut(..guessed as usize)
        && let Ok(decoded) = decoder.decode(&[], buffer, false)
    {
        voice.place(at, &buffer[..decoded]);
        at += guessed;
    }
    if carried == i64::from(next.samples)
        && let Some(buffer) = buffer.get_mut(..carried as usize)
        && let Ok(decoded) = decoder.decode(&next.data, buffer, true)
    {
        voice.place(at, &buffer[..decoded]);
    }
}

struct Voice<'v> {
    samples: &'v mut [i16],
    range: Range<i64>,
    cursor: i64,
}

impl Voice<'_> {
    /// Puts decoded samples at their place; what is there already fades into them.
    fn place(&mut self, start: i64, decoded: &[i16]) {
        let overlap = self.cursor.saturating_sub(start).max(0);
        let faded = overlap.min(FADE);
        for (offset, &sample) in decoded.iter().enumerate() {
            let (offset, at) = (offset as i64, start + offset as i64);
            if !self.range.contains(&at) {
                continue;
            }
            let slot = &mut self.samples[(at - self.range.start) as usize];
            let into = offset - (overlap - faded);
            if into < 0 {
                continue;
            }
            if into < faded {
                let (old, new) = (i64::from(*slot), i64::from(sample));
                *slot = ((old * (faded - into) + new * into) / faded) as i16;
            } else {
                *slot = sample;
            }
        }
        self.cursor = self.cursor.max(start + decoded.len() as i64);
    }
}

#[cfg(test)]
mod tests;
