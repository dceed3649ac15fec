// Rooms under pressure: a server that is told to stop, a storage that takes nothing, limits. Mounts a small tmpfs: needs root.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import HLS from 'hls-parser';

import { EchoSphere, LiveKit, python, root, sleep, speakers, until } from './harness.mjs';

let livekit;
let folder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'echosphere-pressure-'));
  livekit = await LiveKit.start();
});

after(async () => {
  await livekit?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

const get = (server, id) => server.get(`/v1/recordings/${id}`);
const status = (server, id, wanted, seconds = 30) => until(`status ${wanted}`, async () => {
  const recording = await get(server, id);
  return recording.status === wanted && recording;
}, seconds);

async function begin(server, room) {
  const { status: code, body } = await server.post('/v1/recordings', { room_name: room });
  assert.equal(code, 201, JSON.stringify(body));
  return body.id;
}

async function metric(server, name) {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.split(' ')[1]);
}

/** Where each time code lies in the replay, and the playlist. */
async function heard(recording, said) {
  HLS.setOptions({ strictMode: true });
  const multivariant = HLS.parse(await (await fetch(recording.playlist_url)).text());
  const url = new URL(multivariant.variants[0].uri, recording.playlist_url).href;
  const playlist = HLS.parse(await (await fetch(url)).text());
  const parts = [];
  for (const segment of playlist.segments) {
    const response = await fetch(new URL(segment.uri, url));
    assert.equal(response.status, 200, segment.uri);
    parts.push(Buffer.from(await response.arrayBuffer()));
  }
  const [ts, pcm] = ['ts', 'pcm'].map((ending) => join(folder, `${recording.id}.${ending}`));
  writeFileSync(ts, Buffer.concat(parts));
  execFileSync('ffmpeg', ['-v', 'error', '-xerror', '-y', '-i', ts, '-f', 's16le', '-ac', '2', '-ar', '48000', pcm], { stdio: 'pipe' });
  const zero = new Date(recording.started_at).getTime() / 1000;
  const input = said.filter((line) => line.kind === 'code').map((line) => JSON.stringify(line)).join('\n');
  const output = execFileSync(python, ['codes.py', pcm, String(zero), ''], { cwd: join(root, 'web/e2e/room'), input, encoding: 'utf8', maxBuffer: 1 << 26 });
  return { playlist, codes: output.split('\n').filter(Boolean).map((line) => JSON.parse(line)) };
}

/**
 * The codes that `expected` names are there, about where the others lie; room.test.mjs asks where exactly. A speaker who
 * stumbles on a busy machine spoils one code; what we lose is seconds long, and is a gap besides.
 */
function assertInPlace(codes, expected) {
  const wanted = codes.filter(expected);
  const offs = wanted.map((code) => code.off_ms).sort((a, b) => a - b);
  const constant = offs[Math.floor(offs.length / 2)];
  const isThere = (code) => code.score > 0.25 && Math.abs(code.off_ms - constant) <= 100;
  for (const [n, code] of wanted.entries()) {
    const before = wanted[n - 1];
    assert.ok(isThere(code) || (before && isThere(before)), `seconds ${before?.second} and ${code.second} are missing: ${JSON.stringify([before, code])}`);
  }
  const there = wanted.filter(isThere).length;
  assert.ok(there >= wanted.length * 0.9, `${there} of ${wanted.length} codes`);
  return there;
}

const memory = (server) => Number(readFileSync(`/proc/${server.process.child.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1024;
const waiting = (server) => readdirSync(join(server.dir, 'data', 'chunks')).filter((name) => name.endsWith('.esc'));

test('SIGTERM: all rooms are handed over at once, and the next process goes on with them', async () => {
  const server = await EchoSphere.start(livekit.env);
  const rooms = ['term-1', 'term-2', 'term-3', 'term-4'];
  const begun = Date.now() / 1000 + 2;
  const people = rooms.map((room) => speakers(livekit, { room, seconds: 24, start: begun, people: [{ identity: 'bob', number: 1 }] }));
  try {
    const ids = [];
    for (const room of rooms) ids.push(await begin(server, room));
    for (const id of ids) await status(server, id, 'ACTIVE');
    await until('ten seconds of talk', () => Date.now() / 1000 > begun + 10);
    const told = Date.now() / 1000;
    await server.process.stop('SIGTERM');
    const down = Date.now() / 1000;
    const log = server.process.output();
    assert.match(log, /rooms are handed over/);
    assert.equal(server.process.child.exitCode, 0, log.slice(-2000));
    assert.ok(down - told < 5, `${down - told} s until all four were handed over`);
    await server.restart(livekit.env);
    const up = Date.now() / 1000;
    await Promise.all(people.map((speaker) => speaker.ended));
    for (const room of rooms) await livekit.api('DeleteRoom', { room });
    const lost = [];
    for (const [n, id] of ids.entries()) {
      const recording = await status(server, id, 'COMPLETED');
      const said = people[n].said();
      const zero = new Date(recording.started_at).getTime() / 1000;
      const { playlist, codes } = await heard(recording, said.filter((line) => line.sent > zero + 1));
      assert.equal(playlist.segments.filter((segment) => segment.discontinuity).length, 1);
      const left = said.find((line) => line.kind === 'left')?.at ?? Infinity;
      // What was said before the signal is there to the last code; a second after the start the room is joined again.
      const whole = (code) => code.sent + 0.4 < left && (code.sent + 0.3 < told || code.sent > up + 1);
      assert.ok(assertInPlace(codes, whole) >= 12);
      assert.deepEqual([...new Set(recording.gaps.map((gap) => gap.reason))], ['recorder_restarted']);
      lost.push(recording.gaps[0].duration_ms / 1000 - (up - told));
    }
    console.log(`# handed over in ${(down - told).toFixed(2)} s, down for ${(up - told).toFixed(2)} s; lost beside that: ${lost.map((s) => s.toFixed(2)).join(', ')} s`);
    for (const seconds of lost) assert.ok(seconds < 1.5, `${seconds}`);
  } finally {
    for (const speaker of people) await speaker.stop();
    await server.stop();
  }
});

test('a storage that takes nothing: what is heard waits on the disk, outlives kill -9, and is sent when it is back', async () => {
  const objects = join(folder, 'objects');
  mkdirSync(objects);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', objects]);
  const env = { ...livekit.env, ECHOSPHERE_STORAGE_URL: `file://${objects}` };
  const server = await EchoSphere.start(env);
  const people = speakers(livekit, { room: 'away', seconds: 60, start: Date.now() / 1000 + 2, people: [{ identity: 'bob', number: 1 }] });
  const filler = join(objects, 'filler');
  try {
    const id = await begin(server, 'away');
    await status(server, id, 'ACTIVE');
    await sleep(6000);
    // Not a byte is free.
    const { bsize, bfree } = statfsSync(objects);
    writeFileSync(filler, Buffer.alloc(bsize * bfree));
    assert.equal(statfsSync(objects).bfree, 0);
    await until('chunks on the disk', () => waiting(server).length >= 1, 25);
    const before = memory(server);
    await until('more of them', () => waiting(server).length >= 2, 25);
    assert.ok(await until('the gauges', async () => await metric(server, 'echosphere_spool_bytes') > 0, 5));
    assert.ok(await metric(server, 'echosphere_spool_oldest_seconds') >= 0);
    await server.kill();
    const from = Date.now() / 1000;
    const left = waiting(server);
    await server.restart(env);
    const to = Date.now() / 1000;
    await until('the room is recorded again', async () => await metric(server, 'echosphere_rooms') === 1, 10);
    await until('more waits', () => waiting(server).length > left.length, 30);
    console.log(`# ${waiting(server).length} chunks wait on the disk; memory ${before.toFixed(0)} MiB before, ${memory(server).toFixed(0)} MiB after the kill`);
    rmSync(filler);
    await until('all is sent', () => waiting(server).length === 0, 20);
    await until('the gauge is down', async () => await metric(server, 'echosphere_spool_bytes') === 0, 5);
    await people.ended;
    await livekit.api('DeleteRoom', { room: 'away' });
    const recording = await status(server, id, 'COMPLETED', 40);
    const said = people.said();
    const zero = new Date(recording.started_at).getTime() / 1000;
    const { codes } = await heard(recording, said.filter((line) => line.sent > zero + 1));
    const end = said.find((line) => line.kind === 'left')?.at ?? Infinity;
    const whole = (code) => code.sent + 0.4 < end && (code.sent + 0.3 < from - 1 || code.sent > to + 1);
    console.log(`# ${assertInPlace(codes, whole)} codes in place`);
    assert.deepEqual([...new Set(recording.gaps.map((gap) => gap.reason))], ['recorder_restarted']);
  } finally {
    await people.stop();
    await server.stop();
    execFileSync('umount', ['-l', objects]);
  }
});

test('limits are told: the longest a recording may get, and rooms that are refused', async () => {
  const env = { ...livekit.env, ECHOSPHERE_RECORDER_MAX_DURATION: '12s', ECHOSPHERE_RECORDER_MAX_ROOMS: '1' };
  const server = await EchoSphere.start(env);
  const people = speakers(livekit, { room: 'long', seconds: 40, start: Date.now() / 1000 + 1, people: [{ identity: 'bob', number: 1 }] });
  try {
    const id = await begin(server, 'long');
    await status(server, id, 'ACTIVE');
    const refused = await fetch(`${server.url}/v1/recordings`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ room_name: 'another' }),
    });
    assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '5']);
    assert.match((await refused.json()).detail, /recorder\.max_rooms/);
    // The clock of the recording goes on through a restart.
    await server.kill();
    await server.restart(env);
    const recording = await status(server, id, 'COMPLETED', 30);
    const { error, status: state } = recording.captures[0];
    assert.deepEqual([state, recording.captures.length], ['complete', 1]);
    assert.match(error, /recorder\.max_duration/);
    const lasted = (new Date(recording.ended_at) - new Date(recording.created_at)) / 1000;
    assert.ok(Math.abs(lasted - 12) < 1.5, `it lasted ${lasted} s`);
    await server.kill();
    await server.restart({ ...livekit.env, ECHOSPHERE_RECORDER_MIN_FREE_DISK: '1000000 GiB' });
    const { status: code, body } = await until('a measurement', async () => {
      const answer = await server.post('/v1/recordings', { room_name: 'long' });
      return answer.status === 503 && answer;
    }, 5);
    assert.equal(code, 503);
    assert.match(body.detail, /recorder\.min_free_disk/);
  } finally {
    await people.stop();
    await server.stop();
  }
});
