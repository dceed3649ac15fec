//! Synthesises speech with espeak-ng, such that its beginning and end are known to the sample.

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::RATE;

/// -50 dB relative to full scale: anything louder is audible.
pub const AUDIBLE: f32 = 0.003_162_3;
/// The sample rate of espeak-ng, in samples per second.
const ESPEAK_RATE: usize = 22_050;
const WAV_HEADER: usize = 44;

/// A voice: espeak-ng's name for it, words per minute, pitch 0 to 99, and its loudness as root mean square.
#[derive(Debug, Clone, Copy)]
pub struct Voice {
    /// The name.
    pub name: &'static str,
    /// Words per minute.
    pub speed: u32,
    /// Pitch, 0 to 99.
    pub pitch: u32,
    /// Root mean square of its speech; full scale is 1.
    pub loudness: f32,
}

type Made = LazyLock<Mutex<HashMap<String, Arc<Vec<f32>>>>>;
static MADE: Made = LazyLock::new(Mutex::default);

/// The sound of a clause, from its first audible sample to its last.
pub fn clause(voice: Voice, text: &str) -> Vec<f32> {
    let key = format!("{}/{}/{}/{text}", voice.name, voice.speed, voice.pitch);
    let known = MADE.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    let plain = known.unwrap_or_else(|| {
        let made = Arc::new(synthesise(voice, text));
        MADE.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&made));
        made
    });
    let energy = plain.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / plain.len() as f64;
    let gain = voice.loudness / energy.sqrt() as f32;
    let loud: Vec<f32> = plain.iter().map(|x| (x * gain).clamp(-0.99, 0.99)).collect();
    let (first, last) = audible(&loud).unwrap_or_else(|| panic!("nothing is heard of {text:?}"));
    loud[first..=last].to_vec()
}

/// The first and the last audible sample.
pub fn audible(sound: &[f32]) -> Option<(usize, usize)> {
    let is_heard = |x: &f32| x.abs() > AUDIBLE;
    Some((sound.iter().position(is_heard)?, sound.iter().rposition(is_heard)?))
}

fn synthesise(voice: Voice, text: &str) -> Vec<f32> {
    let (speed, pitch) = (voice.speed.to_string(), voice.pitch.to_string());
    let arguments = ["-v", voice.name, "-s", &speed, "-p", &pitch, "--stdout", text];
    let output = Command::new("espeak-ng").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("espeak-ng is missing ({error}): scripts/install.sh test"));
    assert!(output.status.success(), "espeak-ng: {}", String::from_utf8_lossy(&output.stderr));
    let pairs = output.stdout[WAV_HEADER..].chunks_exact(2);
    let samples: Vec<f32> = pairs.map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0).collect();
    let length = samples.len() * RATE / ESPEAK_RATE;
    (0..length).map(|n| between(&samples, n as f64 * ESPEAK_RATE as f64 / RATE as f64)).collect()
}

/// The value between two samples, by linear interpolation.
fn between(samples: &[f32], place: f64) -> f32 {
    let (whole, part) = (place as usize, place.fract() as f32);
    let value = |n: usize| samples.get(n).copied().unwrap_or(0.0);
    value(whole) * (1.0 - part) + value(whole + 1) * part
}
