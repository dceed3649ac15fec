//! The renderer: turns any window of a capture into AAC frames, independently of all other windows.
//!
//! A window is a run of AAC frames on the grid. The Opus decoder gets at least 80 ms of pre-roll before it, and the AAC encoder
//! three frames of warm-up, whose output is dropped: at the seams the error against the source is then no higher than elsewhere
//! (measured in tests/windows.rs). The same input always gives the same bytes.

mod levels;
mod voices;

use std::marker::PhantomData;
use std::ops::Range;

use crate::aac::{AacEncoder, BuiltIn, FRAME};
use crate::activity;
use crate::ogg::{OpusIndex, PRE_ROLL};
use crate::peaks;
use crate::tracks::{Mixer, Patch, Track, TrackLevels};
use crate::ts;

pub use self::voices::{heard_as_voices, voices_range};

/// Frames that the encoder is given before the first one that counts.
const WARM_UP: i64 = 3;
/// The longest Opus packet, in samples of one channel.
const LONGEST_PACKET: usize = 5_760;

/// How the source's channels become agent (left) and everybody else (right).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelMap {
    /// They are that already. A mono source is heard on both.
    Keep,
    /// They are the other way round, as the agents SDK writes them.
    Swap,
}

/// Why a window could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The Opus decoder could not be created.
    #[error("the Opus decoder failed: {0}")]
    Decoder(String),
    /// The AAC encoder failed.
    #[error(transparent)]
    Encoder(#[from] crate::aac::Error),
    /// The Opus encoder failed.
    #[error("the Opus encoder failed: {0}")]
    OpusEncoder(String),
}

/// A rendered window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    /// The ADTS frames, one after another.
    pub aac: Vec<u8>,
    /// The length of each.
    pub lengths: Vec<u32>,
    /// Peaks of each frame ([`peaks::of_frame`]).
    pub peaks: Vec<i8>,
    /// Levels of each half frame: first channel, second channel ([`activity::level`]).
    pub levels: Vec<u8>,
    /// The levels of each track by itself, where there are several ([`Renderer::render_tracks`]).
    pub tracks: Vec<TrackLevels>,
    /// Packets that the decoder refused; they are silent.
    pub bad_packets: u32,
}

impl Window {
    /// The window as an MPEG-TS segment. `first_frame` is where it begins on the grid.
    pub fn to_ts(&self, index: u32, first_frame: u64) -> Vec<u8> {
        ts::segment(index, first_frame, ts::Frames { bytes: &self.aac, lengths: &self.lengths })
    }
}

/// Decodes Opus and encodes AAC, with the encoder `E`. Between windows it holds the decoder and its buffers, and nothing that a
/// window depends on.
pub struct Renderer<E = BuiltIn> {
    decoder: Option<opus::Decoder>,
    packet: Vec<i16>,
    samples: Vec<i16>,
    mixer: Mixer,
    encoder: PhantomData<fn() -> E>,
}

/// The samples whose packets a window of several tracks needs, for [`Renderer::render_tracks`] with the built-in encoder.
pub fn track_range(frames: &Range<u64>) -> Range<i64> {
    Renderer::<BuiltIn>::track_range(frames)
}

/// The samples that go into a window with the built-in encoder: what a [`Patch`] may have to cover.
pub fn heard_range(frames: &Range<u64>) -> Range<i64> {
    needed::<BuiltIn>(frames)
}

/// The bytes of the source that a window needs, for [`Renderer::render`] with the built-in encoder.
pub fn source_range(index: &OpusIndex, frames: &Range<u64>) -> Range<u64> {
    Renderer::<BuiltIn>::source_range(index, frames)
}

/// The samples that a window of frames is made of: warm-up before it, the encoder's delay after it.
fn needed<E: AacEncoder>(frames: &Range<u64>) -> Range<i64> {
    let frame = FRAME as i64;
    (frames.start as i64 - WARM_UP) * frame..(frames.end as i64 + E::DELAY_FRAMES as i64) * frame
}

impl Renderer {
    /// A renderer with the built-in encoder.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<E> Default for Renderer<E> {
    fn default() -> Self {
        Self { decoder: None, packet: Vec::new(), samples: Vec::new(), mixer: Mixer::default(), encoder: PhantomData }
    }
}

impl<E: AacEncoder> Renderer<E> {
    /// The bytes of the source that a window needs, for [`Renderer::render`].
    pub fn source_range(index: &OpusIndex, frames: &Range<u64>) -> Range<u64> {
        index.byte_range(needed::<E>(frames))
    }

    /// Renders a window from the bytes that [`Renderer::source_range`] names. Frames without sound are silent.
    pub fn render(
        &mut self,
        index: &OpusIndex,
        bytes: &[u8],
        map: ChannelMap,
        frames: Range<u64>,
    ) -> Result<Window, Error> {
        let mut window = self.measure(index, bytes, map, frames)?;
        self.encode(&mut window)?;
        Ok(window)
    }

    /// The interleaved stereo of a range of samples, from the bytes that [`OpusIndex::byte_range`] names for it.
    pub fn listen(
        &mut self,
        index: &OpusIndex,
        bytes: &[u8],
        map: ChannelMap,
        range: Range<i64>,
    ) -> Result<Vec<i16>, Error> {
        self.decode(index, bytes, map, range)?;
        Ok(self.samples.clone())
    }

    /// The interleaved stereo of a range of samples, from the packets of several tracks.
    pub fn listen_tracks(&mut self, tracks: &[Track], range: Range<i64>) -> Result<Vec<i16>, Error> {
        self.mix(tracks, &[], range)?;
        Ok(self.samples.clone())
    }

    /// The samples whose packets [`Renderer::render_tracks`] needs for a window, pre-roll included.
    pub fn track_range(frames: &Range<u64>) -> Range<i64> {
        let range = needed::<E>(frames);
        range.start - PRE_ROLL as i64..range.end
    }

    /// Renders a window from the packets of several tracks, those of [`Renderer::track_range`] at least, and from what other
    /// sources have where the tracks have nothing.
    pub fn render_tracks(&mut self, tracks: &[Track], patches: &[Patch], frames: Range<u64>) -> Result<Window, Error> {
        let mut window = self.measure_tracks(tracks, patches, frames)?;
        self.encode(&mut window)?;
        Ok(window)
    }

    /// As [`Renderer::render`], but only measures the window: the result has no AAC frames.
    pub fn measure(
        &mut self,
        index: &OpusIndex,
        bytes: &[u8],
        map: ChannelMap,
        frames: Range<u64>,
    ) -> Result<Window, Error> {
        let bad_packets = self.decode(index, bytes, map, needed::<E>(&frames))?;
        Ok(self.measured(bad_packets, &frames))
    }

    /// As [`Renderer::render_tracks`], but only measures the window: the result has no AAC frames.
    pub fn measure_tracks(&mut self, tracks: &[Track], patches: &[Patch], frames: Range<u64>) -> Result<Window, Error> {
        let bad_packets = self.mix(tracks, patches, needed::<E>(&frames))?;
        let mut window = self.measured(bad_packets, &frames);
        let count = (frames.end - frames.start) as usize;
        window.tracks = self.mixer.levels().iter().map(|track| track.of_window(count)).collect();
        Ok(window)
    }

    fn mix(&mut self, tracks: &[Track], patches: &[Patch], range: Range<i64>) -> Result<u32, Error> {
        let mixed = self.mixer.mix(tracks, patches, range, &mut self.samples);
        mixed.map_err(|error| Error::Decoder(error.to_string()))
    }

    /// Fills `samples` with interleaved stereo of a range; what no packet covers is silent. Returns the number of bad
    /// packets.
    fn decode(&mut self, index: &OpusIndex, bytes: &[u8], map: ChannelMap, range: Range<i64>) -> Result<u32, Error> {
        let failed = |error: opus::Error| Error::Decoder(error.to_string());
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            empty => empty.insert(opus::Decoder::new(crate::SAMPLE_RATE, opus::Channels::Stereo).map_err(failed)?),
        };
        self.samples.clear();
        self.samples.resize(2 * (range.end - range.start) as usize, 0);
        self.packet.resize(2 * LONGEST_PACKET, 0);
        let (mut expected, mut bad, mut heard) = (None, 0, 0..0);
        for packet in index.packets(range.clone(), bytes) {
            if expected.is_none_or(|(link, end)| packet.link != link || packet.start > end) {
                decoder.reset_state().map_err(failed)?;
                // Each link has a gain of its own, and nothing of it is heard outside its own time.
                let link = &index.links()[packet.link];
                decoder.set_gain(i32::from(link.gain())).map_err(failed)?;
                heard = link.heard();
            }
            expected = Some((packet.link, packet.start + i64::from(packet.samples)));
            match decoder.decode(&packet.data, &mut self.packet, false) {
                Ok(decoded) => {
                    let decoded = &self.packet[..2 * decoded.min(LONGEST_PACKET)];
                    place(decoded, packet.start, &heard, &range, &mut self.samples);
                }
                Err(_) => bad += 1,
            }
        }
        if map == ChannelMap::Swap {
            self.samples.as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.swap(0, 1));
        }
        Ok(bad)
    }

    fn encode(&self, window: &mut Window) -> Result<(), Error> {
        let mut encoder = E::new()?;
        let drop = WARM_UP as usize + E::DELAY_FRAMES;
        let mut dropped = Vec::new();
        for (number, frame) in self.samples.chunks_exact(2 * FRAME).enumerate() {
            if number < drop {
                encoder.encode(frame, &mut dropped)?;
            } else {
                let length = encoder.encode(frame, &mut window.aac)?;
                window.lengths.push(length as u32);
            }
        }
        Ok(())
    }

    /// Measures these frames, which come after the warm-up.
    fn measured(&self, bad_packets: u32, frames: &Range<u64>) -> Window {
        let mut window = Window { bad_packets, ..Window::default() };
        let count = (frames.end - frames.start) as usize;
        for frame in self.samples.chunks_exact(2 * FRAME).skip(WARM_UP as usize).take(count) {
            peaks::of_frame(frame, &mut window.peaks);
            window.levels.extend(activity::levels(frame));
        }
        window
    }
}

impl TrackLevels {
    /// The levels of a window's frames, without those of the warm-up that was mixed with it.
    fn of_window(&self, frames: usize) -> Self {
        let halves = FRAME / activity::STEP;
        let levels = self.levels.iter().skip(WARM_UP as usize * halves).take(frames * halves);
        Self { stream: self.stream, levels: levels.copied().collect() }
    }
}

/// Copies a decoded packet to its place, as far as it is to be heard and is inside the window.
fn place(decoded: &[i16], start: i64, heard: &Range<i64>, window: &Range<i64>, samples: &mut [i16]) {
    let end = start + decoded.len() as i64 / 2;
    let from = start.max(heard.start).max(window.start);
    let to = end.min(heard.end).min(window.end);
    if from < to {
        let source = 2 * (from - start) as usize..2 * (to - start) as usize;
        let target = 2 * (from - window.start) as usize..2 * (to - window.start) as usize;
        samples[target].copy_from_slice(&decoded[source]);
    }
}
