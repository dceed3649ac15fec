// Recordings of rooms: begin one, wait for it, take its sound as a player gets it, and look for what was said in it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { python, root, until } from '../harness.mjs';
import { inOpus, listing } from './hls.mjs';
import { assertMp4 } from './mp4.mjs';
import { isComplete } from './sent.mjs';

/** Where the sound of a test file's recordings is put; gone when the file has run. */
export const folder = mkdtempSync(join(tmpdir(), 'echosphere-room-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

export const now = () => Date.now() / 1000;
export const zero = (recording) => new Date(recording.started_at).getTime() / 1000;
export const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
export const get = (server, id) => server.get(`/v1/recordings/${id}`);

/** Begins to record a room; the recording's id. */
export async function begin(server, room, more = {}) {
  const { status, body } = await server.post('/v1/recordings', { room_name: room, ...more });
  assert.equal(status, 201, JSON.stringify(body));
  return body.id;
}

/** Waits for a status and returns the recording. */
export function reached(server, id, wanted, seconds = 60) {
  return until(`status ${wanted}`, async () => {
    const recording = await get(server, id);
    return recording.status === wanted && recording;
  }, seconds);
}

/** How many AAC segments of a recording are stored. */
export const rendered = async (server, id) => (await server.objects()).filter((path) => path.includes(id) && path.endsWith('.ts')).length;

/** Waits until more than so much of a recording is there. */
export function lasts(server, id, ms, seconds = 60) {
  return until(`${ms} ms of the recording`, async () => (await get(server, id)).duration_ms > ms, seconds);
}

/** Waits until the room and a session are both in the recording, and nothing is left to do. */
export async function settled(server, id) {
  await until('the session and the end', async () => {
    const recording = await get(server, id);
    return recording.status === 'COMPLETED' && recording.captures.filter((capture) => capture.status !== 'processing').length === 2;
  }, 90);
  await server.settled();
  return get(server, id);
}

/** The gaps of a recording: reason, start and length in seconds. */
export const gaps = (recording) => recording.gaps.map((gap) => [gap.reason, gap.start_ms / 1000, gap.duration_ms / 1000]);

/** Runs a program to its end and returns what it printed, as bytes. Nothing waits meanwhile: proxies of the test go on in this process. */
export function run(program, args, { input = '', cwd = root } = {}) {
  const child = spawn(program, args, { cwd });
  const output = [];
  let errors = '';
  child.stdout.on('data', (data) => output.push(data));
  child.stderr.on('data', (data) => { errors += data; });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(Buffer.concat(output)) : reject(new Error(`${program} ended with ${code}: ${errors}`))));
  });
}

/** The recording's sound, as an HLS player gets it. */
export async function sound(recording) {
  const { playlist, text, url } = await listing(recording);
  const parts = [];
  for (const segment of playlist.segments) {
    parts.push(await bytes(segment.uri, url));
  }
  const ts = join(folder, `${recording.id}.ts`);
  writeFileSync(ts, Buffer.concat(parts));
  const pcm = join(folder, `${recording.id}.pcm`);
  await run('ffmpeg', ['-v', 'error', '-xerror', '-y', '-i', ts, '-f', 's16le', '-ac', '2', '-ar', '48000', pcm]);
  return { playlist, text, pcm, ts };
}

/** What the edit list of Opus hides at the beginning, in samples; and that of a room, whose three packets of 2.5 ms ffmpeg decodes whole. */
const HIDDEN = 312;
const HIDDEN_OF_VOICES = 360;
/** Where decode times begin, in samples. */
const BASE = 480_000;

async function bytes(uri, url) {
  const response = await fetch(new URL(uri, url));
  assert.equal(response.status, 200, uri);
  return Buffer.from(await response.arrayBuffer());
}

/** The decode time of a segment's first packet (`tfdt`, version 1), in samples. */
const decodeTime = (segment) => Number(segment.readBigUInt64BE(segment.indexOf('tfdt') + 8));

/** The recording's sound in Opus, as an HLS player gets it; each segment where the playlist says. */
export async function soundInOpus(recording) {
  const { playlist, text, url } = await listing(recording, inOpus(recording));
  assert.match(text, /renditions\/opus|init-0\.mp4/);
  const maps = new Set(playlist.segments.map((segment) => segment.map?.uri).filter(Boolean));
  assert.equal(maps.size, 1, text);
  const parts = [await bytes([...maps][0], url)];
  let at = BASE;
  for (const segment of playlist.segments) {
    const part = await bytes(segment.uri, url);
    assert.ok(Math.abs(decodeTime(part) - at) < 1, `${segment.uri} begins at ${decodeTime(part)}, listed at ${at}`);
    at += segment.duration * 48_000;
    parts.push(part);
  }
  assertMp4(parts);
  const mp4 = join(folder, `${recording.id}.mp4`);
  writeFileSync(mp4, Buffer.concat(parts));
  const pcm = join(folder, `${recording.id}-opus.pcm`);
  const decoded = await run('ffmpeg', ['-v', 'error', '-xerror', '-y', '-c:a', 'libopus', '-i', mp4, '-f', 's16le', '-ac', '2', '-ar', '48000', '-']);
  // Streams (RFC 7845, section 5.1.1): a room has two, a session one.
  const isRoom = parts[0][parts[0].indexOf('dOps') + 15] === 2;
  writeFileSync(pcm, decoded.subarray(4 * (isRoom ? HIDDEN_OF_VOICES : HIDDEN)));
  return { playlist, text, pcm, mp4, segments: parts.slice(1) };
}

/** Where time codes lie in a sound that begins at a moment (Unix seconds). */
async function locate(pcm, start, said, agents) {
  const input = said.map((line) => JSON.stringify(line)).join('\n');
  const output = await run(python, ['codes.py', pcm, String(start), agents.join(',')], { input, cwd: join(root, 'web/e2e/room') });
  return output.toString().split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

/** Where each time code that was sent lies in the replay. One that is broken is looked for in the packets that came of it, too. */
export async function codes(recording, pcm, said, agents = []) {
  const found = await locate(pcm, zero(recording), said, agents);
  const broken = found.filter(({ score }) => score >= SILENT && score < HEARD);
  for (const about of recording.tracks ?? []) {
    const mine = broken.filter(({ identity }) => identity === about.participant);
    if (mine.length === 0) continue;
    const path = join(folder, `${about.id}-sent.ogg`);
    const ogg = Buffer.from(await (await fetch(about.url)).arrayBuffer());
    writeFileSync(path, ogg);
    await run('ffmpeg', ['-v', 'error', '-y', '-i', path, '-f', 's16le', '-ac', '2', '-ar', '48000', `${path}.pcm`]);
    for (const [number, { score }] of (await locate(`${path}.pcm`, zero(recording), mine, agents)).entries()) {
      const code = mine[number];
      if (score >= SILENT) code.sentAs = { score, complete: isComplete(ogg, code.at + 0.03, code.at + 0.3) };
    }
  }
  return Object.assign(found, { gaps: gaps(recording), late: said.filter((line) => line.kind === 'late') });
}

/** What else happened around a code, for whoever reads that it is not where it should be. */
function around(code, found) {
  const { gaps: holes, late } = found;
  const near = found.filter((other) => other !== code && Math.abs(other.sent - code.sent) < 1.2);
  return JSON.stringify({ code, near, gaps: holes, late: late?.filter((line) => Math.abs(line.at - code.sent) < 2) });
}

/** Whether a code is as broken in what came of it. */
const cameBroken = ({ score, sentAs }) => sentAs !== undefined && Math.abs(sentAs.score - score) < 0.05;

/** Whether all packets of a code came, and it is as broken in them: the speaker's SDK was held up. */
const isSentBroken = (code) => Boolean(code.sentAs?.complete) && cameBroken(code);

/** A recording begins 0.2 s before the first packet that arrives (s). */
const BEGINS = 0.25;

/** Whether a code was sent whole and in time: not before the recording began, while its track was still connecting, or its speaker held up, and not
 * cut off by leaving. */
export function isWhole(code, said) {
  if (code.at < BEGINS || isSentBroken(code)) return false;
  const mine = said.filter((line) => line.identity === code.identity);
  const joined = mine.findLast((line) => line.kind === 'joined' && line.at <= code.sent + 0.1);
  const left = mine.find((line) => line.kind === 'left' && line.at >= (joined?.at ?? 0));
  if (mine.some((line) => line.kind === 'late' && line.at > code.sent - 0.2 && line.at - line.by < code.sent + 0.4)) return false;
  return joined !== undefined && code.sent > joined.at + 0.7 && (!left || code.sent + 0.4 < left.at);
}

/** From this match on a code is whole. Out of libopus it comes with 0.95 and more. */
export const HEARD = 0.8;
/** Two codes at once, of two people on one side, have 0.7 each. */
const HEARD_TOGETHER = 0.6;
/** Below this match nothing of a code is there: another code may look like it by so much. */
export const SILENT = 0.3;

/** How far a speaker's queue may be from what the SDK says of it, more or less than before it ran dry (ms). */
const REQUEUED = 60;

/** At one in so many codes, and at one more, it may change without a word of the speaker: on a busy machine the SDK itself gets no processor. */
const UNNOTICED = 15;

/** Codes that are further apart are of two bursts (s): a speaker's queue is empty between them, and as full as ever after. */
const REST = 1.5;

/** Since when a speaker's queue has been what it is around a code: the burst in which it ran dry and how often; null where it did not. It
 * did where the speaker says so, and where a code came broken: that is what the SDK cannot say. */
function queueOf(code, mine, dry) {
  const before = mine.filter((other) => other.sent <= code.sent);
  const burst = before.findLast((other, n) => n === 0 || other.sent - before[n - 1].sent > REST);
  const times = dry.filter((at) => at > burst.sent - 0.05 && at <= code.sent + 0.02).length;
  return times === 0 ? null : `${burst.second}, ${times}`;
}

/** How far a speaker's codes are off around this one (ms). */
function constantAt(code, mine, dry, usual) {
  const queue = queueOf(code, mine, dry);
  const constant = median(mine.filter((other) => queueOf(other, mine, dry) === queue).map((other) => other.off_ms));
  assert.ok(Math.abs(constant - usual) <= REQUEUED, `${code.identity}: ${constant} ms and ${usual} ms`);
  return constant;
}

/** Both parts of a code match by so much that was moved inside by a step; a larger one leaves 0.89 of one of them at most. */
const STEPPED = 0.9;

/** Whether a code came whole and its track was moved inside of it, by one or two of the steps in which placement moves (2.5 ms, docs/capture-log.md). */
function isStepped(code) {
  const [begin, rest] = code.parts ?? [];
  if (!code.sentAs?.complete || code.sentAs.score < HEARD || rest === undefined) return false;
  const step = Math.abs(rest[0] - begin[0]);
  return Math.min(begin[1], rest[1]) > STEPPED && step >= 2 && step <= 5.5;
}

/** Checks that every code is where it was sent, within 20 ms, but for one constant a speaker (ms) as long as their sound does not run dry; returns the
 * constants, each the median of all. A few codes of a speaker may be off by as much as a queue that ran dry unnoticed. */
export function assertInPlace(found, expected) {
  const constants = {};
  for (const identity of new Set(found.map((code) => code.identity))) {
    const mine = found.filter((code) => code.identity === identity && expected(code));
    assert.ok(mine.length > 0, `nothing of ${identity} was expected`);
    // A speaker is held up now and then. What is broken more often is not the speaker's.
    const sentBroken = found.filter((code) => code.identity === identity && isSentBroken(code));
    assert.ok(sentBroken.length <= 3 + mine.length / 20, `${identity}: ${JSON.stringify(sentBroken)} are broken in what came`);
    constants[identity] = median(mine.map((code) => code.off_ms));
    assert.ok(Math.abs(constants[identity]) <= 150, `${identity}: ${constants[identity]} ms`);
    if (process.env.E2E_CODES) console.log(`# ${identity}: ${mine.map((code) => `${code.second}:${code.off_ms}/${code.score}`).join(' ')}`);
    const late = (found.late ?? []).filter((line) => line.identity === identity).map(({ at }) => at);
    const dry = [...late, ...found.filter((code) => code.identity === identity && cameBroken(code)).map(({ sent }) => sent)];
    const elsewhere = [];
    let stepped = 0;
    for (const code of mine) {
      const constant = constantAt(code, mine, dry, constants[identity]);
      const isTogether = found.some((other) => other.identity !== identity && other.channel === code.channel && Math.abs(other.sent - code.sent) < 0.3);
      const isHeard = code.score > (isTogether ? HEARD_TOGETHER : HEARD);
      const isMoved = !isHeard && isStepped(code);
      stepped += isMoved;
      assert.ok(stepped <= 1, `${identity} is moved inside of more than one code: ${around(code, found)}`);
      assert.ok(isHeard || isMoved, `${identity} second ${code.second} is missing: ${around(code, found)}`);
      const moved = Math.abs(code.off_ms - constant);
      // The codes after one that is elsewhere may be where it is.
      if (moved > 20 && Math.abs(code.off_ms - (elsewhere.at(-1)?.off_ms ?? Infinity)) > 20) elsewhere.push(code);
      const isUnnoticed = moved <= REQUEUED && elsewhere.length <= 1 + mine.length / UNNOTICED;
      assert.ok(isUnnoticed, `${identity} second ${code.second} lies ${code.off_ms} ms off, the others ${constant}: ${around(code, found)}`);
    }
    if (elsewhere.length > 0) console.log(`# ${identity}: from seconds ${elsewhere.map(({ second }) => second)} on up to ${REQUEUED} ms elsewhere`);
  }
  return constants;
}
