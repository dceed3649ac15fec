// Networks that fail under the media of a real room: lost packets, a path that goes away and comes back, UDP that is blocked.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { sleep, speakers, until } from './harness.mjs';
import { behindPath, redirected } from './room/path.mjs';
import { assertInPlace, begin, codes, gaps, get, isWhole, lasts, now, reached, sound, zero } from './room/recordings.mjs';

/** Ends a room and returns its recording, and the codes that were said in it once everybody was surely being listened to. */
async function ended({ livekit, server }, id, room, people, agents = []) {
  await livekit.api('DeleteRoom', { room });
  const recording = await reached(server, id, 'COMPLETED');
  const { pcm } = await sound(recording);
  const said = people.said();
  const found = await codes(recording, pcm, said.filter((line) => line.kind === 'code' && line.sent > zero(recording) + 3), agents);
  return { recording, found, isWhole: (code) => isWhole(code, said) };
}

test('of 5 % of packets that are lost, NACK brings back 99 %, and every time code is heard', async () => {
  const place = await behindPath();
  const people = speakers(place.livekit, { room: 'loss', seconds: 45, start: now() + 1, people: [{ identity: 'helper', number: 0, agent: true }, { identity: 'bob', number: 1 }] });
  try {
    const id = await begin(place.server, 'loss');
    await reached(place.server, id, 'ACTIVE');
    place.path.lose(0.05, 4);
    // What is lost in the last instant before everybody leaves cannot be asked for any more: that is not what is counted here.
    await until('the end of the talk', () => people.said().some((line) => line.second === 43), 90);
    place.path.lose(0);
    await people.ended;
    const { recording, found, isWhole: whole } = await ended(place, id, 'loss', people, ['helper']);
    const { passed, lost, recovered } = place.path.losses;
    const constants = assertInPlace(found, whole);
    console.log(`# ${lost} of ${passed + lost} packets lost, ${recovered} of them came again; gaps ${JSON.stringify(gaps(recording))}; ${JSON.stringify(constants)} ms`);
    assert.ok(lost > 100 && lost / (passed + lost) > 0.035, `${lost} of ${passed + lost}`);
    assert.ok(lost - recovered <= 2 + lost * 0.01, `${recovered} of ${lost} came again`);
    const missing = gaps(recording).reduce((sum, [, , length]) => sum + length, 0);
    assert.ok(missing <= (lost - recovered) * 0.02 + 0.001, `${missing} s are missing`);
  } finally {
    await people.stop();
    await place.stop();
  }
});

/** A call during which the recorder's network goes away for so many seconds; signalling as well, or only the media. */
async function outage(seconds, signalling) {
  const name = `${seconds} s without ${signalling ? 'media and signalling' : 'media'}`;
  const room = `away-${seconds}${signalling ? '-both' : ''}`;
  // Without TCP: there is one way only, and it is away.
  const place = await behindPath({ tcp_port: 0 });
  const people = speakers(place.livekit, { room, seconds: 23 + seconds, start: now() + 1, people: [{ identity: 'bob', number: 1 }] });
  try {
    const id = await begin(place.server, room);
    await lasts(place.server, id, 5000, 40);
    const from = now();
    place.path.away(true);
    if (signalling) place.proxy.cut(seconds * 1000);
    await sleep(seconds * 1000);
    place.path.away(false);
    const to = now();
    await people.ended;
    const { recording, found, isWhole: whole } = await ended(place, id, room, people);
    const held = gaps(recording);
    console.log(`# ${name}: ${JSON.stringify(held)}, back ${(zero(recording) + held.at(-1)?.[1] + held.at(-1)?.[2] - to).toFixed(2)} s after the path`);
    assert.equal(held.length, 1, `${name}: ${JSON.stringify(held)}`);
    const [[, start, length]] = held;
    const off = zero(recording) + start - from;
    assert.ok(Math.abs(off) < 0.3, `${name}: the gap begins ${off} s after the path went away`);
    // NACK brings back the last 100 packets of it, which are 2 s.
    // Once the path is back there are 2 s to get back to it.
    assert.ok(length <= to - from + 2 && length > to - from - 2.5, `${name}: the gap is ${length} s long`);
    const outside = (code) => code.sent + 0.5 < from || code.sent > zero(recording) + start + length + 0.05;
    assert.ok(found.filter((code) => outside(code) && code.sent > to).length >= 5, `${name}: too little was said after it`);
    assertInPlace(found, (code) => outside(code) && whole(code));
    assert.equal((await place.server.get('/v1/recordings')).items.length, 1);
  } finally {
    await people.stop();
    await place.stop();
  }
}

test('a network that is away for 3, 8 and 20 s leaves a gap of that length, and the recording goes on', async () => {
  const results = await Promise.allSettled([outage(3, false), outage(8, false), outage(8, true), outage(20, false)]);
  for (const { reason } of results.filter((result) => result.status === 'rejected')) throw reason;
});

test('where UDP is blocked, media come over TCP', async () => {
  // Only the recorder is sent along the path, by what its signalling says: LiveKit takes TCP at its own address alone.
  const place = await behindPath({ node_ip: '127.0.0.1' }, redirected);
  const people = speakers(place.livekit, { room: 'blocked', seconds: 20, start: now() + 1, people: [{ identity: 'bob', number: 1 }] });
  try {
    await until('somebody who talks', () => people.said().some((line) => line.kind === 'code'), 30);
    place.path.block();
    const began = now();
    const id = await begin(place.server, 'blocked');
    await people.ended;
    const { recording, found, isWhole: whole } = await ended(place, id, 'blocked', people);
    assert.ok(place.path.flows.size > 0 && !place.path.isHeard, 'UDP was not tried, or got through');
    assert.deepEqual(recording.gaps, []);
    const constants = assertInPlace(found, whole);
    const first = zero(recording) + 0.2 - began;
    console.log(`# over TCP: the first packet came ${first.toFixed(2)} s after the start; ${found.length} codes, ${JSON.stringify(constants)} ms`);
    assert.ok(found.length >= 10 && first < 8, `${found.length} codes, ${first} s`);
  } finally {
    await people.stop();
    await place.stop();
  }
});
