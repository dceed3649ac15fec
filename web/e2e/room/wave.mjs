// The wave of a replay: where a sound begins or ends in it.

import { readFileSync } from 'node:fs';

const RATE = 48_000;
/** Samples of a window (2 ms), and the loudness (RMS of 16-bit samples) from which on a tone is heard. */
const TONE = { window: 96, loud: 500 };
/** The same for a voice (10 ms). */
const VOICE = { window: 480, loud: 300 };

/** The samples of raw sound. */
export const samplesOf = (bytes) => new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length >> 1);

/** The samples of a file of raw sound; stereo ones are interleaved. */
export const read = (pcm) => samplesOf(readFileSync(pcm));

/** The root mean square of one channel (0 left, 1 right) over so many samples. */
export function loudness(samples, channel, at, count) {
  let energy = 0;
  for (let n = at; n < at + count; n += 1) energy += samples[n * 2 + channel] ** 2;
  return Math.sqrt(energy / count);
}

/** The end of the last tone of one channel between two moments of a replay; all in seconds. */
export function lastSound(pcm, channel, from = 0, to = Infinity) {
  const samples = read(pcm);
  const { window, loud } = TONE;
  const end = Math.min(samples.length / 2, Math.floor(to * RATE));
  for (let at = end - window; at >= from * RATE; at -= window) {
    if (loudness(samples, channel, at, window) > loud) return (at + window) / RATE;
  }
  return null;
}

/** When a voice is first heard on one channel from a moment on, in seconds. */
export function firstVoice(pcm, channel, from) {
  const samples = read(pcm);
  const { window, loud } = VOICE;
  for (let at = Math.round(from * RATE); at + window < samples.length / 2; at += window) {
    if (loudness(samples, channel, at, window) > loud) return at / RATE;
  }
  return Infinity;
}
