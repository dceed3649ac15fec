// Rooms of a real LiveKit server, recorded by EchoSphere itself, with real publishers who say time codes.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import HLS from 'hls-parser';

import { EchoSphere, LiveKit, python, root, sleep, speakers, until } from './harness.mjs';

let livekit;
let server;
let folder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'echosphere-room-'));
  livekit = await LiveKit.start();
  server = await EchoSphere.start(livekit.env);
});

after(async () => {
  await server?.stop();
  await livekit?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

const get = (id) => server.get(`/v1/recordings/${id}`);
const status = (id, wanted, seconds = 30) => until(`status ${wanted}`, async () => {
  const recording = await get(id);
  return recording.status === wanted && recording;
}, seconds);

async function begin(room, more = {}) {
  const { status: code, body } = await server.post('/v1/recordings', { room_name: room, ...more });
  assert.equal(code, 201, JSON.stringify(body));
  return body.id;
}

/** The recording's sound, as an HLS player gets it. */
async function sound(recording) {
  HLS.setOptions({ strictMode: true });
  const multivariant = HLS.parse(await (await fetch(recording.playlist_url)).text());
  const url = new URL(multivariant.variants[0].uri, recording.playlist_url).href;
  const text = await (await fetch(url)).text();
  const playlist = HLS.parse(text);
  const parts = [];
  for (const segment of playlist.segments) {
    const response = await fetch(new URL(segment.uri, url));
    assert.equal(response.status, 200, segment.uri);
    parts.push(Buffer.from(await response.arrayBuffer()));
  }
  const ts = join(folder, `${recording.id}.ts`);
  writeFileSync(ts, Buffer.concat(parts));
  const pcm = join(folder, `${recording.id}.pcm`);
  execFileSync('ffmpeg', ['-v', 'error', '-xerror', '-y', '-i', ts, '-f', 's16le', '-ac', '2', '-ar', '48000', pcm], { stdio: 'pipe' });
  return { playlist, text, pcm, ts };
}

/** Where each time code that was sent lies in the replay. */
function codes(recording, pcm, said, agents = []) {
  const zero = new Date(recording.started_at).getTime() / 1000;
  const input = said.map((line) => JSON.stringify(line)).join('\n');
  const output = execFileSync(python, ['codes.py', pcm, String(zero), agents.join(',')], { cwd: join(root, 'web/e2e/room'), input, encoding: 'utf8', maxBuffer: 1 << 26 });
  return output.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

/** Checks that every code is where it was sent, but for one constant a speaker; returns the constants. */
function assertInPlace(found, expected) {
  const constants = {};
  for (const identity of new Set(found.map((code) => code.identity))) {
    const mine = found.filter((code) => code.identity === identity && expected(code));
    const constant = median(mine.map((code) => code.off_ms));
    constants[identity] = constant;
    assert.ok(Math.abs(constant) <= 150, `${identity}: ${constant} ms`);
    for (const code of mine) {
      assert.ok(code.score > 0.4, `${identity} second ${code.second} is missing: ${JSON.stringify(code)}`);
      assert.ok(Math.abs(code.off_ms - constant) <= 20, `${identity} second ${code.second} lies ${code.off_ms} ms off, the others ${constant}`);
    }
  }
  return constants;
}

test('two people and a late one: every time code is where it was sent', async () => {
  const plan = {
    room: 'codes', seconds: 60, start: Date.now() / 1000 + 2, people: [
      { identity: 'agent', number: 0, agent: true },
      { identity: 'bob', number: 1, mute: [12.5, 17.5], leave: 30.5, back: 36 },
      { identity: 'carol', number: 2, join: 20, offset: 0.5 },
    ],
  };
  const people = speakers(livekit, plan);
  const id = await begin('codes', { session_id: 'call-1', labels: { team: 'e2e' } });
  await status(id, 'ACTIVE');
  const { body: again, status: code } = await server.post('/v1/recordings', { room_name: 'codes' });
  assert.deepEqual([code, again.recording_id], [409, id]);
  await people.ended;
  const recording = await status(id, 'COMPLETED', 40);
  assert.deepEqual([recording.room_name, recording.session_id, recording.labels.team], ['codes', 'call-1', 'e2e']);
  assert.deepEqual(recording.participants.map((person) => person.identity).sort(), ['agent', 'bob', 'carol']);
  const { playlist, pcm } = await sound(recording);
  assert.ok(playlist.endlist && playlist.segments.length >= 15, `${playlist.segments.length} segments`);
  const found = codes(recording, pcm, people.said(), ['agent']);
  const seconds = (event, who) => people.said().filter((line) => line.kind === event && line.identity === who).map((line) => line.at - plan.start);
  const [muted] = seconds('mute', 'bob');
  const [unmuted] = seconds('unmute', 'bob');
  const silent = (c) => c.identity === 'bob' && c.second + 0.4 > muted && c.second - 0.2 < unmuted;
  // The first code of a track may begin before its first packet: WebRTC is still connecting.
  const firsts = new Set(['agent', 'bob', 'carol'].map((who) => found.find((c) => c.identity === who)));
  const constants = assertInPlace(found, (c) => !silent(c) && !firsts.has(c) && !(c.identity === 'bob' && c.second === 36));
  for (const code of found.filter(silent).filter((c) => c.second > muted + 0.2 && c.second + 0.5 < unmuted)) assert.ok(code.score < 0.3, JSON.stringify(code));
  for (const code of found.filter((c) => c.identity === 'agent')) assert.ok(code.other < 0.5, `the agent is on the other side too: ${JSON.stringify(code)}`);
  console.log(`# constants: ${JSON.stringify(constants)} ms; ${found.length} codes`);
});
