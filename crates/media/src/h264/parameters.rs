//! Sequence parameter sets (ITU-T H.264, section 7.3.2.1.1).

use super::SEQUENCE_PARAMETERS;
use super::bits::Bits;

/// The largest picture that is believed, in either direction: level 6.2 has 16,880 pixels at most (section A.3.1).
const LARGEST: u32 = 16_880;
/// Profiles that say how colours are sampled.
const HIGH_PROFILES: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// What a sequence parameter set says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// `profile_idc`: 66 Baseline, 77 Main, 100 High.
    pub profile: u8,
    /// The constraint flags, as they are written before the level.
    pub constraints: u8,
    /// `level_idc`: ten times the level.
    pub level: u8,
    /// The width in which pictures are shown, in pixels, at most 16,880.
    pub width: u32,
    /// The height in which pictures are shown.
    pub height: u32,
}

impl Parameters {
    /// Reads a NAL unit; `None` when it is no sequence parameter set that can be read.
    pub fn parse(unit: &[u8]) -> Option<Self> {
        let (&[first, profile, constraints, level], rest) = unit.split_first_chunk()?;
        if first & 0x1f != SEQUENCE_PARAMETERS {
            return None;
        }
        let mut bits = Bits::new(rest);
        bits.unsigned()?; // seq_parameter_set_id
        let colours = if HIGH_PROFILES.contains(&profile) { Colours::parse(&mut bits)? } else { Colours::HALF };
        skip_order(&mut bits)?;
        bits.unsigned()?; // max_num_ref_frames
        bits.bit()?; // gaps_in_frame_num_value_allowed_flag
        let (width, height) = size(&mut bits, colours)?;
        Some(Self { profile, constraints, level, width, height })
    }

    /// Its name in a playlist's CODECS (RFC 6381, section 3.3): `avc1.` and profile, constraints and level in hexadecimal.
    pub fn codec(&self) -> String {
        format!("avc1.{:02x}{:02x}{:02x}", self.profile, self.constraints, self.level)
    }
}

/// How many pixels share a sample of colour, across and down (table 6-1).
#[derive(Clone, Copy)]
struct Colours {
    across: u32,
    down: u32,
}

impl Colours {
    const HALF: Self = Self { across: 2, down: 2 };

    /// Reads what only some profiles have.
    fn parse(bits: &mut Bits<'_>) -> Option<Self> {
        let format = bits.unsigned()?;
        if format == 3 {
            bits.bit()?; // separate_colour_plane_flag
        }
        bits.unsigned()?; // bit_depth_luma_minus8
        bits.unsigned()?; // bit_depth_chroma_minus8
        bits.bit()?; // qpprime_y_zero_transform_bypass_flag
        if bits.bit()? {
            (0..if format == 3 { 12 } else { 8 })
                .try_for_each(|list| skip_scaling(bits, if list < 6 { 16 } else { 64 }))?;
        }
        match format {
            1 => Some(Self::HALF),
            2 => Some(Self { across: 2, down: 1 }),
            0 | 3 => Some(Self { across: 1, down: 1 }),
            _ => None,
        }
    }
}

/// Passes over a scaling list (section 7.3.2.1.1.1).
fn skip_scaling(bits: &mut Bits<'_>, length: u32) -> Option<()> {
    if !bits.bit()? {
        return Some(());
    }
    let mut last = 8;
    for _ in 0..length {
        last = (last + bits.signed()?).rem_euclid(256);
        if last == 0 {
            break;
        }
    }
    Some(())
}

/// Passes over how pictures are put in order.
fn skip_order(bits: &mut Bits<'_>) -> Option<()> {
    bits.unsigned()?; // log2_max_frame_num_minus4
    match bits.unsigned()? {
        0 => drop(bits.unsigned()?), // log2_max_pic_order_cnt_lsb_minus4
        1 => {
            bits.bit()?; // delta_pic_order_always_zero_flag
            bits.signed()?; // offset_for_non_ref_pic
            bits.signed()?; // offset_for_top_to_bottom_field
            let count = bits.unsigned().filter(|count| *count <= 255)?;
            (0..count).try_for_each(|_| bits.signed().map(drop))?;
        }
        2 => {}
        _ => return None,
    }
    Some(())
}

/// Width and height, without what is cropped (section 7.4.2.1.1).
fn size(bits: &mut Bits<'_>, colours: Colours) -> Option<(u32, u32)> {
    let blocks = |bits: &mut Bits<'_>| bits.unsigned().filter(|blocks| *blocks < LARGEST / 16);
    let (across, down) = (blocks(bits)? + 1, blocks(bits)? + 1);
    let fields = if bits.bit()? { 1 } else { 2 };
    if fields == 2 {
        bits.bit()?; // mb_adaptive_frame_field_flag
    }
    bits.bit()?; // direct_8x8_inference_flag
    let [left, right, top, bottom] =
        if bits.bit()? { [bits.unsigned()?, bits.unsigned()?, bits.unsigned()?, bits.unsigned()?] } else { [0; 4] };
    let cropped = |blocks: u32, unit: u32, one: u32, other: u32| {
        let crop = one.checked_add(other)?.checked_mul(unit)?;
        (blocks * 16).checked_sub(crop).filter(|pixels| (1..=LARGEST).contains(pixels))
    };
    let width = cropped(across, colours.across, left, right)?;
    let height = cropped(down * fields, colours.down * fields, top, bottom)?;
    Some((width, height))
}
