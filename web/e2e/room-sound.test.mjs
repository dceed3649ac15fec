// What people say in a real room, with real publishers who say time codes, is in the replay, where it was said.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { sleep, speakers, until } from './harness.mjs';
import { assertDates, assertGrid, listing, probe } from './room/hls.mjs';
import { behindPath } from './room/path.mjs';
import { livekit, server } from './room/peers.mjs';
import { SILENT, assertInPlace, begin, codes, gaps, get, isWhole, now, reached, rendered, sound, soundInOpus, zero } from './room/recordings.mjs';
import { lastSound } from './room/wave.mjs';

// Rooms of their own, one beside the other.
describe('the sound of rooms', { concurrency: true }, () => {
  test('two people and a late one: every time code is where it was sent', async () => {
    const plan = {
      room: 'codes', seconds: 60, start: now() + 2, people: [
        { identity: 'agent', number: 0, agent: true },
        { identity: 'bob', number: 1, mute: [12.5, 17.5], leave: 30.5, back: 36 },
        { identity: 'carol', number: 2, join: 20, offset: 0.5 },
      ],
    };
    const people = speakers(livekit, plan);
    const id = await begin(server, 'codes', { session_id: 'call-1', labels: { team: 'e2e' } });
    await reached(server, id, 'ACTIVE');
    const { body: again, status: code } = await server.post('/v1/recordings', { room_name: 'codes' });
    assert.deepEqual([code, again.recording_id], [409, id]);
    const growing = await until('five segments', async () => {
      const { playlist } = await listing(await get(server, id));
      return playlist.segments.length >= 5 && playlist;
    }, 90);
    assert.equal(growing.endlist, false);
    assertDates(growing);
    assertGrid(growing, false);
    assert.equal(await rendered(server, id), 0, 'nothing is encoded while nobody listens');
    const soFar = await get(server, id);
    const early = await sound(soFar);
    assert.ok(await rendered(server, id) >= 5);
    const earlyUntil = zero(soFar) + early.playlist.segments.reduce((sum, { duration }) => sum + duration, 0) - 0.5;
    const earlySaid = people.said().filter((line) => line.identity === 'agent' && (line.kind !== 'code' || (line.sent > zero(soFar) && line.sent < earlyUntil)));
    assertInPlace(await codes(soFar, early.pcm, earlySaid, ['agent']), (c) => isWhole(c, people.said()));
    const live = await soundInOpus(await get(server, id));
    assert.ok(live.segments.length >= 5 && !live.playlist.endlist);
    assertDates(live.playlist);
    await people.ended;
    const recording = await reached(server, id, 'COMPLETED', 40);
    assert.deepEqual([recording.room_name, recording.session_id, recording.labels.team], ['codes', 'call-1', 'e2e']);
    assert.deepEqual(recording.participants.map((person) => person.identity).sort(), ['agent', 'bob', 'carol']);
    const { playlist, pcm, ts } = await sound(recording);
    assert.ok(playlist.endlist && playlist.segments.length >= 15, `${playlist.segments.length} segments`);
    assertDates(playlist);
    assertGrid(playlist, true);
    assert.deepEqual(probe(ts), [{ codec_name: 'aac', profile: 'LC', codec_type: 'audio', sample_rate: '48000', channels: 2 }]);
    const found = await codes(recording, pcm, people.said(), ['agent']);
    const seconds = (event, who) => people.said().filter((line) => line.kind === event && line.identity === who).map((line) => line.at - plan.start);
    const [muted] = seconds('mute', 'bob');
    const [unmuted] = seconds('unmute', 'bob');
    const silent = (c) => c.identity === 'bob' && c.second + 0.4 > muted && c.second - 0.2 < unmuted;
    const constants = assertInPlace(found, (c) => !silent(c) && isWhole(c, people.said()));
    for (const code of found.filter(silent).filter((c) => c.second > muted + 0.2 && c.second + 0.5 < unmuted)) assert.ok(code.score < SILENT, JSON.stringify(code));
    // Carol's chirps are too much like the agent's to tell them apart.
    for (const code of found.filter((c) => c.identity === 'agent' && c.second < 20)) assert.ok(code.other < 0.5, `the agent is on the other side too: ${JSON.stringify(code)}`);
    const opus = await soundInOpus(recording);
    assertDates(opus.playlist);
    const same = live.segments.filter((segment, n) => segment.equals(opus.segments[n])).length;
    const inOpus = await codes(recording, opus.pcm, people.said(), ['agent']);
    const opusConstants = assertInPlace(inOpus, (c) => !silent(c) && isWhole(c, people.said()));
    for (const code of inOpus.filter(silent).filter((c) => c.second > muted + 0.2 && c.second + 0.5 < unmuted)) assert.ok(code.score < SILENT, JSON.stringify(code));
    for (const code of inOpus.filter((c) => c.identity === 'agent' && c.second < 20)) assert.ok(code.other < 0.5, `the agent is on the other side too: ${JSON.stringify(code)}`);
    for (const [who, ms] of Object.entries(opusConstants)) assert.ok(Math.abs(ms - constants[who]) <= 15, `${who}: ${ms} ms in Opus, ${constants[who]} ms in AAC`);
    console.log(`# constants: ${JSON.stringify(constants)} ms, in Opus ${JSON.stringify(opusConstants)}; ${found.length} codes; ${same} of ${live.segments.length} live segments stayed as they were`);
  });

  test('people who speak in bursts, and send nothing between them: every word is where it was said', async () => {
    const plan = {
      room: 'bursts', seconds: 62, start: now() + 2, people: [
        { identity: 'agent', number: 0, agent: true, bursts: [2, 3] },
        { identity: 'bob', number: 1, bursts: [1, 2], dtx: true },
        { identity: 'carol', number: 2, bursts: [3, 2], offset: 0.5, red: true },
      ],
    };
    const people = speakers(livekit, plan);
    const id = await begin(server, 'bursts');
    await people.ended;
    await livekit.api('DeleteRoom', { room: 'bursts' });
    const recording = await reached(server, id, 'COMPLETED', 40);
    const { pcm } = await sound(recording);
    const found = await codes(recording, pcm, people.said(), ['agent']);
    const constants = assertInPlace(found, (code) => code.sent > zero(recording) + 2 && isWhole(code, people.said()));
    const inOpus = await codes(recording, (await soundInOpus(recording)).pcm, people.said(), ['agent']);
    const opusConstants = assertInPlace(inOpus, (code) => code.sent > zero(recording) + 2 && isWhole(code, people.said()));
    console.log(`# in bursts: ${JSON.stringify(constants)} ms, in Opus ${JSON.stringify(opusConstants)}; ${found.length} codes`);
  });

  test('the last words before a stop and before DeleteRoom are there, and a pause leaves nothing', async () => {
    const plan = { room: 'ends', seconds: 40, start: now() + 1, people: [{ identity: 'bob', number: 1 }] };
    const people = speakers(livekit, plan);
    const id = await begin(server, 'ends');
    await reached(server, id, 'ACTIVE');
    await until('five seconds', () => now() > plan.start + 6.9);
    const paused = now();
    assert.equal((await server.post(`/v1/recordings/${id}/pause`)).status, 200);
    const pausedBy = now();
    await sleep(6000);
    const resumed = now();
    assert.equal((await server.post(`/v1/recordings/${id}/resume`)).status, 200);
    await sleep(5000);
    const stopped = now();
    const { body } = await server.post(`/v1/recordings/${id}/stop`);
    const took = now() - stopped;
    assert.equal(body.status, 'COMPLETED');
    const { pcm } = await sound(body);
    const said = people.said().filter((line) => line.kind === 'code' && line.sent < stopped);
    const found = await codes(body, pcm, said);
    const inside = (code) => code.sent > pausedBy && code.sent + 0.3 < resumed;
    assert.ok(found.filter(inside).length >= 5);
    for (const code of found.filter(inside)) assert.ok(code.score < SILENT, `a paused code is heard: ${JSON.stringify(code)}`);
    const clear = (code) => code.sent > zero(body) && (code.sent + 0.3 < paused - 0.05 || code.sent > resumed + 0.1) && isWhole(code, people.said()) && code.sent + 0.35 < stopped;
    const constants = assertInPlace(found, clear);
    const inOpus = await codes(body, (await soundInOpus(body)).pcm, said);
    for (const code of inOpus.filter(inside)) assert.ok(code.score < SILENT, `a paused code is heard in Opus: ${JSON.stringify(code)}`);
    assertInPlace(inOpus, clear);
    const [[reason, from, length]] = gaps(body);
    assert.equal(reason, 'paused');
    const slack = pausedBy - paused + 0.1;
    assert.ok(Math.abs(length - (resumed - paused)) < slack && Math.abs(from - (paused - zero(body))) < slack, `${from} ${length}`);
    const end = zero(body) + body.duration_ms / 1000;
    assert.ok(end > stopped - 0.1 && end < stopped + 0.5, `the recording ends ${end - stopped} s after the stop`);
    console.log(`# stop to COMPLETED: ${Math.round(took * 1000)} ms; constants ${JSON.stringify(constants)}`);

    // The same room again: a second recording, ended by the room itself.
    const second = await begin(server, 'ends');
    await reached(server, second, 'ACTIVE');
    await sleep(4000);
    await livekit.api('DeleteRoom', { room: 'ends' });
    const deleted = now();
    const recording = await reached(server, second, 'COMPLETED');
    const last = zero(recording) + recording.duration_ms / 1000;
    assert.ok(deleted - last < 0.3, `the last ${deleted - last} s are missing`);
    await people.stop();
  });

  test('less than the last 100 ms are missing before a hang-up, a stop and DeleteRoom', async () => {
    const place = await behindPath();
    const call = (room) => speakers(place.livekit, { room, seconds: 20, start: now() + 1, people: [{ identity: 'bob', number: 1, tone: 14 }] });
    const rooms = ['stopped', 'deleted', 'left'];
    const people = rooms.map(call);
    try {
      const ids = await Promise.all(rooms.map((room) => begin(place.server, room)));
      await until('the tones', () => people.every((one) => one.said().filter((line) => line.kind === 'code').at(-1)?.second >= 13), 60);
      await sleep(2500);
      // The moment at which each was over.
      const over = {};
      over.stopped = now();
      await place.server.post(`/v1/recordings/${ids[0]}/stop`);
      await people[0].stop();
      over.deleted = now();
      await place.livekit.api('DeleteRoom', { room: 'deleted' });
      await people[1].stop();
      await people[2].ended;
      over.left = place.path.lastSpoken;
      const gone = people[2].said().find((line) => line.kind === 'left').at;
      await place.livekit.api('DeleteRoom', { room: 'left' });
      const missing = {};
      for (const [n, room] of rooms.entries()) {
        const recording = await reached(place.server, ids[n], 'COMPLETED');
        const { pcm } = await sound(recording);
        const end = lastSound(pcm, 1);
        assert.ok(end !== null, `${room}: no tone`);
        missing[room] = Math.round((over[room] - zero(recording) - end) * 1000);
      }
      console.log(`# missing at the end: ${JSON.stringify(missing)} ms; the last packet left ${Math.round((over.left - gone) * 1000)} ms after hanging up began`);
      for (const [room, ms] of Object.entries(missing)) assert.ok(ms < 100 && ms > -300, `${room}: ${ms} ms`);
    } finally {
      await Promise.all(people.map((one) => one.stop()));
      await place.stop();
    }
  });
});
