//! Degrades the sound of a call: noise, music on hold, echo, laughter, coughs, typing. Never changes the truth about it.

use std::f32::consts::TAU;

use super::random::Random;
use super::{Call, RATE, Who, at};

/// A way in which sound is degraded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quality {
    /// Unchanged.
    Clean,
    /// Noise on both channels, this many decibels below the speech.
    WhiteNoise(f64),
    /// The same, with more of it in the bass.
    PinkNoise(f64),
    /// Music on the caller's channel, this many decibels relative to their speech: 20 s of it, then a pause of 10 s.
    Music(f64),
    /// The agent in the caller's channel, 80 ms late, muffled, at this level relative to itself in decibels.
    Echo(f64),
    /// The caller laughs where they say nothing.
    Laughter,
    /// The caller coughs where they say nothing, half a second after a line or before one.
    Coughs,
    /// The caller types while the agent speaks.
    Keyboard,
}

impl Quality {
    /// Its name in the table.
    pub fn name(self) -> String {
        match self {
            Self::Clean => "clean".to_owned(),
            Self::WhiteNoise(db) => format!("white noise, SNR {db} dB"),
            Self::PinkNoise(db) => format!("pink noise, SNR {db} dB"),
            Self::Music(db) => format!("music on hold {db} dB"),
            Self::Echo(db) => format!("echo {db} dB"),
            Self::Laughter => "laughter".to_owned(),
            Self::Coughs => "coughs".to_owned(),
            Self::Keyboard => "keyboard".to_owned(),
        }
    }

    /// The call with this sound.
    pub fn of(self, call: &Call) -> Call {
        let mut call = call.clone();
        let mut random = Random::new(77);
        match self {
            Self::Clean => {}
            Self::WhiteNoise(db) => noise(&mut call, db, &mut || random.noise()),
            Self::PinkNoise(db) => {
                let mut pink = Pink::default();
                noise(&mut call, db, &mut || pink.next(&mut random));
            }
            Self::Music(db) => music(&mut call, db, &mut random),
            Self::Echo(db) => echo(&mut call, db),
            Self::Laughter => laughter(&mut call, &mut random),
            Self::Coughs => coughs(&mut call, &mut random),
            Self::Keyboard => keyboard(&mut call, &mut random),
        }
        call
    }
}

fn decibels(db: f64) -> f32 {
    10_f64.powf(db / 20.0) as f32
}

/// The root mean square of what somebody says, without pauses.
fn loudness(call: &Call, who: Who) -> f32 {
    let (mut energy, mut count) = (0.0, 0_usize);
    for (from, to, _) in call.lines.iter().filter(|line| line.who == who).flat_map(|line| &line.pieces) {
        let piece = &call.channel(who)[at(*from)..at(*to)];
        energy += piece.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        count += piece.len();
    }
    (energy / count.max(1) as f64).sqrt() as f32
}

fn add(channel: &mut [f32], place: f64, sound: &[f32]) {
    let from = at(place).min(channel.len());
    channel[from..].iter_mut().zip(sound).for_each(|(x, y)| *x = (*x + y).clamp(-0.99, 0.99));
}

fn noise(call: &mut Call, db: f64, next: &mut dyn FnMut() -> f32) {
    for who in [Who::User, Who::Agent] {
        let gain = loudness(call, who) * decibels(-db);
        call.channel_mut(who).iter_mut().for_each(|x| *x = (*x + gain * next()).clamp(-0.99, 0.99));
    }
}

/// Pink noise by Paul Kellet's economy filter, of root mean square about 1.
#[derive(Default)]
struct Pink([f32; 3]);

impl Pink {
    fn next(&mut self, random: &mut Random) -> f32 {
        let white = random.noise();
        let [a, b, c] = &mut self.0;
        *a = 0.997_65 * *a + white * 0.099_046;
        *b = 0.963 * *b + white * 0.296_516_4;
        *c = 0.57 * *c + white * 1.052_691_3;
        (*a + *b + *c + white * 0.184_8) * 0.45
    }
}

/// Chords with a tune above them and drums below: half a second per beat.
fn music(call: &mut Call, db: f64, random: &mut Random) {
    const CHORDS: [[f32; 3]; 4] =
        [[261.6, 329.6, 392.0], [220.0, 261.6, 329.6], [174.6, 220.0, 261.6], [196.0, 246.9, 293.7]];
    let beat = RATE / 2;
    let mut sound = vec![0.0_f32; call.user.len()];
    let on = |sample: usize| sample % (30 * RATE) >= 4 * RATE && sample % (30 * RATE) < 24 * RATE;
    let mut tune = 523.3_f32;
    for (n, out) in sound.iter_mut().enumerate() {
        let within = n % beat;
        if within == 0 {
            tune = CHORDS[n / beat / 4 % 4][random.number() as usize % 3] * 2.0;
        }
        if !on(n) {
            continue;
        }
        let time = n as f64 / RATE as f64;
        let fading = (-3.0 * within as f32 / beat as f32).exp();
        let wave = |hertz: f32| (TAU * (f64::from(hertz) * time).fract() as f32).sin();
        let tone = |hertz: f32| wave(hertz) + 0.4 * wave(2.0 * hertz);
        let chord: f32 = CHORDS[n / beat / 4 % 4].iter().map(|hertz| tone(*hertz)).sum();
        let drum = (-(within as f32) / 2_400.0).exp() * random.noise();
        *out = 0.35 * chord * (0.4 + 0.6 * fading) + 0.6 * tone(tune) * fading + 0.5 * drum;
    }
    let heard: Vec<f32> = sound.iter().enumerate().filter(|(n, _)| on(*n)).map(|(_, x)| *x).collect();
    let energy = heard.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / heard.len().max(1) as f64;
    let gain = loudness(call, Who::User) * decibels(db) / energy.sqrt().max(1e-9) as f32;
    let sound: Vec<f32> = sound.iter().map(|x| x * gain).collect();
    add(&mut call.user, 0.0, &sound);
}

fn echo(call: &mut Call, db: f64) {
    let gain = decibels(db);
    // A one-pole low-pass filter at 2.5 kHz.
    let share = 1.0 - (-TAU * 2_500.0 / RATE as f32).exp();
    let mut state = 0.0;
    let dull: Vec<f32> = call
        .agent
        .iter()
        .map(|x| {
            state += share * (x - state);
            state * gain
        })
        .collect();
    add(&mut call.user, 0.08, &dull);
}

/// Places where the caller says nothing for `length` and for half a second around it.
fn pauses(call: &Call, length: f64) -> Vec<f64> {
    let mut free = Vec::new();
    let mut from = 0.2;
    let mine = call.lines.iter().filter(|line| line.who == Who::User).map(|line| (line.start, line.end));
    for (start, end) in mine.chain([(call.seconds(), call.seconds())]) {
        if start - from > length + 1.0 {
            free.push(from + 0.5);
            free.push(start - 0.5 - length);
        }
        from = end.max(from);
    }
    free
}

/// About five bursts a second, half voiced, half breath.
fn laugh(random: &mut Random, loudness: f32) -> Vec<f32> {
    let (seconds, rate, hertz) = (random.range(0.8, 1.8), random.range(4.0, 6.0), random.range(180.0, 320.0));
    (0..at(seconds))
        .map(|n| {
            let time = n as f64 / RATE as f64;
            let within = (time * rate).fract();
            let shape = if within < 0.55 { (within / 0.55 * std::f64::consts::PI).sin() as f32 } else { 0.0 };
            let voiced = ((time * hertz).fract() * 2.0 - 1.0) as f32;
            shape * (0.9 * voiced + 0.6 * random.noise()) * loudness * 1.4
        })
        .collect()
}

fn laughter(call: &mut Call, random: &mut Random) {
    let loudness = loudness(call, Who::User);
    for place in pauses(call, 1.8) {
        if random.chance(0.5) {
            let sound = laugh(random, loudness);
            add(&mut call.user, place, &sound);
        }
    }
}

fn coughs(call: &mut Call, random: &mut Random) {
    let loudness = loudness(call, Who::User);
    for place in pauses(call, 0.4) {
        if random.chance(0.7) {
            let length = at(random.range(0.2, 0.4));
            let cough = |n: usize, random: &mut Random| {
                let fading = (-4.0 * n as f32 / length as f32).exp() * (n as f32 / 300.0).min(1.0);
                2.5 * loudness * fading * random.noise()
            };
            let sound: Vec<f32> = (0..length).map(|n| cough(n, random)).collect();
            add(&mut call.user, place, &sound);
        }
    }
}

fn keyboard(call: &mut Call, random: &mut Random) {
    let spans: Vec<_> =
        call.lines.iter().filter(|line| line.who == Who::Agent).map(|line| (line.start, line.end)).collect();
    for (start, end) in spans {
        let mut place = start;
        while place < end {
            let loud = random.range(0.05, 0.25) as f32;
            let click: Vec<f32> = (0..360).map(|n| loud * (-(n as f32) / 80.0).exp() * random.noise()).collect();
            add(&mut call.user, place, &click);
            place += random.range(0.09, 0.3);
        }
    }
}
