// Rooms under pressure: a server that is told to stop, a storage that takes nothing, limits. Mounts a small tmpfs: needs root.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { EchoSphere, LiveKit, sleep, speakers, until } from './harness.mjs';
import { assertInPlace, begin, codes, get, isWhole, lasts, reached, sound, zero } from './room/recordings.mjs';

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

/** Where the time codes lie that were said once everybody was surely listened to; how many there are, all in place. */
async function assertHeard(recording, said, expected) {
  const { playlist, pcm } = await sound(recording);
  const found = await codes(recording, pcm, said.filter((line) => line.kind === 'code' && line.sent > zero(recording) + 1));
  const wanted = (code) => expected(code) && isWhole(code, said);
  assertInPlace(found, wanted);
  return { playlist, count: found.filter(wanted).length };
}

/** Takes all that is free on a disk. */
function fill(path) {
  const file = openSync(path, 'w');
  try {
    for (;;) writeSync(file, Buffer.alloc(4096));
  } catch (error) {
    assert.equal(error.code, 'ENOSPC');
  } finally {
    closeSync(file);
  }
}

const memory = (server) => Number(readFileSync(`/proc/${server.process.child.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1024;
const waiting = (server) => readdirSync(join(server.dir, 'data', 'chunks')).filter((name) => name.endsWith('.esc'));

// Rooms of their own, one beside the other.
describe('rooms under pressure', { concurrency: 2 }, () => {
  test('SIGTERM: all rooms are handed over at once, and the next process goes on with them', async () => {
    const server = await EchoSphere.start(livekit.env);
    const rooms = ['term-1', 'term-2', 'term-3', 'term-4'];
    const begun = Date.now() / 1000 + 2;
    const people = rooms.map((room) => speakers(livekit, { room, seconds: 24, start: begun, people: [{ identity: 'bob', number: 1 }] }));
    try {
      const ids = [];
      for (const room of rooms) ids.push(await begin(server, room));
      for (const id of ids) await reached(server, id, 'ACTIVE');
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
        const recording = await reached(server, id, 'COMPLETED');
        const said = people[n].said();
        // What was said before the signal is there to the last code, and all after the gap.
        const back = (recording.gaps[0].start_ms + recording.gaps[0].duration_ms) / 1000;
        const { playlist, count } = await assertHeard(recording, said, (code) => code.sent + 0.3 < told || code.at > back);
        assert.equal(playlist.segments.filter((segment) => segment.discontinuity).length, 1);
        assert.ok(count >= 12, `${count} codes`);
        assert.deepEqual([...new Set(recording.gaps.map((gap) => gap.reason))], ['recorder_restarted']);
        lost.push(recording.gaps[0].duration_ms / 1000 - (up - told));
      }
      console.log(`# handed over in ${(down - told).toFixed(2)} s, down for ${(up - told).toFixed(2)} s; lost beside that: ${lost.map((s) => s.toFixed(2)).join(', ')} s`);
      for (const seconds of lost) assert.ok(seconds < 5, `${seconds}`);
    } finally {
      for (const speaker of people) await speaker.stop();
      await server.stop();
    }
  });

  test('a storage that takes nothing: what is heard waits on the disk, outlives kill -9, and is sent when it is back', async () => {
    const objects = join(folder, 'objects');
    mkdirSync(objects);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', objects]);
    const env = { ...livekit.env, ECHOSPHERE_STORAGE_URL: `file://${objects}`, ECHOSPHERE_RECORDER_MAX_SPOOL: '48 KiB' };
    const server = await EchoSphere.start(env);
    const people = speakers(livekit, { room: 'away', seconds: 60, start: Date.now() / 1000 + 2, people: [{ identity: 'bob', number: 1 }] });
    const filler = join(objects, 'filler');
    try {
      const id = await begin(server, 'away');
      await reached(server, id, 'ACTIVE');
      await sleep(6000);
      // Not a byte is free.
      fill(filler);
      assert.equal(statfsSync(objects).bfree, 0);
      await until('chunks on the disk', () => waiting(server).length >= 1, 25);
      const before = memory(server);
      await until('more of them', () => waiting(server).length >= 2, 25);
      assert.ok(await until('the gauges', async () => await server.metric('echosphere_spool_bytes') > 0, 5));
      assert.ok(await server.metric('echosphere_spool_oldest_seconds') >= 0);
      await server.kill();
      const from = Date.now() / 1000;
      const left = waiting(server);
      await server.restart(env);
      const to = Date.now() / 1000;
      await until('the room is recorded again', async () => await server.metric('echosphere_rooms') === 1, 10);
      await until('more waits', () => waiting(server).length > left.length, 30);
      console.log(`# ${waiting(server).length} chunks wait on the disk; memory ${before.toFixed(0)} MiB before, ${memory(server).toFixed(0)} MiB after the kill`);
      const refused = await until('a refusal', async () => {
        const answer = await server.post('/v1/recordings', { room_name: 'one-more' });
        return answer.status === 503 && answer;
      }, 30);
      assert.match(refused.body.detail, /recorder\.max_spool/);
      assert.equal(await server.metric('echosphere_spool_alarm'), 1);
      // However often it is told to stop: it is over when storage has all of it, and meanwhile the room is nobody's.
      await server.post(`/v1/recordings/${id}/stop`);
      const stopped = Date.now() / 1000 - 2;
      const twice = await server.post(`/v1/recordings/${id}/stop`);
      assert.deepEqual([twice.status, twice.body.status], [200, 'ACTIVE']);
      assert.equal((await server.post('/v1/recordings', { room_name: 'away' })).status, 503, 'not because it is being recorded');
      rmSync(filler);
      await until('all is sent', () => waiting(server).length === 0, 20);
      await until('the gauge is down', async () => await server.metric('echosphere_spool_bytes') === 0, 5);
      assert.match(server.process.output(), /half of what may wait on the disk waits there/);
      const recording = await reached(server, id, 'COMPLETED', 40);
      const said = people.said();
      const { count } = await assertHeard(recording, said, (code) => code.sent + 0.3 < from - 1 || (code.sent > to + 1 && code.sent + 0.6 < stopped));
      const end = zero(recording) + recording.duration_ms / 1000;
      assert.ok(Math.abs(end - stopped) < 1, `it ends ${end - stopped} s after the stop`);
      console.log(`# ${count} codes in place`);
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
      await reached(server, id, 'ACTIVE');
      const refused = await server.fetch('/v1/recordings', {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ room_name: 'another' }),
      });
      assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '5']);
      assert.match((await refused.json()).detail, /recorder\.max_rooms/);
      // The clock of the recording goes on through a restart.
      await server.kill();
      await server.restart(env);
      const recording = await reached(server, id, 'COMPLETED', 30);
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

  test('a full disk: the room is left, what was kept until then is there, and the recording says why', async () => {
    const dir = join(folder, 'small');
    mkdirSync(dir);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', dir]);
    const filler = join(dir, 'filler');
    const server = await EchoSphere.start({ ...livekit.env, ECHOSPHERE_RECORDER_MIN_FREE_DISK: '1 MiB', ECHOSPHERE_STORAGE_URL: `file://${join(folder, 'elsewhere')}` }, dir);
    const people = speakers(livekit, { room: 'full', seconds: 45, start: Date.now() / 1000 + 1, people: [{ identity: 'bob', number: 1 }] });
    try {
      const id = await begin(server, 'full');
      await lasts(server, id, 9000, 40);
      fill(filler);
      const from = Date.now() / 1000;
      await until('it is left', () => /the disk was full|DISK_FULL|disk_full/i.test(server.process.output()), 40);
      // Whoever asks meanwhile is answered, and told why nothing more is recorded.
      assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
      const { status, body } = await server.post('/v1/recordings', { room_name: 'another' });
      assert.equal(status, 503, JSON.stringify(body));
      assert.match(body.detail, /recorder\.min_free_disk/);
      rmSync(filler);
      const recording = await reached(server, id, 'COMPLETED', 60);
      assert.ok(recording.partial, JSON.stringify(recording));
      assert.match(recording.captures[0].error, /the disk was full/);
      // What could not be written was held in memory until the room was left.
      const end = zero(recording) + recording.duration_ms / 1000;
      const { count } = await assertHeard(recording, people.said(), (code) => code.sent + 0.6 < end);
      console.log(`# ${count} codes in place; the recording ends ${(end - from).toFixed(2)} s after the disk was full`);
      assert.ok(end > from + 9 && count >= 18, `${count}`);
    } finally {
      await people.stop();
      await server.process.stop();
      execFileSync('umount', ['-l', dir]);
    }
  });

  test('a busy machine: no more rooms are begun, and those that go on are', async () => {
    const server = await EchoSphere.start({ ...livekit.env, ECHOSPHERE_RECORDER_MAX_CPU: '1' });
    const people = speakers(livekit, { room: 'busy', seconds: 25, start: Date.now() / 1000 + 1, people: [{ identity: 'bob', number: 1 }] });
    try {
      const id = await begin(server, 'busy');
      const refused = await until('a refusal', async () => {
        const answer = await server.post('/v1/recordings', { room_name: 'busy-too' });
        if (answer.status === 201) await server.post(`/v1/recordings/${answer.body.id}/stop`);
        return answer.status === 503 && answer;
      }, 20);
      assert.match(refused.body.detail, /recorder\.max_cpu/);
      await people.ended;
      await livekit.api('DeleteRoom', { room: 'busy' });
      const recording = await reached(server, id, 'COMPLETED');
      assert.deepEqual([recording.partial, recording.gaps], [false, []]);
    } finally {
      await people.stop();
      await server.stop();
    }
  });
});
