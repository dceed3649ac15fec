// How the recording of a room ends: its people hang up, it is deleted, it was paused all the time.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { EchoSphere, LiveKit, browser, sleep, speakers, until, watchedPage } from './harness.mjs';
import { SILENT, assertInPlace, begin, codes, get, isWhole, lasts, now, reached, settled, sound, zero } from './room/recordings.mjs';
import { uploadSession } from './room/session.mjs';

let livekit;

before(async () => { livekit = await LiveKit.start(); });
after(() => livekit?.stop());


// Each has a server of its own.
describe('how recordings end', { concurrency: 2 }, () => {
  test('all hang up: LiveKit keeps the room open for a while, the recording and its page end where the last one left', async () => {
    const server = await EchoSphere.start(livekit.env);
    await livekit.api('CreateRoom', { name: 'bye', departure_timeout: 9 });
    const people = speakers(livekit, { room: 'bye', seconds: 15, start: now() + 1, people: [{ identity: 'bob', number: 1 }, { identity: 'helper', number: 0, agent: true, leave: 13 }] });
    const open = await browser();
    try {
      const id = await begin(server, 'bye');
      await reached(server, id, 'ACTIVE');
      const lengths = [];
      const { page, wrong } = await watchedPage(open, { width: 1280, height: 800 });
      await lasts(server, id, 3000);
      await page.goto(`${server.url}/recordings/${id}`);
      await page.click('[data-testid=play]');
      const recording = await until('the end', async () => {
        const seen = await get(server, id);
        lengths.push(seen.duration_ms);
        return seen.status === 'COMPLETED' && seen;
      }, 60);
      await people.ended;
      const left = people.said().findLast((line) => line.kind === 'gone').at;
      const end = zero(recording) + recording.duration_ms / 1000;
      assert.ok(Math.abs(end - left) < 0.5, `it ends ${end - left} s after the last one left`);
      assert.deepEqual(lengths, [...lengths].sort((a, b) => a - b), 'what was listed stays');
      assert.deepEqual([recording.partial, recording.gaps], [false, []]);
      await until('the page', async () => await page.textContent('[data-testid=status]') === 'Ready', 15);
      const audio = () => page.evaluate(() => {
        const { audio: element, problem } = document.querySelector('echosphere-player');
        return { length: element.duration, at: element.currentTime, ended: element.ended, problem: problem.textContent };
      });
      await until('the whole length', async () => Math.abs((await audio()).length - recording.duration_ms / 1000) < 0.1, 15);
      await until('the last word', async () => (await audio()).ended, 20);
      assert.equal((await audio()).problem, '');
      assert.deepEqual(wrong, []);
    } finally {
      await open.close();
      await people.stop();
      await server.stop();
    }
  });

  test('a recording that is deleted while its room goes on: the room is left, every byte goes, and it can be recorded anew', async () => {
    const server = await EchoSphere.start({ ...livekit.env, ECHOSPHERE_RECORDER_CHUNK: '2s' });
    const people = speakers(livekit, { room: 'away', seconds: 30, start: now() + 1, people: [{ identity: 'bob', number: 1 }] });
    try {
      const id = await begin(server, 'away');
      await lasts(server, id, 7000);
      const owned = async () => (await server.files()).filter((file) => file.includes(id));
      assert.ok((await owned()).length > 3, `${(await owned()).length} files`);
      const asked = await server.fetch(`/v1/recordings/${id}`, { method: 'DELETE' });
      assert.equal(asked.status, 202);
      await until('the deletion', async () => (await server.fetch(`/v1/recordings/${id}`)).status === 410, 20);
      await until('the room to be left', async () => await server.metric('echosphere_rooms') === 0, 5);
      await sleep(3000);
      assert.deepEqual(await owned(), []);
      assert.deepEqual(readdirSync(join(server.dir, 'data', 'chunks')), []);
      const second = await begin(server, 'away');
      await lasts(server, second, 3000);
      assert.equal((await server.post(`/v1/recordings/${second}/stop`)).status, 200);
      await reached(server, second, 'COMPLETED');
      assert.deepEqual((await server.get('/v1/recordings')).items.map((item) => item.id), [second]);
    } finally {
      await people.stop();
      await server.stop();
    }
  });

  test('a recording that is paused from the start keeps nothing until it is resumed, whoever brings it', async () => {
    const server = await EchoSphere.start(livekit.env);
    const call = { seconds: 40, start: now() + 1, people: [{ identity: 'bob', number: 1 }, { identity: 'helper', number: 0, agent: true }] };
    const people = ['later', 'never'].map((room) => speakers(livekit, { room, ...call }));
    try {
      const from = now() + 0.3;
      const [later, never] = [await begin(server, 'later', { paused: true }), await begin(server, 'never', { paused: true })];
      await until('both to be joined', async () => (await livekit.api('ListRooms', {})).rooms.filter((room) => room.active_recording).length === 2, 20);
      await sleep(3000);
      await server.kill();
      await server.restart(livekit.env);
      await sleep(7000);
      for (const id of [later, never]) assert.equal((await get(server, id)).status, 'STARTING', 'something was kept');
      assert.equal((await server.post(`/v1/recordings/${later}/resume`)).status, 200);
      const resumed = now();
      await reached(server, later, 'ACTIVE', 10);
      await Promise.all(people.map((speaker) => speaker.ended));
      const to = now();
      const sid = (await get(server, never)).room_sid;
      for (const room of ['later', 'never']) await livekit.api('DeleteRoom', { room });
      const recording = await reached(server, later, 'COMPLETED');
      assert.ok(zero(recording) > resumed - 0.3, `it begins ${resumed - zero(recording)} s before it was resumed`);
      await until('nothing', async () => ['COMPLETED', 'FAILED'].includes((await get(server, never)).status), 20);
      const said = people[1].said();
      await uploadSession(server, { clock: 0, delays: { bob: 0.05, helper: 0.01 }, agents: ['helper'], roomSid: sid, said, from, to });
      const after = await settled(server, never);
      if (after.playlist_url) {
        const { pcm } = await sound(after);
        const found = await codes(after, pcm, said.filter((line) => line.kind === 'code' && line.sent > zero(after) + 1 && line.sent + 1 < to), ['helper']);
        assert.ok(found.length > 20 && found.every((code) => code.score < SILENT && code.other < SILENT), JSON.stringify(found.filter((code) => code.score >= SILENT).slice(0, 5)));
      }
      // Not even what is only kept, and not played.
      for (const file of (await server.files()).filter((name) => name.endsWith('.ogg'))) assert.ok(readFileSync(file).length < 60_000, file);
    } finally {
      for (const speaker of people) await speaker.stop();
      await server.stop();
    }
  });

  test('a log that is kept for a while only: afterwards the recording plays on, and a session adds to it what it can', async () => {
    // What is heard around the restart is in a chunk that is not full yet when its segment is rendered.
    const env = {
      ...livekit.env, ECHOSPHERE_RECORDER_KEEP_LOG: '10s', ECHOSPHERE_RECORDER_CHUNK: '10s', ECHOSPHERE_STORAGE_SWEEP_EVERY: '500ms', ECHOSPHERE_STORAGE_SWEEP_AFTER: '1s',
    };
    const server = await EchoSphere.start(env);
    const people = speakers(livekit, { room: 'short', seconds: 24, start: now() + 1, people: [{ identity: 'bob', number: 1 }, { identity: 'helper', number: 0, agent: true }] });
    try {
      const from = now() + 0.3;
      const id = await begin(server, 'short');
      await lasts(server, id, 4000);
      await server.kill();
      await sleep(2000);
      await server.restart(env);
      await people.ended;
      const to = now();
      await livekit.api('DeleteRoom', { room: 'short' });
      const before = await reached(server, id, 'COMPLETED');
      const chunks = async () => (await server.files()).filter((file) => /\.es[cl]$/.test(file));
      assert.ok(before.tracks.length === 2 && (await chunks()).length > 0);
      const waveform = async () => (await server.get(`/v1/recordings/${id}/waveform?pixels=50`)).data;
      await server.settled();
      const shape = await waveform();
      await until('the log to go', async () => (await get(server, id)).tracks.length === 0 && (await chunks()).length === 0, 30);
      const said = people.said();
      await uploadSession(server, { clock: 0, delays: { bob: 0.05, helper: 0.01 }, agents: ['helper'], roomSid: before.room_sid, said, from, to });
      const after = await settled(server, id);
      assert.ok(after.revision > before.revision);
      assert.deepEqual([after.gaps, after.duration_ms], [before.gaps, before.duration_ms]);
      assert.deepEqual(await waveform(), shape);
      const { pcm } = await sound(after);
      const [gap] = after.gaps;
      // On a busy machine the next process may come after everybody has left: then the gap is what the recording ends with.
      const isBack = gap.start_ms + gap.duration_ms + 100 < after.duration_ms;
      const expected = (code) => isWhole(code, said) && (code.sent + 0.6 < zero(after) + gap.start_ms / 1000 || (isBack && code.sent > zero(after) + (gap.start_ms + gap.duration_ms) / 1000));
      const found = await codes(after, pcm, said.filter((line) => line.kind === 'code' && line.sent > zero(after) + 1), ['helper']);
      assert.ok(found.filter(expected).length > (isBack ? 12 : 6));
      assertInPlace(found, expected);
    } finally {
      await people.stop();
      await server.stop();
    }
  });
});
