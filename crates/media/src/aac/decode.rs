//! The AAC decoder: of what others encoded, for the waveform and for voice activity.

use fdk_aac::dec::{Decoder as Fdk, DecoderError, Transport};

use super::FRAME;
use super::adts::{Format, Header};

/// The most channels that come out: more are mixed down.
const CHANNELS: usize = 2;
/// The most samples of a block, per channel: HE-AAC has twice those of AAC-LC.
const LONGEST_BLOCK: usize = 2 * FRAME;
/// The most that a decoder is believed to hold back, in samples per channel.
const LONGEST_DELAY: usize = 8 * FRAME;

/// Why a decoder could not be created, or a frame not decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the AAC decoder failed: {0}")]
pub struct DecodeError(pub String);

impl From<DecoderError> for DecodeError {
    fn from(error: DecoderError) -> Self {
        Self(error.message().to_owned())
    }
}

/// What comes out of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pcm {
    /// Samples per second: of HE-AAC twice what its ADTS headers say.
    pub sample_rate: u32,
    /// Channels, interleaved: 1 or 2.
    pub channels: u8,
}

/// The Fraunhofer FDK decoder of one stream of ADTS frames, of one block each.
///
/// What it holds back itself (a block, for what it puts in the place of a bad one, and the 15 ms that its limiter looks ahead) is made
/// up for: the first sample that comes out is the first of the first frame, and with [`Decoder::finish`] exactly 1,024 samples of
/// AAC-LC come out for each block. What the *encoder* put before its sound stays: 2,048 samples of [`FdkAac`](super::FdkAac). As each
/// frame needs the one before it, the first that is decoded fades in.
pub struct Decoder {
    /// The decoder of frames of one format; `None` before the first frame, and after one that could not be decoded.
    fdk: Option<(Format, Fdk)>,
    buffer: Box<[i16; LONGEST_BLOCK * CHANNELS]>,
    /// What came out last.
    block: Option<Block>,
    /// The samples of all channels that are still to be dropped; `None` before the first block.
    dropped: Option<usize>,
    /// The last frame, which is decoded again at the end to get what was held back.
    last: Vec<u8>,
}

/// A block that came out of the decoder.
#[derive(Clone, Copy)]
struct Block {
    pcm: Pcm,
    /// Its samples, of all channels.
    length: usize,
    /// What the decoder holds back, of all channels.
    held_back: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder that has had no frame yet.
    pub fn new() -> Self {
        let buffer = Box::new([0; LONGEST_BLOCK * CHANNELS]);
        Self { fdk: None, buffer, block: None, dropped: None, last: Vec::new() }
    }

    /// Decodes one ADTS frame and appends its samples, interleaved.
    ///
    /// Bytes that are not exactly one frame are an error, and nothing is appended. A frame that cannot be decoded is one as well: after
    /// a frame that could, silence of its length is appended, so that what comes after it keeps its place. What was held back is
    /// lost with it.
    pub fn decode(&mut self, frame: &[u8], out: &mut Vec<i16>) -> Result<Pcm, DecodeError> {
        let header = Header::parse(frame).filter(|header| header.length == frame.len());
        let header = header.ok_or_else(|| DecodeError("this is not one ADTS frame".to_owned()))?;
        let begin = out.len();
        let decoded = self.decode_block(header, frame, out);
        if decoded.is_ok() {
            self.last.clear();
            self.last.extend_from_slice(frame);
        } else {
            let length = self.block.map_or(0, |block| block.length * usize::from(header.blocks));
            out.truncate(begin);
            out.resize(begin + length, 0);
            // What is left of the frame would be taken for the beginning of the next one.
            self.fdk = None;
        }
        decoded
    }

    /// Appends what is still held back: the last 36 ms at 48 kHz.
    pub fn finish(mut self, out: &mut Vec<i16>) -> Result<(), DecodeError> {
        let (Some(block), Some(header)) = (self.block, Header::parse(&self.last)) else { return Ok(()) };
        let (last, mut again) = (std::mem::take(&mut self.last), Vec::new());
        let mut decoded = Ok(block.pcm);
        while again.len() < block.held_back && decoded.is_ok() {
            decoded = self.decode_block(header, &last, &mut again);
        }
        again.resize(block.held_back, 0);
        out.extend_from_slice(&again);
        decoded.map(drop)
    }

    fn decode_block(&mut self, header: Header, frame: &[u8], out: &mut Vec<i16>) -> Result<Pcm, DecodeError> {
        if header.blocks != 1 {
            return Err(DecodeError(format!("a frame of {} blocks", header.blocks)));
        }
        let fdk = match &mut self.fdk {
            Some((format, fdk)) if *format == header.format => fdk,
            other => &mut other.insert((header.format, open(header.format)?)).1,
        };
        let payload = &frame[header.own_length()..];
        let taken = fdk.fill(payload)?;
        if taken != payload.len() {
            return Err(DecodeError(format!("{taken} of {} bytes were taken", payload.len())));
        }
        fdk.decode_frame(&mut self.buffer[..])?;
        let block = decoded(fdk)?;
        let dropped = self.dropped.get_or_insert(block.held_back);
        let skip = (*dropped).min(block.length);
        *dropped -= skip;
        out.extend_from_slice(&self.buffer[skip..block.length]);
        self.block = Some(block);
        Ok(block.pcm)
    }
}

/// The block that was decoded last.
fn decoded(fdk: &Fdk) -> Result<Block, DecodeError> {
    let info = fdk.stream_info();
    let read = || {
        let pcm = Pcm {
            sample_rate: u32::try_from(info.sampleRate).ok()?,
            channels: u8::try_from(info.numChannels).ok().filter(|channels| matches!(channels, 1..=2))?,
        };
        let (channels, samples) = (usize::from(pcm.channels), usize::try_from(info.frameSize).ok()?);
        let held_back = (info.outputDelay as usize).min(LONGEST_DELAY) * channels;
        (1..=LONGEST_BLOCK).contains(&samples).then_some(Block { pcm, length: samples * channels, held_back })
    };
    read().ok_or_else(|| DecodeError(format!("{} samples of {} channels came out", info.frameSize, info.numChannels)))
}

fn open(format: Format) -> Result<Fdk, DecodeError> {
    let config = format.audio_specific_config();
    let config =
        config.ok_or_else(|| DecodeError("the frame's header does not say how many channels it has".to_owned()))?;
    let mut fdk = Fdk::new(Transport::Raw);
    // Fails as well when there is no decoder, for want of memory.
    fdk.set_max_output_channels(CHANNELS)?;
    fdk.config_raw(&config)?;
    Ok(fdk)
}

#[cfg(test)]
mod tests;
