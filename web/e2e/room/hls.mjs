// A recording's HLS as LiveKit's own service is checked for it: one list of segments, times that add up, the frame grid,
// AAC in stereo.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

import HLS from 'hls-parser';

/** Samples in an AAC frame, and frames in a segment of 4 s: 187 and 188 by turns. */
const FRAME = 1024 / 48_000;
const FRAMES_PER_SEGMENT = 187.5;
/** A rest of fewer frames is no segment of its own; the last one takes it in. */
const SHORTEST_TAIL = 10;
/** How far two dates may be from the length of the segment between them, in milliseconds. */
const DATE_STEP = 50;

/** A recording's multivariant playlist in Opus. */
export function inOpus(recording) {
  const url = new URL(recording.playlist_url);
  url.searchParams.set('codec', 'opus');
  return url.href;
}

/** The media playlist of a recording, read strictly, with its text and address; of this multivariant playlist. */
export async function listing(recording, from = recording.playlist_url) {
  HLS.setOptions({ strictMode: true });
  const multivariant = HLS.parse(await (await fetch(from)).text());
  assert.equal(multivariant.variants.length, 1);
  const url = new URL(multivariant.variants[0].uri, from).href;
  const text = await (await fetch(url)).text();
  return { playlist: HLS.parse(text), text, url };
}

/** Checks that dates and lengths add up: each date is the one before and its length. */
export function assertDates(playlist) {
  playlist.segments.slice(1).forEach((segment, n) => {
    const before = playlist.segments[n];
    const step = segment.programDateTime - before.programDateTime;
    assert.ok(Math.abs(step - before.duration * 1000) <= DATE_STEP, `segment ${n} is ${before.duration} s long, the next begins ${step} ms later`);
  });
}

/** Checks that each segment begins and ends on the frame grid, and that there are as many as it gives. */
export function assertGrid(playlist, isEnded) {
  let frames = 0;
  playlist.segments.forEach((segment, n) => {
    assert.equal(frames, Math.floor(n * FRAMES_PER_SEGMENT), `segment ${n} begins at frame ${frames}`);
    const own = segment.duration / FRAME;
    assert.ok(Math.abs(own - Math.round(own)) < 0.01, `segment ${n} has ${own} frames`);
    frames += Math.round(own);
  });
  const count = playlist.segments.length;
  if (isEnded) assert.equal(count, Math.max(1, Math.ceil((frames - SHORTEST_TAIL + 1) / FRAMES_PER_SEGMENT)), `${count} segments for ${frames} frames`);
  else assert.equal(frames, Math.floor(count * FRAMES_PER_SEGMENT), `${frames} frames in ${count} segments`);
}

/** What ffprobe says of the sound in a file. */
export function probe(file) {
  const output = execFileSync('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_name,codec_type,profile,channels,sample_rate', '-of', 'json', file], { encoding: 'utf8' });
  return JSON.parse(output).streams;
}
