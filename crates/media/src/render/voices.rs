//! Renders a stretch of several tracks as Opus, where their packets cannot be put together as they are.

use std::ops::Range;

use opus::{Application, Bitrate, Channels, Encoder};

use super::{Error, Renderer};
use crate::SAMPLE_RATE;
use crate::aac::AacEncoder;
use crate::cmaf::{self, Cut, SLOT};
use crate::ogg::PRE_ROLL;
use crate::opus_frames::packet_of_two;
use crate::tracks::{Patch, Track};

/// What each voice is encoded with, in bits per second: about twice what speech needs, as it was encoded before.
const BITRATE: i32 = 64_000;
/// Packets that the encoder is given before the first one that counts.
const WARM_UP: i64 = 4;
/// The most bytes of a packet of one frame.
const LARGEST: usize = 1_275;

/// The samples whose packets [`Renderer::render_voices`] needs for a stretch.
pub fn voices_range(stretch: &Range<i64>) -> Range<i64> {
    let heard = heard_as_voices(stretch);
    heard.start - PRE_ROLL as i64..heard.end
}

/// The samples that go into a stretch: what a [`Patch`] may have to cover.
pub fn heard_as_voices(stretch: &Range<i64>) -> Range<i64> {
    stretch.start - WARM_UP * SLOT..stretch.end + 2 * SLOT
}

impl<E: AacEncoder> Renderer<E> {
    /// The packets of two voices of a stretch ([`cmaf::voices_stretch`]) from the packets of several tracks, those of [`voices_range`] at
    /// least, and from what other sources have where the tracks have nothing: put together where they can be, else rendered.
    pub fn voices(&mut self, tracks: Vec<Track>, patches: &[Patch], stretch: &Range<i64>) -> Result<Cut, Error> {
        let tracks: Vec<Track> = tracks.into_iter().map(|track| cmaf::on_grid(track, stretch)).collect();
        let is_filled =
            patches.iter().any(|patch| patch.stretch.start < stretch.end && patch.stretch.end > stretch.start);
        match cmaf::put_together(&tracks, stretch).filter(|_| !is_filled) {
            Some(cut) => Ok(cut),
            None => self.render_voices(&tracks, patches, stretch),
        }
    }

    /// Renders a stretch ([`cmaf::voices_stretch`]) from the packets of several tracks ([`cmaf::on_grid`]), those of [`voices_range`] at
    /// least, and from what other sources have where the tracks have nothing: packets of two voices.
    pub fn render_voices(&mut self, tracks: &[Track], patches: &[Patch], stretch: &Range<i64>) -> Result<Cut, Error> {
        let heard = heard_as_voices(stretch);
        self.mix(tracks, patches, heard)?;
        let [left, right] = [0, 1].map(|side| {
            let pcm: Vec<i16> = self.samples.as_chunks::<2>().0.iter().map(|pair| pair[side]).collect();
            voice(&pcm, stretch)
        });
        let (left, right) = (left?, right?);
        let packets = left.iter().zip(&right).map(|(left, right)| {
            // One frame each (code 0): its kind is all that comes before it.
            packet_of_two((left[0], &[&left[1..]]), (right[0], &[&right[1..]]))
        });
        Ok(cmaf::voices(packets, stretch))
    }
}

/// The packets of one voice, from what [`heard_as_voices`] has of it.
fn voice(pcm: &[i16], stretch: &Range<i64>) -> Result<Vec<Vec<u8>>, Error> {
    let failed = |error: opus::Error| Error::OpusEncoder(error.to_string());
    let mut encoder = Encoder::new(SAMPLE_RATE, Channels::Mono, Application::LowDelay).map_err(failed)?;
    encoder.set_bitrate(Bitrate::Bits(BITRATE)).map_err(failed)?;
    // What is decoded is that much later than what was encoded.
    let delay = encoder.get_lookahead().map_err(failed)?.unsigned_abs() as usize;
    let count = cmaf::slots(stretch);
    let blocks = pcm.get(delay..).unwrap_or_default().chunks_exact(SLOT as usize).take((WARM_UP + count) as usize);
    let mut packets = Vec::with_capacity(count as usize);
    for (number, block) in (-WARM_UP..).zip(blocks) {
        // The decoder comes from packets of another encoder: the first one must not lean on them.
        encoder.set_prediction_disabled(number == 0).map_err(failed)?;
        let packet = encoder.encode_vec(block, LARGEST).map_err(failed)?;
        if number >= 0 {
            packets.push(packet);
        }
    }
    Ok(packets)
}
