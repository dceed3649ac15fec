// Processes that die in the middle of a call: ours, and LiveKit's.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EchoSphere, LiveKit, sleep, speakers, until } from './harness.mjs';
import { assertDates, listing } from './room/hls.mjs';
import { cuttable } from './room/network.mjs';
import { livekit, server } from './room/peers.mjs';
import { assertInPlace, begin, codes, gaps, get, isWhole, lasts, median, now, reached, sound, zero } from './room/recordings.mjs';

/** What a playlist lists, but for the addresses: they are signed anew each time. */
const listed = (playlist) => playlist.segments.map((segment) => [segment.duration, segment.programDateTime.getTime(), segment.discontinuity ?? false]);

test('thirty times kill -9 in the middle of a call: each time the next process goes on', async () => {
  const KILLS = 30;
  const plan = { room: 'kills', seconds: 200, people: [{ identity: 'bob', number: 1 }, { identity: 'helper', number: 0, agent: true }] };
  const people = speakers(livekit, plan);
  const id = await begin(server, 'kills');
  await lasts(server, id, 3000, 40);
  /** Those who listen in the room, or did until a moment ago. */
  const recorders = async () => {
    const { participants } = await livekit.api('ListParticipants', { room: 'kills' });
    return participants.filter((one) => one.permission?.hidden && one.state === 'ACTIVE').map((one) => one.sid);
  };
  const down = [];
  /** When the next recorder was seen in the room. */
  const there = [];
  let before = [];
  let known = new Set(await recorders());
  for (let n = 0; n < KILLS; n += 1) {
    await server.kill();
    // On a busy machine a process lives, and hears, for a while after it was told to go.
    const gone = now();
    await server.restart(livekit.env);
    down.push([gone, now()]);
    const recording = await get(server, id);
    assert.equal(recording.status, 'ACTIVE', JSON.stringify(recording));
    const { playlist } = await listing(recording);
    assert.equal(playlist.endlist, false);
    assertDates(playlist);
    const list = listed(playlist);
    assert.deepEqual(list.slice(0, before.length), before, `what was listed before kill ${n}`);
    before = list;
    await until('the next recorder', async () => (await recorders()).some((sid) => !known.has(sid)), 20);
    there.push(now());
    known = new Set(await recorders());
    // Its sound begins a little later; then anywhere between two chunks, segments and syncs.
    await sleep(600 + (n * 397) % 1500);
  }
  await livekit.api('DeleteRoom', { room: 'kills' });
  const recording = await reached(server, id, 'COMPLETED');
  await people.stop();
  const { pcm, playlist } = await sound(recording);
  assertDates(playlist);
  const held = gaps(recording);
  assert.deepEqual([...new Set(held.map(([reason]) => reason))], ['recorder_restarted']);
  assert.equal(held.length, KILLS);
  const lost = held.map(([, , length], n) => length - (down[n][1] - down[n][0]));
  const restarts = playlist.segments.filter((segment) => segment.discontinuity).length;
  const unwritten = held.map(([, start], n) => down[n][0] - zero(recording) - start);
  console.log(`# heard and lost before a kill: at most ${Math.max(...unwritten).toFixed(2)} s`);
  console.log(`# lost beside the time that it was down: median ${median(lost).toFixed(2)} s, at most ${Math.max(...lost).toFixed(2)} s; down ${median(down.map(([from, to]) => to - from)).toFixed(2)} s; ${restarts} discontinuities`);
  for (const [n, seconds] of unwritten.entries()) {
    assert.ok(seconds <= 1 && seconds > down[n][0] - down[n][1], `kill ${n}: the gap begins ${seconds} s before the process was gone`);
  }
  assert.ok(median(lost) <= 1, lost.join(', '));
  // However long a busy machine takes to join: what it hears from then on is kept.
  const unheard = held.map(([, start, length], n) => zero(recording) + start + length - there[n]);
  assert.ok(Math.max(...unheard) <= 1, unheard.join(', '));
  assert.ok(restarts > 0 && restarts <= KILLS, `${restarts}`);
  assert.deepEqual((await server.get('/v1/recordings?room_name=kills')).items.map((item) => item.id), [id]);
  const found = await codes(recording, pcm, people.said().filter((line) => line.sent > zero(recording) + 1), ['helper']);
  const end = zero(recording) + recording.duration_ms / 1000;
  // What a gap does not name is there, from its very end on.
  const isHeard = (code) => code.at > 0 && code.sent + 0.6 < end && held.every(([, start, length]) => code.at + 0.5 < start || code.at > start + length);
  assert.ok(found.filter(isHeard).length >= 20, `${found.filter(isHeard).length}`);
  assertInPlace(found, (code) => isHeard(code) && isWhole(code, people.said()));
});

test('a LiveKit server that is killed and comes back: one recording ends, or goes on, and is never stuck', async () => {
  const other = await LiveKit.start();
  const mine = await EchoSphere.start({ ...other.env, ECHOSPHERE_RECORDER_GIVE_UP_AFTER: '6s' });
  try {
    const people = speakers(other, { room: 'crash', seconds: 8, people: [{ identity: 'bob', number: 1 }] });
    const { body } = await mine.post('/v1/recordings', { room_name: 'crash' });
    await lasts(mine, body.id, 3000, 30);
    await other.process.stop();
    await sleep(1000);
    await other.run();
    const done = await reached(mine, body.id, 'COMPLETED', 40);
    assert.ok(done.duration_ms > 4000, `${done.duration_ms}`);
    await people.stop();
  } finally {
    await mine.stop();
    await other.stop();
  }
});

test('a LiveKit server that is away when we come back: its room is waited for, and gone on with', async () => {
  // Signalling alone is away: the room itself goes on.
  const proxy = await cuttable(livekit.port);
  const env = { ...livekit.env, LIVEKIT_URL: proxy.url };
  const mine = await EchoSphere.start(env);
  const people = speakers(livekit, { room: 'waits', seconds: 30, start: now() + 1, people: [{ identity: 'bob', number: 1 }] });
  try {
    const id = await begin(mine, 'waits');
    await lasts(mine, id, 5000, 30);
    await mine.kill();
    proxy.cut(6000);
    const from = now();
    await mine.restart(env);
    await people.ended;
    await livekit.api('DeleteRoom', { room: 'waits' });
    const recording = await reached(mine, id, 'COMPLETED');
    const [[reason, start, length], ...more] = gaps(recording);
    assert.deepEqual([reason, more], ['recorder_restarted', []]);
    const back = zero(recording) + start + length - from - 6;
    console.log(`# back ${back.toFixed(2)} s after LiveKit`);
    assert.ok(back < 2, `${back} s`);
    const { pcm } = await sound(recording);
    const found = await codes(recording, pcm, people.said().filter((line) => line.kind === 'code' && line.sent > from + 6 + back));
    assert.ok(found.length >= 8, `${found.length}`);
    assertInPlace(found, (code) => isWhole(code, people.said()));
  } finally {
    await people.stop();
    await mine.stop();
    proxy.close();
  }
});

test('a room that ends while nobody listens: what was heard is there, and that its end is missing is said', async () => {
  const mine = await EchoSphere.start(livekit.env);
  const people = speakers(livekit, { room: 'missed', seconds: 12, start: now() + 1, people: [{ identity: 'bob', number: 1 }] });
  try {
    const id = await begin(mine, 'missed');
    await lasts(mine, id, 5000, 30);
    await mine.kill();
    await people.ended;
    await livekit.api('DeleteRoom', { room: 'missed' });
    await mine.restart(livekit.env);
    const recording = await reached(mine, id, 'COMPLETED');
    assert.ok(recording.partial && recording.duration_ms > 4500, JSON.stringify(recording));
    assert.match(recording.captures[0].error, /ended while nobody listened/);
    assert.equal((await livekit.api('ListRooms', { names: ['missed'] })).rooms?.length ?? 0, 0, 'a room was made by looking for it');
  } finally {
    await people.stop();
    await mine.stop();
  }
});
