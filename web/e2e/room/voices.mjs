// Voices with time codes as Ogg Opus, in frames of any length; what of their packets is in a segment, and what of their sound is heard; and how
// segments join.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { python, root } from '../harness.mjs';
import { folder, run } from './recordings.mjs';
import { packets } from './traces.mjs';
import { read, samplesOf } from './wave.mjs';

/** What an Opus packet says of itself: the layers of its frames, and whether all of them are in one frame (RFC 6716, section 3.1). */
const kindOf = (packet) => `${['SILK', 'SILK', 'SILK', 'hybrid', 'CELT', 'CELT', 'CELT', 'CELT'][packet[0] >> 5]}${(packet[0] & 3) === 0 ? '' : ' frames'}`;

/**
 * A voice (voice.py) that says the codes of a `number`, `offset` into each of so many `seconds`, out of libopus with an `application` and a `rate`, in
 * packets of a `frame` (ms). Its file, its packets, how many of them are of which kind, and what they sound like.
 */
export async function encode({ identity, number, seconds, offset, frame, application, rate }) {
  const sound = await run(python, ['voice.py', String(number), String(seconds), String(offset)], { cwd: join(root, 'web/e2e/room') });
  const raw = ['-f', 's16le', '-ar', '48000', '-ac', '1', '-i', '-'];
  const opus = ['-c:a', 'libopus', '-application', application, '-b:a', rate, '-frame_duration', String(frame), '-f', 'ogg', '-'];
  const encoded = await run('ffmpeg', ['-v', 'error', ...raw, ...opus], { input: sound });
  const file = join(folder, `${identity}.ogg`);
  writeFileSync(file, encoded);
  const all = packets(encoded);
  const kinds = {};
  for (const kind of all.map(kindOf)) kinds[kind] = (kinds[kind] ?? 0) + 1;
  const decoded = await run('ffmpeg', ['-v', 'error', '-c:a', 'libopus', '-i', file, '-f', 's16le', '-ac', '1', '-ar', '48000', '-']);
  return { file, packets: all, kinds, samples: samplesOf(decoded) };
}

/** Bytes out of the middle of a packet, which no other has, and how many. */
const MARK = 16;
const mark = (packet) => packet.subarray((packet.length - MARK) >> 1, (packet.length + MARK) >> 1);

/** How many of the packets that a voice sent between two moments are as they were in some bytes: 0 to 1. It `began` to speak then; all in seconds. */
export function untouched(bytes, { packets: all, frame, began }, from, to) {
  const sent = all.filter((packet, n) => began + n * frame / 1000 >= from && began + (n + 1) * frame / 1000 <= to);
  assert.ok(sent.length > 0, `nothing was sent from ${from} to ${to} s`);
  return sent.filter((packet) => bytes.includes(mark(packet))).length / sent.length;
}

/** How sharply a side of a wave is bent at most around a sample (its second difference): from a packet before it to two after it. */
function bend(samples, side, around) {
  let most = 0;
  for (let n = around - 960; n < around + 1_920; n += 1) {
    const [before, at, after] = [n - 1, n, n + 1].map((place) => samples[place * 2 + side] ?? 0);
    most = Math.max(most, Math.abs(after - 2 * at + before));
  }
  return most;
}

/** Seconds before and after a join that are like it: a voice says its codes at the same time in each. */
const LIKE_IT = [-2, -1, 1, 2];
/** How much more sharply than there it may be bent, and what is not heard. Where 2.5 ms are missing it is 30 times as sharply and more. */
const BENT = 3;
const UNHEARD = 10;

/** Checks that voices in raw stereo sound click at no join (s); how sharply they are bent there at most, as a part of how sharply they are elsewhere. */
export function assertNoClick(pcm, joins) {
  const samples = read(pcm);
  const bent = joins.flatMap((seconds) => [0, 1].map((side) => {
    const usual = LIKE_IT.map((by) => bend(samples, side, Math.round((seconds + by) * 48_000)));
    const part = bend(samples, side, Math.round(seconds * 48_000)) / Math.max(UNHEARD, ...usual);
    assert.ok(part <= BENT, `it clicks at ${seconds} s, side ${side}: ${part} times as sharply bent as elsewhere`);
    return part;
  }));
  return Math.max(...bent);
}

/** How much louder than the rest of the difference a sound is that is heard between two samples, if it was sent so many samples before (dB). */
function likeness(heard, sent, by, from, to) {
  let [energy, rest] = [1, 1];
  for (let n = from; n < to; n += 1) {
    const wanted = sent[n - by] ?? 0;
    energy += wanted ** 2;
    rest += ((heard[n] ?? 0) - wanted) ** 2;
  }
  return 10 * Math.log10(energy / rest);
}

/** The likeness of each 10 ms between two samples, from the least on; `by` as many samples as it is most like what is heard in the middle of them. */
function likenesses(heard, { samples: sent, began }, from, to) {
  const [near, middle] = [Math.round(began * 48_000), (from + to) >> 1];
  let [by, most] = [near, -Infinity];
  for (let tried = near - FARTHEST; tried <= near + FARTHEST; tried += 1) {
    const like = likeness(heard, sent, tried, middle - COMPARED, middle + COMPARED);
    if (like > most) [by, most] = [tried, like];
  }
  const all = [];
  for (let at = from; at + 480 <= to; at += 480) all.push(likeness(heard, sent, by, at, at + 480));
  return all.sort((a, b) => a - b);
}

/** The farthest that a packet is heard from where it was spoken (20 ms), and what is compared to find out where that is (0.1 s on both sides), in samples. */
const FARTHEST = 960;
const COMPARED = 4_800;
/** How like what was sent it is: what is as it was sent, what was rendered, and at a join (dB). */
const UNTOUCHED = 60;
const RENDERED = 20;
const JOINED = 10;

/** Checks that the only voice on a side of raw stereo sound is heard there as it was sent, in segments (s) and where they join; the least likeness of each (dB). */
export function assertAsSent(pcm, side, voice, segments) {
  const heard = read(pcm).filter((_, n) => n % 2 === side);
  const least = { untouched: Infinity, rendered: Infinity, joins: Infinity };
  const note = (what, value, limit, at) => {
    assert.ok(value > limit, `${what} at ${at} s: ${value} dB like what ${voice.identity} sent`);
    least[what] = Math.min(least[what], Math.round(value));
  };
  for (const { from, to, isRendered } of segments) {
    const all = likenesses(heard, voice, Math.round(from * 48_000), Math.round(to * 48_000));
    note(isRendered ? 'rendered' : 'untouched', all[all.length >> 1], isRendered ? RENDERED : UNTOUCHED, from);
    const join = Math.round(from * 48_000);
    if (join > 0) note('joins', likenesses(heard, voice, join - 960, join + 1_920)[0], JOINED, from);
  }
  return least;
}
