// The wave of a replay: where a tone ends in it.

import { readFileSync } from 'node:fs';

const RATE = 48_000;
/** Samples of a window (2 ms), and the loudness (RMS of 16-bit samples) from which on it is heard. */
const WINDOW = 96;
const LOUD = 500;

/** The end of the last sound of one channel (0 left, 1 right) between two moments of a replay; all in seconds. */
export function lastSound(pcm, channel, from = 0, to = Infinity) {
  const bytes = readFileSync(pcm);
  const samples = new Int16Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 2));
  const end = Math.min(samples.length / 2, Math.floor(to * RATE));
  for (let at = end - WINDOW; at >= from * RATE; at -= WINDOW) {
    let energy = 0;
    for (let n = at; n < at + WINDOW; n += 1) energy += samples[n * 2 + channel] ** 2;
    if (Math.sqrt(energy / WINDOW) > LOUD) return (at + WINDOW) / RATE;
  }
  return null;
}
