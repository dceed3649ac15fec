// What a browser's listener hears, sample by sample: recorded out of the page's audio graph, and compared with what was to be heard.

import assert from 'node:assert/strict';

import { SESSIONS, upload } from '../harness.mjs';
import { inOpus } from './hls.mjs';
import { soundInOpus } from './recordings.mjs';
import { read, samplesOf } from './wave.mjs';

/** The recorder, a module. */
const WORKLET = `registerProcessor('recorder', class extends AudioWorkletProcessor {
  process([input]) {
    if (input.length === 2) this.port.postMessage([input[0].slice(), input[1].slice()]);
    return true;
  }
});`;

/**
 * Plays a playlist from moments on (s), after seeks or each with a player of its own, and records what is heard; runs in the page.
 * @returns moments, with 16-bit stereo as base64 for each, and what went wrong
 */
async function play({ url, moments, isCold, seconds, worklet }) {
  const { default: Hls } = await import('/assets/vendor/hls.js/hls.light.min.mjs');
  const context = new AudioContext({ sampleRate: 48_000 });
  await context.audioWorklet.addModule(`data:text/javascript,${encodeURIComponent(worklet)}`);
  await context.resume();
  const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
  const errors = [];
  let stalls = 0;
  const begin = async (startPosition) => {
    const audio = document.body.appendChild(document.createElement('audio'));
    const recorder = new AudioWorkletNode(context, 'recorder', { channelCount: 2, channelCountMode: 'explicit', channelInterpretation: 'discrete' });
    context.createMediaElementSource(audio).connect(recorder).connect(context.destination);
    const hls = new Hls({ startPosition, maxBufferLength: isCold ? 4 : 60 });
    hls.on(Hls.Events.ERROR, (_, error) => {
      if (error.details === 'bufferStalledError') stalls += 1;
      else if (error.details !== 'aborted') errors.push(`${error.details} ${error.fatal}`);
    });
    const canPlay = new Promise((resolve) => { audio.addEventListener('canplay', resolve, { once: true }); });
    hls.loadSource(url);
    hls.attachMedia(audio);
    await canPlay;
    return { audio, hls, recorder };
  };
  const listen = async ({ audio, recorder }) => {
    const blocks = [];
    await sleep(150);
    recorder.port.onmessage = ({ data }) => blocks.push(data);
    await audio.play();
    // What is asked for is so much sound, however long that takes on a busy machine.
    const until = audio.currentTime + seconds;
    for (let tries = 0; audio.currentTime < until && !audio.ended && tries < 400; tries += 1) await sleep(25);
    audio.pause();
    recorder.port.onmessage = null;
    const pcm = new Int16Array(blocks.length * 256);
    blocks.forEach(([left, right], n) => left.forEach((_, at) => {
      pcm[(n * 128 + at) * 2] = Math.round(left[at] * 32_768);
      pcm[(n * 128 + at) * 2 + 1] = Math.round(right[at] * 32_768);
    }));
    let text = '';
    for (const byte of new Uint8Array(pcm.buffer)) text += String.fromCharCode(byte);
    return btoa(text);
  };
  const heard = [];
  let playing = isCold ? null : await begin(-1);
  for (const at of moments) {
    if (isCold) playing = await begin(at);
    else {
      const seeked = new Promise((resolve) => { playing.audio.addEventListener('seeked', resolve, { once: true }); });
      playing.audio.currentTime = at;
      await seeked;
    }
    const before = stalls;
    const pcm = await listen(playing);
    if (isCold) playing.hls.destroy();
    // A machine that is too busy to feed the player shows nothing of what is played.
    if (stalls > before) moments.push(at);
    else heard.push({ at, pcm });
    if (moments.length > 100) throw new Error(`${stalls} stalls`);
  }
  playing.hls.destroy();
  await context.close();
  return { heard, errors };
}

/** Opens a page of a server whose sound can be recorded: its policy would not let the recorder in. */
export async function listener(open, url) {
  const page = await open.newPage({ bypassCSP: true });
  await page.goto(url);
  return page;
}

/** Records what a page hears of a playlist from some moments on (s): each of them, and 16-bit stereo. */
async function heardIn(page, options) {
  const { heard, errors } = await page.evaluate(play, { seconds: 0.8, isCold: false, worklet: WORKLET, ...options });
  assert.deepEqual(errors, []);
  return heard.map(({ at, pcm }) => ({ moment: at, pcm: samplesOf(Buffer.from(pcm, 'base64')) }));
}

/** Samples that are compared, after those in which a decoder finds its way (80 ms and a little). */
const SKIPPED = 6_000;
const COMPARED = 14_400;
/** The farthest that is looked for, in samples (25 ms). */
const FARTHEST = 1_200;

/**
 * How far what was heard from a moment on is from what is there to be heard (16-bit stereo), in samples, and how large the rest of the difference
 * is (dB of the sound).
 */
function lag(heard, expected, moment) {
  const first = heard.findIndex((sample) => sample !== 0) >> 1;
  assert.ok(first >= 0 && heard.length / 2 > first + SKIPPED + COMPARED, `nothing is heard at ${moment} s`);
  const from = Math.round(moment * 48_000) + SKIPPED;
  const error = (by, step) => {
    let sum = 0;
    for (let n = 0; n < COMPARED; n += step) {
      for (const side of [0, 1]) sum += ((heard[(first + SKIPPED + n) * 2 + side] ?? 0) - (expected[(from + by + n) * 2 + side] ?? 0)) ** 2;
    }
    return sum * step;
  };
  let best = 0;
  for (let by = -FARTHEST; by <= FARTHEST; by += 1) if (error(by, 5) < error(best, 5)) best = by;
  let energy = 1;
  for (let n = 0; n < COMPARED * 2; n += 1) energy += (expected[(from + best) * 2 + n] ?? 0) ** 2;
  return { samples: best, decibels: 10 * Math.log10((error(best, 1) + 1) / energy) };
}

/** Whether somebody speaks from a moment on (s). It has to begin with sound: the first sample that is not silent is the first one that is heard. */
function isLoud(expected, at) {
  const from = Math.round(at * 48_000) * 2;
  const level = (begin, length) => {
    let sum = 0;
    for (let n = begin; n < begin + length; n += 1) sum += Math.abs(expected[n] ?? 0);
    return sum / length;
  };
  return expected[from] !== 0 && level(from, 960) > 20 && level(from + 2 * SKIPPED, 2 * COMPARED) > 300;
}

/** Until when there is enough to be compared, in seconds. */
const lastMoment = (expected) => expected.length / 96_000 - 1.5;

/** The first of some moments from this one on at which somebody speaks, in whole milliseconds (players round to microseconds); undefined if nobody does. */
function loudFrom(expected, from) {
  const seconds = lastMoment(expected);
  for (let at = Math.round(from * 1000) / 1000; at < seconds; at = Math.round(at * 1000 + 13) / 1000) if (isLoud(expected, at)) return at;
  return undefined;
}

/** Moments at which somebody speaks, as many as asked for, spread over the whole sound. */
function loudMoments(expected, count) {
  const wanted = Array.from({ length: count }, (_, n) => (n + 0.37) * lastMoment(expected) / count);
  return wanted.map((from) => loudFrom(expected, from)).filter((at) => at !== undefined);
}

/** The moment (s) from which on a join is in the middle of what is compared. */
export const across = (join) => Math.round(join * 1000 - (SKIPPED + COMPARED / 2) / 48) / 1000;

/** Moments after which segments join while somebody speaks, as many as asked for if there are so many. */
function loudJoins(expected, playlist, count) {
  let at = 0;
  const joins = playlist.segments.slice(0, -1).map(({ duration }) => { at += duration; return across(at); });
  return joins.filter((join) => join > 0 && join < lastMoment(expected) && isLoud(expected, join)).slice(0, count);
}

/** How many times as many moments are tried as usual: 8 make over 40 seeks and 10 cold starts of each recording. */
const TIMES = Number(process.env.E2E_MOMENTS ?? 1);

/** How often a moment is listened to that was not heard as it should be. */
const AGAIN = 3;

/**
 * How far what a page plays is from what is there to be heard, at each of some moments. A browser whose audio thread gets no processor leaves samples
 * out, and says nothing: what is wrong is listened to again, as what is wrong in a recording is wrong each time.
 */
async function lags(page, { url, moments, isCold }, expected, farthest) {
  const found = new Map();
  for (let time = 0; time < AGAIN; time += 1) {
    const wrong = moments.filter((moment) => {
      const known = found.get(moment);
      return !known || known.samples !== 0 || known.decibels >= farthest;
    });
    if (wrong.length === 0) break;
    const heard = await heardIn(page, { url, moments: wrong, isCold });
    assert.equal(heard.length, wrong.length);
    for (const { moment, pcm } of heard) found.set(moment, { moment, ...lag(pcm, expected, moment) });
  }
  return moments.map((moment) => found.get(moment));
}

/**
 * Checks that what a page plays of a recording in Opus is its sound to the sample, after seeks, at joins of segments, and from cold starts; how many
 * moments and joins that were, and how large the rest of the difference is: in the middle of all, and at most, which is to be less than `farthest` (dB).
 * `also` are moments (s) at which it has to be so too.
 */
export async function assertExact(page, recording, farthest, also = []) {
  const { pcm, playlist } = await soundInOpus(recording);
  const expected = read(pcm);
  const joins = loudJoins(expected, playlist, 4 * TIMES);
  const rest = [];
  for (const isCold of [false, true]) {
    const moments = [...isCold ? loudMoments(expected, 2 * TIMES) : [...loudMoments(expected, 6 * TIMES), ...joins], ...also];
    for (const { moment, samples, decibels } of await lags(page, { url: inOpus(recording), moments, isCold }, expected, farthest)) {
      assert.equal(samples, 0, `${recording.id} at ${moment} s, ${isCold ? 'cold' : 'after a seek'}: ${decibels} dB`);
      rest.push(decibels);
    }
  }
  rest.sort((a, b) => a - b);
  const [middle, most] = [rest[rest.length >> 1], rest.at(-1)];
  assert.ok(middle < -60 && most < farthest, `${rest.map((decibels) => decibels.toFixed(0))} dB beside the sound`);
  return { count: rest.length, joins: joins.length, rest: `${middle.toFixed(1)} dB, ${most.toFixed(1)} dB at most` };
}

/** The same of all recorded sessions, uploaded to a server that has none of them but `order`. */
export async function assertSessionsExact(server, page) {
  for (const name of SESSIONS) if (name !== 'order') await upload(server, name);
  const all = [];
  for (const recording of await server.settled()) {
    if (!recording.playlist_url) continue;
    const multivariant = await (await fetch(inOpus(recording))).text();
    if (/CODECS="opus"/i.test(multivariant)) all.push(await assertExact(page, recording, -40));
  }
  const sum = (name) => all.reduce((total, one) => total + one[name], 0);
  assert.ok(sum('count') >= 16);
  console.log(`# ${sum('count')} moments, ${sum('joins')} of them joins, all to the sample; the rest of the difference: ${all.map(({ rest }) => rest).join('; ')}`);
}
