//! AAC: the encoder (the trait that the renderer uses, and the built-in implementation), frames of others, and their decoder.

pub mod adts;
#[cfg(feature = "fdk-aac")]
mod decode;

#[cfg(feature = "fdk-aac")]
pub use decode::{DecodeError, Decoder, Pcm};

/// Samples of a frame, per channel.
pub const FRAME: usize = 1024;

/// Why an encoder could not be created, or a frame not encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the AAC encoder failed: {0}")]
pub struct Error(pub String);

/// An AAC-LC encoder: 48 kHz, stereo, ADTS frames out.
pub trait AacEncoder {
    /// The delay, in frames, between sound going in and the same sound being decoded again: the first `DELAY_FRAMES` frames that
    /// come out are of what came before.
    const DELAY_FRAMES: usize;

    /// A new encoder, which has had no input yet.
    fn new() -> Result<Self, Error>
    where
        Self: Sized;

    /// Takes one frame of interleaved samples (2 x 1,024) and appends one ADTS frame; returns its length in bytes.
    fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) -> Result<usize, Error>;
}

#[cfg(feature = "fdk-aac")]
pub use fdk::FdkAac;

/// Whether an encoder comes with this build.
pub const IS_BUILT_IN: bool = cfg!(feature = "fdk-aac");

/// The encoder that comes with this build.
#[cfg(feature = "fdk-aac")]
pub type BuiltIn = FdkAac;
/// The encoder that comes with this build: none.
#[cfg(not(feature = "fdk-aac"))]
pub type BuiltIn = NoEncoder;

/// A stand-in for the encoder in a build without one; it cannot be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEncoder {}

impl AacEncoder for NoEncoder {
    const DELAY_FRAMES: usize = 0;

    fn new() -> Result<Self, Error> {
        Err(Error("this build has none; build with the feature fdk-aac, or supply another AacEncoder".to_owned()))
    }

    fn encode(&mut self, _: &[i16], _: &mut Vec<u8>) -> Result<usize, Error> {
        match *self {}
    }
}

#[cfg(feature = "fdk-aac")]
mod fdk {
    use fdk_aac::enc::{AudioObjectType, BitRate, ChannelMode, Encoder, EncoderParams, Transport};

    use super::{AacEncoder, Error, FRAME};

    /// Bits per second of the audio rendition.
    const BITRATE: u32 = 64_000;
    /// The longest ADTS frame (13 bits of length).
    const MAX_FRAME: usize = 8192;

    /// The Fraunhofer FDK encoder at a constant 64 kb/s. Its delay is 2,048 samples (measured; `AACENC_InfoStruct`'s
    /// nDelay says the same): 1,024 of the transform's overlap and 1,024 of look-ahead for block switching.
    pub struct FdkAac {
        encoder: Encoder,
        buffer: Box<[u8; MAX_FRAME]>,
    }

    impl AacEncoder for FdkAac {
        const DELAY_FRAMES: usize = 2;

        fn new() -> Result<Self, Error> {
            let encoder = Encoder::new(EncoderParams {
                bit_rate: BitRate::Cbr(BITRATE),
                sample_rate: crate::SAMPLE_RATE,
                transport: Transport::Adts,
                channels: ChannelMode::Stereo,
                audio_object_type: AudioObjectType::Mpeg4LowComplexity,
            });
            let encoder = encoder.map_err(|error| Error(format!("{error:?}")))?;
            Ok(Self { encoder, buffer: Box::new([0; MAX_FRAME]) })
        }

        fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) -> Result<usize, Error> {
            debug_assert_eq!(samples.len(), 2 * FRAME);
            let info = self.encoder.encode(samples, &mut self.buffer[..]);
            let info = info.map_err(|error| Error(format!("{error:?}")))?;
            if info.input_consumed != samples.len() || info.output_size == 0 {
                return Err(Error(format!(
                    "{} of {} samples were taken and {} bytes came out",
                    info.input_consumed,
                    samples.len(),
                    info.output_size
                )));
            }
            out.extend_from_slice(&self.buffer[..info.output_size]);
            Ok(info.output_size)
        }
    }
}
