// Of a pause, and of somebody who is left out, nothing is kept: searched for in everything that EchoSphere wrote, after a call
// with a real agent whose session upload came as well.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { call } from './agent/held.mjs';
import { EchoSphere, LiveKit, sleep, until } from './harness.mjs';
import { settled } from './room/recordings.mjs';
import { find, kept } from './room/traces.mjs';
import { samplesOf } from './room/wave.mjs';
import { loudness } from './room/wave.mjs';

const SECONDS = 48_000;
let livekit;
let folder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'echosphere-redaction-'));
  livekit = await LiveKit.start();
});

after(async () => {
  await livekit?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** Every file and every object that EchoSphere has, and what it printed. */
async function everything(server) {
  return [...await kept(server), { path: 'the log', bytes: Buffer.from(server.process.output()) }];
}

function decode(bytes, ending) {
  const path = join(folder, `sound.${ending}`);
  writeFileSync(path, bytes);
  const pcm = execFileSync('ffmpeg', ['-v', 'error', '-i', path, '-f', 's16le', '-ac', '2', '-ar', '48000', '-'], { maxBuffer: 1 << 28 });
  return samplesOf(pcm);
}

/** The loudest 100 ms of a channel between two moments (Unix seconds), as a root mean square; -1 when there is nothing. */
function loudest({ pcm, zero }, channel, from, to) {
  let most = -1;
  const step = SECONDS / 10;
  for (let at = Math.max(0, Math.round((from - zero) * SECONDS)); at + step <= Math.min(pcm.length / 2, (to - zero) * SECONDS); at += step) {
    most = Math.max(most, loudness(pcm, channel, at, step));
  }
  return most;
}

const seconds = (time) => new Date(time).getTime() / 1000;

/** The recording as a player gets it, and each stored segment of every revision, with the time of its first sample. */
async function replay(server, recording) {
  const variant = (await (await fetch(recording.playlist_url)).text()).split('\n').find((line) => line && !line.startsWith('#'));
  const url = new URL(variant, recording.playlist_url);
  const lines = (await (await fetch(url)).text()).split('\n');
  const parts = [];
  for (const line of lines.filter((text) => text && !text.startsWith('#'))) parts.push(Buffer.from(await (await fetch(new URL(line, url))).arrayBuffer()));
  const zero = seconds(recording.started_at);
  const lengths = lines.filter((line) => line.startsWith('#EXTINF:')).map((line) => Number.parseFloat(line.slice(8)));
  const begins = lengths.map((_, n) => zero + lengths.slice(0, n).reduce((sum, length) => sum + length, 0));
  const stored = (await everything(server)).filter(({ path }) => path.endsWith('.ts')).map(({ path, bytes }) => ({
    path, pcm: decode(bytes, 'ts'), zero: begins[Number(path.match(/(\d+)\.ts$/)[1])],
  }));
  return { whole: { pcm: decode(Buffer.concat(parts), 'ts'), zero }, stored };
}

/** The kept sound of a session upload: whatever is Ogg. */
async function uploads(server, recording) {
  const zero = seconds(recording.captures.find((capture) => capture.source === 'upload').started_at);
  const ogg = (await everything(server)).filter(({ path, bytes }) => path !== 'the log' && bytes.includes('OggS'));
  return ogg.map(({ path, bytes }) => ({ path, pcm: decode(bytes.subarray(bytes.indexOf('OggS')), 'ogg'), zero }));
}

function varint(bytes, at) {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n, at += 1) {
    assert.ok(at < bytes.length, 'a number that does not end');
    value |= BigInt(bytes[at] & 0x7f) << shift;
    if (bytes[at] < 0x80) return [value, at + 1];
  }
}

/** The frames of a capture log or journal, chunk by chunk (docs/capture-log.md). */
function frames({ path, bytes }) {
  if (path.endsWith('.journal')) return [bytes.subarray(4)];
  if (path.endsWith('.esc')) return [bytes.subarray(24)];
  const lengths = Array.from({ length: bytes.readUInt32LE(20) }, (_, number) => bytes.readUInt32LE(24 + 4 * number));
  let end = 24 + 4 * lengths.length;
  return lengths.map((length) => bytes.subarray((end += length) - length + 24, end));
}

/** The entries of a capture log or journal: which kind, and when. */
const entries = (file) => frames(file).flatMap(entriesOf);

function entriesOf(bytes) {
  const found = [];
  for (let at = 0; at + 8 <= bytes.length;) {
    const length = bytes.readUInt32LE(at);
    const payload = bytes.subarray(at + 8, at + 8 + length);
    at += 8 + length;
    // In a journal a zero byte says whose the entries behind it are.
    if (payload[0] === 0) continue;
    const entry = { kinds: [] };
    for (let place = 0; place < payload.length;) {
      let tag;
      [tag, place] = varint(payload, place);
      const [field, wire] = [Number(tag >> 3n), Number(tag & 7n)];
      let content = 8;
      if (wire === 2) { let size; [size, place] = varint(payload, place); content = Number(size); }
      if (wire === 0) { let value; [value, place] = varint(payload, place); content = 0; if (field === 2) entry.at = Number(value) / 1e9; }
      if (wire === 1 && field === 2) entry.at = Number(payload.readBigInt64LE(place)) / 1e9;
      if (field > 2) entry.kinds.push(field);
      place += content;
    }
    found.push(entry);
  }
  return found;
}

const PACKET = 3;
const isLog = ({ path }) => /\.(esc|esl|journal)$/.test(path);

test('a pause: neither its words nor its sound are anywhere, and all around it is there', async () => {
  const server = await EchoSphere.start({ ...livekit.env, ECHOSPHERE_RENDERING_WHEN: 'always' });
  const { body } = await server.post('/v1/recordings', { room_name: 'pause' });
  const held = await call({ livekit, server, folder, room: 'pause' });
  try {
    await until('the recording', async () => (await server.get(`/v1/recordings/${body.id}`)).status === 'ACTIVE', 60);
    const first = await held.line(0);
    await sleep(1500);
    const paused = Date.now() / 1000;
    assert.equal((await server.post(`/v1/recordings/${body.id}/pause`)).status, 200);
    const pausedBy = Date.now() / 1000;
    await sleep(1000);
    const secret = await held.line(1);
    await sleep(1500);
    const resumedFrom = Date.now() / 1000;
    assert.equal((await server.post(`/v1/recordings/${body.id}/resume`)).status, 200);
    const resumed = Date.now() / 1000;
    await sleep(1500);
    const last = await held.line(2);
    await held.bye();
    const recording = await settled(server, body.id);
    // On a busy machine the agent's last telemetry comes after its session upload.
    const isTold = async () => find(await everything(server), 'lighthouse').some((path) => path.includes('telemetry/'));
    await until('the telemetry of the last line', isTold, 60);
    assert.ok(secret.at > pausedBy && secret.until < resumedFrom);
    const gap = recording.gaps.find(({ reason }) => reason === 'paused');
    // A request is carried out at some time between being sent and being answered.
    const from = (new Date(recording.started_at).getTime() + (gap?.start_ms ?? 0)) / 1000;
    const to = from + (gap?.duration_ms ?? 0) / 1000;
    assert.ok(from > paused - 0.3 && from < pausedBy + 0.3 && to > resumedFrom - 0.3 && to < resumed + 0.3,
      JSON.stringify({ paused, pausedBy, resumedFrom, resumed, from, to, gaps: recording.gaps }));

    // Words.
    const files = await everything(server);
    for (const word of ['xylophone', 'umbrella', 'zeppelin', 'marmalade']) assert.deepEqual(find(files, word), [], `${word} is kept`);
    for (const word of ['cinnamon', 'wednesday', 'tulips', 'lighthouse']) {
      const places = find(files, word);
      assert.ok(places.some((path) => path.includes('.db')), `${word} is in the database: ${places}`);
      assert.ok(places.some((path) => path.includes('telemetry/')), `${word} is in the telemetry: ${places}`);
    }
    const { turns } = await server.get(`/v1/recordings/${body.id}/transcript`);
    const lines = turns.filter((turn) => turn.kind === 'message').map((turn) => [turn.role, turn.text.trim()]);
    assert.deepEqual(lines, [
      ['agent', 'Hello, this is the cinnamon bakery. What would you like to know?'],
      ['user', 'When do you open on wednesday please'],
      ['agent', 'On wednesday the ovens start at seven. Is there anything else?'],
      ['user', 'Where do I find the tulips today'],
      ['agent', 'The tulips stand beside the lighthouse. Goodbye.'],
    ]);

    // Sound.
    const logs = files.filter(isLog);
    const packets = logs.flatMap(entries).filter((entry) => entry.kinds.includes(PACKET));
    assert.ok(packets.some((entry) => entry.at < paused) && packets.some((entry) => entry.at > resumed), 'the log has packets around the pause');
    assert.deepEqual(packets.filter((entry) => entry.at > pausedBy + 0.3 && entry.at < resumedFrom - 0.3), []);
    const { whole, stored } = await replay(server, recording);
    const kept = await uploads(server, recording);
    assert.equal(kept.length, 1, 'the session upload is kept');
    for (const sound of [whole, ...stored, ...kept]) {
      for (const channel of [0, 1]) {
        const level = loudest(sound, channel, pausedBy + 0.3, resumedFrom - 0.3);
        assert.ok(level < 3, `${sound.path ?? 'the replay'} has ${level} in the pause`);
      }
    }
    for (const [sound, user] of [[whole, 1], [kept[0], 0]]) {
      for (const line of [first, last]) {
        for (const channel of [user, 1 - user]) assert.ok(loudest(sound, channel, line.at, line.until) > 500, `${sound.path ?? 'the replay'}: ${line.said}`);
      }
    }
    console.log(`# ${files.length} files, ${packets.length} packets, ${stored.length} segments; in the pause of the upload: ${loudest(kept[0], 0, paused, resumed)}`);
  } finally {
    await held.stop();
    await server.stop();
  }
});

test('somebody who asks not to be recorded: neither the words nor the sound are anywhere, and the agent is there', async () => {
  const server = await EchoSphere.start({ ...livekit.env, ECHOSPHERE_RENDERING_WHEN: 'always' });
  const { body } = await server.post('/v1/recordings', { room_name: 'shy' });
  const held = await call({ livekit, server, folder, room: 'shy', attributes: { 'echosphere.record': 'false' } });
  try {
    await until('the recording', async () => (await server.get(`/v1/recordings/${body.id}`)).status === 'ACTIVE', 60);
    const first = await held.line(0);
    const second = await held.line(1);
    // The recording is settled before the session comes.
    assert.equal((await server.post(`/v1/recordings/${body.id}/stop`)).status, 200);
    await held.line(2);
    await held.bye();
    const recording = await settled(server, body.id);
    const files = await everything(server);
    for (const word of ['on wednesday please', 'umbrella', 'find the tulips']) assert.deepEqual(find(files, word), [], `${word} is kept`);
    const { turns } = await server.get(`/v1/recordings/${body.id}/transcript`);
    const lines = turns.filter((turn) => turn.kind === 'message');
    assert.ok(lines.length >= 3 && lines.every((turn) => turn.role === 'agent'), JSON.stringify(lines));
    assert.ok(find(files, 'marmalade').length > 0);
    assert.deepEqual(await uploads(server, recording), [], 'no sound of the session is kept');
    const { whole, stored } = await replay(server, recording);
    for (const sound of [whole, ...stored]) {
      for (const line of [first, second]) assert.ok(loudest(sound, 1, line.at, line.until) < 3, `${sound.path ?? 'the replay'}: ${line.said}`);
    }
    for (const line of [first, second]) assert.ok(loudest(whole, 0, line.at, line.until) > 500, line.said);
  } finally {
    await held.stop();
    await server.stop();
  }
});
