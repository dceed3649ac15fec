//! Audio oracles: decoding by ffmpeg, cross-correlation, speech onsets. None of this is code under test.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::http;

/// Samples per second.
pub const RATE: usize = 48_000;

/// Interleaved stereo, 48 kHz.
pub struct Pcm(pub Vec<i16>);

impl Pcm {
    /// One channel.
    pub fn channel(&self, channel: usize) -> Vec<f64> {
        self.0.iter().skip(channel).step_by(2).map(|&sample| f64::from(sample)).collect()
    }
}

fn need(program: &str) {
    let found = Command::new(program).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(found.is_ok_and(|status| status.success()), "{program} is missing: apt-get install ffmpeg");
}

/// Decodes bytes with ffmpeg, which must not report anything.
pub fn decode(bytes: &[u8], format: &str) -> Pcm {
    need("ffmpeg");
    let arguments =
        ["-v", "warning", "-f", format, "-i", "pipe:0", "-f", "s16le", "-ac", "2", "-ar", "48000", "pipe:1"];
    let mut child = Command::new("ffmpeg")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, bytes) = (child.stdin.take().unwrap(), bytes.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(complaints.trim().is_empty(), "ffmpeg says: {complaints}");
    Pcm(output.stdout.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
}

/// What ffprobe reports of a file, as `key=value` lines of the named entries.
pub fn probe(file: &Path, entries: &str) -> Vec<String> {
    need("ffprobe");
    let output = Command::new("ffprobe")
        .args(["-v", "warning", "-show_entries", entries, "-of", "default=nw=1"])
        .arg(file)
        .output();
    let output = output.unwrap();
    assert!(output.stderr.is_empty(), "ffprobe says: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// The addresses of the segments of a recording, with their lengths in seconds, in order.
pub fn listed(playlist_url: &str) -> Vec<(f64, String)> {
    let multivariant = http::fetch(playlist_url).text();
    let media = multivariant.lines().find(|line| !line.starts_with('#')).unwrap();
    let base = playlist_url.rsplit_once("/playlist.m3u8").unwrap().0;
    let playlist = http::fetch(&format!("{base}/{media}")).text();
    let mut length = 0.0;
    let mut segments = Vec::new();
    for line in playlist.lines() {
        if let Some(extinf) = line.strip_prefix("#EXTINF:") {
            length = extinf.trim_end_matches(',').parse().unwrap();
        } else if !line.starts_with('#') {
            segments.push((length, line.to_owned()));
        }
    }
    segments
}

/// A recording's segments: length in seconds and bytes, in order.
pub fn segments(playlist_url: &str) -> Vec<(f64, Vec<u8>)> {
    let fetched = listed(playlist_url).into_iter().map(|(length, address)| {
        let answer = http::fetch(&address);
        assert_eq!(answer.status, 200, "{address}: {}", answer.text());
        (length, answer.body)
    });
    fetched.collect()
}

/// How many samples `b` is later than `a` around a position, by cross-correlation within a range; and how similar they are there (1
/// means identical).
pub fn lag(a: &[f64], b: &[f64], at: usize, window: usize, range: i64) -> (i64, f64) {
    let reference = &a[at..at + window];
    let energy = |signal: &[f64]| signal.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut best = (0, f64::MIN);
    for lag in -range..=range {
        let from = at as i64 + lag;
        if from < 0 || from as usize + window > b.len() {
            continue;
        }
        let moved = &b[from as usize..from as usize + window];
        let product: f64 = reference.iter().zip(moved).map(|(x, y)| x * y).sum();
        let likeness = product / (energy(reference) * energy(moved)).max(1.0);
        if likeness > best.1 {
            best = (lag, likeness);
        }
    }
    best
}

/// When a channel begins to speak after at least `pause` seconds of quiet, in seconds: by a plain threshold on the level of steps
/// of 5 ms.
pub fn onsets(channel: &[f64], pause: f64) -> Vec<f64> {
    const STEP: usize = RATE / 200;
    let loud: Vec<bool> = channel
        .chunks(STEP)
        .map(|chunk| (chunk.iter().map(|x| x * x).sum::<f64>() / chunk.len() as f64).sqrt() > 150.0)
        .collect();
    let (mut quiet, mut found) = (f64::MAX, Vec::new());
    for (step, &is_loud) in loud.iter().enumerate() {
        if is_loud {
            if quiet >= pause {
                found.push(step as f64 * 0.005);
            }
            quiet = 0.0;
        } else {
            quiet += 0.005;
        }
    }
    found
}
