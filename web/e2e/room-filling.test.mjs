// Holes in what the recorder heard are filled with what the agent's session of the same room has; nothing moves by that.

import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { call } from './agent/held.mjs';
import { EchoSphere, LiveKit, sleep, speakers } from './harness.mjs';
import { behindPath } from './room/path.mjs';
import { HEARD, SILENT, assertInPlace, begin, codes, folder, gaps, get, isWhole, lasts, now, reached, run, settled, sound, zero } from './room/recordings.mjs';
import { uploadSession } from './room/session.mjs';
import { firstVoice } from './room/wave.mjs';

const PEOPLE = [{ identity: 'bob', number: 1 }, { identity: 'helper', number: 0, agent: true }];
/** The agent's clock is fast, and Bob's sound is on its way to it for a while. */
const AGENT = { clock: 1.3, delays: { bob: 0.09, helper: 0.01 }, agents: ['helper'] };

/** What a recording sounds like, with the codes that were said while it went on. */
async function heard(recording, said) {
  const { pcm, playlist } = await sound(recording);
  const end = zero(recording) + recording.duration_ms / 1000;
  const found = await codes(recording, pcm, said.filter((line) => line.kind === 'code' && line.sent > zero(recording) + 2 && line.sent + 0.6 < end), ['helper']);
  return { found, playlist };
}

/** The codes that lie in a gap, and those that lie outside of all. */
const inside = (found, { start_ms, duration_ms }, recording) => found.filter((code) => {
  const at = code.sent - zero(recording);
  return at > start_ms / 1000 + 0.1 && at + 0.5 < (start_ms + duration_ms) / 1000;
});

/** Whether a code is not cut by an edge of a hole: there the two sounds meet, and each is on its own way. */
function isClear(code, { start_ms, duration_ms }, recording) {
  const at = code.sent - zero(recording);
  return [start_ms, start_ms + duration_ms].every((edge) => at + 0.55 < edge / 1000 || at > edge / 1000 + 0.1);
}

/** The sound that the agent's session uploaded, the user's on the left, and when it begins (Unix seconds). */
async function sessionSound(server, recording) {
  await server.settled();
  const path = join(folder, 'session.ogg');
  copyFileSync((await server.files()).find((file) => file.endsWith('sound.ogg')), path);
  await run('ffmpeg', ['-v', 'error', '-y', '-i', path, '-f', 's16le', '-ac', '2', '-ar', '48000', `${path}.pcm`]);
  const { started_at: start } = recording.captures.find(({ source }) => source === 'upload');
  return { pcm: `${path}.pcm`, start: Date.parse(start) / 1000 };
}

// Each has servers of its own.
describe('holes are filled', { concurrency: 2 }, () => {
  test('a restart in the middle of a call: the session that comes afterwards fills the hole, and nothing moves', async () => {
    const livekit = await LiveKit.start();
    const server = await EchoSphere.start(livekit.env);
    const people = speakers(livekit, { room: 'hole', seconds: 40, start: now() + 1, people: PEOPLE });
    try {
      const from = now() + 0.3;
      const id = await begin(server, 'hole');
      await lasts(server, id, 12_000);
      await server.kill();
      await sleep(6000);
      await server.restart(livekit.env);
      await people.ended;
      const to = now();
      await livekit.api('DeleteRoom', { room: 'hole' });
      const before = await reached(server, id, 'COMPLETED');
      await server.settled();
      const said = people.said();
      const [hole] = before.gaps;
      assert.deepEqual(before.gaps.map(({ reason }) => reason), ['recorder_restarted']);
      assert.ok(before.partial && hole.duration_ms > 6000, JSON.stringify(hole));
      const without = await heard(before, said);
      const silent = inside(without.found, hole, before);
      assert.ok(silent.length >= 8 && silent.every((code) => code.score < SILENT), JSON.stringify(silent));

      await uploadSession(server, { ...AGENT, roomSid: before.room_sid, said, from, to });
      const after = await settled(server, id);
      assert.deepEqual([after.gaps, after.partial, after.status], [[], false, 'COMPLETED'], JSON.stringify(after.captures));
      assert.deepEqual([after.started_at, after.duration_ms], [before.started_at, before.duration_ms]);
      assert.equal((await server.get('/v1/recordings')).items.length, 1);
      const { found, playlist } = await heard(after, said);
      assert.deepEqual(playlist.segments.map(({ duration }) => duration), without.playlist.segments.map(({ duration }) => duration));
      const isExpected = (code) => isWhole(code, said) && isClear(code, hole, after);
      const constants = assertInPlace(found, isExpected);
      const there = inside(found, hole, after);
      assert.ok(there.every((code) => code.score > HEARD && code.other < SILENT), JSON.stringify(there));
      console.log(`# ${there.length} codes in a hole of ${hole.duration_ms} ms; ${JSON.stringify(constants)} ms; ${found.filter(isExpected).length} in all`);
    } finally {
      await people.stop();
      await server.stop();
      await livekit.stop();
    }
  });

  test('a session that comes while the call goes on fills what the network took, and nothing of a pause', async () => {
    const place = await behindPath({ tcp_port: 0 });
    const people = speakers(place.livekit, { room: 'away', seconds: 50, start: now() + 1, people: PEOPLE });
    try {
      const from = now() + 0.3;
      const id = await begin(place.server, 'away');
      await lasts(place.server, id, 10_000);
      place.path.away(true);
      await sleep(8000);
      place.path.away(false);
      await sleep(6000);
      assert.equal((await place.server.post(`/v1/recordings/${id}/pause`)).status, 200);
      await sleep(6000);
      assert.equal((await place.server.post(`/v1/recordings/${id}/resume`)).status, 200);
      await sleep(6000);
      const live = await get(place.server, id);
      await uploadSession(place.server, { ...AGENT, roomSid: live.room_sid, said: people.said(), from, to: now() });
      await people.ended;
      await place.livekit.api('DeleteRoom', { room: 'away' });
      await reached(place.server, id, 'COMPLETED');
      const recording = await settled(place.server, id);
      const said = people.said();
      assert.deepEqual(gaps(recording).map(([reason]) => reason), ['paused'], JSON.stringify(recording.gaps));
      const [pause] = recording.gaps;
      const { found } = await heard(recording, said);
      const secret = inside(found, pause, recording);
      assert.ok(secret.length >= 8 && secret.every((code) => code.score < SILENT && code.other < SILENT), JSON.stringify(secret));
      // Where the hole was is no longer said: each second of it has its codes, but at its two seams, where both speakers may be cut.
      const expected = found.filter((code) => isWhole(code, said) && !secret.includes(code) && isClear(code, pause, recording));
      const damaged = expected.filter((code) => code.score < HEARD);
      const seams = new Set(damaged.map(({ second }) => second));
      assert.ok(seams.size <= 2, JSON.stringify(damaged));
      const constants = assertInPlace(found, (code) => expected.includes(code) && !damaged.includes(code));
      console.log(`# ${expected.length} codes, ${damaged.length} at seams; ${JSON.stringify(constants)} ms`);
    } finally {
      await people.stop();
      await place.stop();
    }
  });

  test('a network that does not come back: the session has the rest of the call', async () => {
    const place = await behindPath({ tcp_port: 0 }, undefined, { ECHOSPHERE_RECORDER_GIVE_UP_AFTER: '5s' });
    const people = speakers(place.livekit, { room: 'gone', seconds: 45, start: now() + 1, people: PEOPLE });
    try {
      const from = now() + 0.3;
      const id = await begin(place.server, 'gone');
      await lasts(place.server, id, 12_000);
      place.path.away(true);
      place.proxy.cut(600_000);
      const before = await reached(place.server, id, 'COMPLETED', 60);
      await place.server.settled();
      assert.ok(before.partial && before.duration_ms < 20_000, `${before.duration_ms}`);
      await people.ended;
      const said = people.said();
      const to = now();
      await uploadSession(place.server, { ...AGENT, roomSid: before.room_sid, said, from, to });
      const after = await settled(place.server, id);
      assert.deepEqual([after.gaps, after.partial, after.started_at], [[], false, before.started_at], JSON.stringify([after.gaps, after.partial, after.duration_ms, before.gaps, before.duration_ms, after.captures]));
      const end = zero(after) + after.duration_ms / 1000;
      assert.ok(Math.abs(end - to) < 0.3, `it ends ${end - to} s after the session`);
      const { found } = await heard(after, said);
      const seam = { start_ms: before.duration_ms, duration_ms: 0 };
      const expected = found.filter((code) => isWhole(code, said) && isClear(code, seam, after) && Math.abs(code.sent - zero(after) - seam.start_ms / 1000) > 1.5);
      const rest = expected.filter((code) => code.sent > zero(after) + seam.start_ms / 1000);
      // Two people say a code a second each, for as long as the session has more than the room; now and then they are held up.
      const more = (after.duration_ms - before.duration_ms) / 1000;
      assert.ok(rest.length >= more, `${rest.length} in ${more} s`);
      const constants = assertInPlace(found, (code) => expected.includes(code));
      console.log(`# ${before.duration_ms} ms heard, ${after.duration_ms} ms in all, ${rest.length} codes behind the end; ${JSON.stringify(constants)} ms`);
    } finally {
      await people.stop();
      await place.stop();
    }
  });

  test('a real agent: the words that were said while nobody listened are in the replay, where they were said', async () => {
    const livekit = await LiveKit.start();
    const server = await EchoSphere.start(livekit.env);
    let held;
    try {
      const id = await begin(server, 'real');
      held = await call({ livekit, server, folder, room: 'real' });
      await reached(server, id, 'ACTIVE');
      const first = await held.line(0);
      await sleep(1500);
      await server.kill();
      const missed = await held.line(1);
      await sleep(1000);
      await server.restart(livekit.env);
      await sleep(3000);
      const last = await held.line(2);
      await held.bye();
      const recording = await settled(server, id);
      assert.deepEqual([recording.gaps, recording.partial], [[], false], JSON.stringify(recording.captures));
      const { turns } = await server.get(`/v1/recordings/${id}/transcript`);
      const lines = turns.filter(({ kind, role }) => kind === 'message' && role === 'user');
      const answers = turns.filter(({ kind, role }) => kind === 'message' && role === 'agent').slice(1);
      assert.deepEqual([lines.length, answers.length], [3, 3]);
      const { pcm } = await sound(recording);
      // From the moment at which the caller believed to speak until it is heard; that the agent heard a line late is no fault of ours.
      const from = zero(recording);
      const late = [first, missed, last].map((line) => firstVoice(pcm, 1, line.at - from) - (line.at - from));
      const agents = await sessionSound(server, recording);
      const alike = [first, missed, last].map((line, n) => firstVoice(agents.pcm, 0, line.at - agents.start) + agents.start - from - (line.at - from + late[n]));
      console.log(`# heard ${late.map((seconds) => seconds.toFixed(2)).join(', ')} s after it was said, ${alike.map((seconds) => seconds.toFixed(2)).join(', ')} s before the agent's session has it`);
      const shown = `${alike.join(', ')}; late: ${late.join(', ')}`;
      assert.ok(Math.abs(late[2] - late[0]) < 0.15, shown);
      // What was missed lies where the session has it: by its clock, or as what both have does. How late an agent hears changes on a busy machine.
      const both = [alike[0], alike[2], 0];
      assert.ok(alike[1] > Math.min(...both) - 0.1 && alike[1] < Math.max(...both) + 0.1, shown);
      // The transcript points at it.
      for (const [n, line] of lines.entries()) {
        const heard = [first, missed, last][n].at - zero(recording) + late[n];
        assert.ok(Math.abs(line.start_ms / 1000 - heard) < 0.3, `line ${n} is at ${line.start_ms} ms and heard at ${heard} s`);
        const answer = firstVoice(pcm, 0, heard);
        assert.ok(Math.abs(answers[n].start_ms / 1000 - answer) < 0.3, `answer ${n} is at ${answers[n].start_ms} ms and heard at ${answer} s`);
      }
    } finally {
      await held?.stop();
      await server.stop();
      await livekit.stop();
    }
  });
});
