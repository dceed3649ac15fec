// Frames of 10 ms, of 60 ms with SILK, and three voices at once, of speakers without libwebrtc in a real room: each voice in its place, and played as
// Opus to the sample in Firefox and in Chromium.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { browser, publishers, until } from './harness.mjs';
import { firefox } from './firefox.mjs';
import { across, assertExact, listener } from './room/listen.mjs';
import { livekit, server } from './room/peers.mjs';
import { assertInPlace, begin, codes, get, lasts, now, reached, sound, soundInOpus, zero } from './room/recordings.mjs';
import { assertAsSent, assertNoClick, encode, untouched } from './room/voices.mjs';

/** Who speaks from when on, and for how long (s). */
const PEOPLE = [
  { identity: 'agent', agent: true, number: 0, at: 0, seconds: 60, offset: 0, frame: 10, application: 'audio', rate: '64k' },
  { identity: 'bob', number: 1, at: 8, seconds: 16, offset: 0, frame: 60, application: 'voip', rate: '16k' },
  { identity: 'carol', number: 2, at: 16, seconds: 44, offset: 0.15, frame: 20, application: 'voip', rate: '32k' },
  { identity: 'dan', number: 3, at: 36, seconds: 8, offset: 0.3, frame: 20, application: 'voip', rate: '32k' },
];
/** Moments (s) at which one speaks, two do, three, two whose packets stay as they are, three of whom two are on one side, and two again. */
const MOMENTS = [4, 12, 20, 30, 40, 47];
/** Until when they speak (s). */
const ALL = 50;
/** A packet is at most so far from where it was spoken (s). */
const EDGE = 0.03;

let open;

before(async () => { open = { Firefox: await firefox(), Chromium: await browser() }; });

after(async () => {
  await open?.Firefox.stop();
  await open?.Chromium.close();
});

/** People who speak from when to when, in Unix time and in seconds of a recording; those who have begun. */
function spoken(people, said, recording) {
  const start = (identity) => said.find((line) => line.kind === 'began' && line.identity === identity)?.at;
  const all = people.map((person) => ({ ...person, sent: start(person.identity) })).filter(({ sent }) => sent !== undefined);
  return all.map((person) => ({ ...person, began: person.sent - zero(recording), ended: person.sent - zero(recording) + person.seconds }));
}

/** The codes that were said whole before a moment (Unix time). */
function saidBefore(end, voices) {
  const all = voices.flatMap(({ identity, number, seconds, offset, sent }) => (
    Array.from({ length: seconds }, (_, second) => ({ kind: 'code', identity, number, second, sent: sent + second + offset }))
  ));
  return all.filter(({ sent }) => sent + 0.4 < end);
}

/** How many of the packets of each voice are in a segment as they were sent, of those who speak in more than a second of it before `last` (s). */
function shares(bytes, voices, from, to, last) {
  const inside = voices.map((voice) => ({ voice, begins: Math.max(from, voice.began) + EDGE, ends: Math.min(to, voice.ended, last) - EDGE }));
  return inside.filter(({ begins, ends }) => ends - begins > 1).map(({ voice, begins, ends }) => untouched(bytes, voice, begins, ends));
}

/** Who speaks in the whole of a segment; undefined where somebody begins or ends, as others may in the middle of it. */
function speakers(voices, from, to) {
  const heard = voices.filter(({ began, ended }) => began < to + EDGE && ended > from - EDGE);
  const isWhole = heard.every(({ began, ended }) => began < from - EDGE && ended > to + EDGE);
  return isWhole ? heard.map(({ identity }) => identity).join(' ') : undefined;
}

/** Whether what these people say at once has to be rendered. */
const MUST_BE_RENDERED = { agent: false, 'agent bob': true, 'agent bob carol': true, 'agent carol': false, 'agent carol dan': true };

/**
 * Checks of each segment in Opus before `last` (s) that its packets are as they were sent if they can be put together, and rendered if they cannot; from
 * when to when they are (s), who speaks in the whole of it, and whether it is rendered.
 */
function assertKinds({ playlist, segments }, voices, last) {
  let to = 0;
  const all = segments.map((bytes, n) => {
    const from = to;
    to += playlist.segments[n].duration;
    return { from, to, who: speakers(voices, from, to), parts: shares(bytes, voices, from, to, last) };
  }).filter((segment) => segment.to < last);
  for (const segment of all) {
    const { who, parts } = segment;
    segment.isRendered = parts.every((share) => share < 0.05);
    assert.ok(segment.isRendered || parts.every((share) => share > 0.95), JSON.stringify(segment));
    if (who) assert.equal(segment.isRendered, MUST_BE_RENDERED[who], JSON.stringify(segment));
  }
  const missing = Object.keys(MUST_BE_RENDERED).filter((wanted) => !all.some(({ who }) => who === wanted));
  assert.deepEqual(missing, [], 'each of them speak in the whole of a segment');
  return all;
}

/** Checks that every code is where it was said, in AAC and in Opus, within 20 ms but for one constant a speaker, which is one for all within 20 ms. */
async function assertSaid(recording, said, sounds) {
  const inAac = await codes(recording, sounds.aac.pcm, said, ['agent']);
  const constants = assertInPlace(inAac, () => true);
  const values = Object.values(constants);
  assert.deepEqual(Object.keys(constants).sort(), PEOPLE.map(({ identity }) => identity).sort());
  assert.ok(Math.max(...values) - Math.min(...values) <= 20, JSON.stringify(constants));
  const inOpus = await codes(recording, sounds.opus.pcm, said, ['agent']);
  assertInPlace(inOpus, () => true);
  const farthest = [inAac, inOpus].map((found) => Math.max(...found.map((code) => {
    const off = Math.abs(code.off_ms - constants[code.identity]);
    assert.ok(off <= 20, JSON.stringify(code));
    return off;
  })));
  console.log(`# ${said.length} codes; constants ${JSON.stringify(constants)} ms; ${farthest[0].toFixed(1)} ms from there at most in AAC, ${farthest[1].toFixed(1)} ms in Opus`);
}

test('frames of 10 ms and of 60 ms, and three voices at once: each in its place, and heard to the sample', async (t) => {
  const encoded = await Promise.all(PEOPLE.map(async (person) => ({ ...person, ...await encode(person) })));
  // A stream of 60 ms begins with a few packets of three frames.
  assert.deepEqual(encoded.slice(0, 2).map(({ kinds }) => Object.entries(kinds).sort(([, one], [, other]) => other - one)[0][0]), ['CELT', 'SILK']);
  const id = await begin(server, 'frames');
  const people = publishers(livekit, 'frames', encoded.map(({ identity, agent, file, at }) => ({ identity, agent, file, at })));
  t.after(() => people.stop());
  await until('everybody to be there', async () => (await get(server, id)).tracks.length === PEOPLE.length).catch((error) => {
    throw new Error(`${error.message}\n${people.output()}`);
  });
  people.begin();
  await until('the agent to begin', () => people.said().some(({ kind }) => kind === 'began'));
  const [{ began }] = spoken(encoded, people.said(), await get(server, id));
  const at = (seconds) => Math.round((began + seconds) * 1000) / 1000;
  await lasts(server, id, at(ALL) * 1000, 90);
  const end = now();
  people.end();
  await people.ended;
  const said = people.said();
  console.log(`# packets were ${said.filter(({ kind }) => kind === 'left').map((line) => `${line.latest_ms} ms`).join(', ')} late at most`);
  await livekit.api('DeleteRoom', { room: 'frames' });
  const recording = await reached(server, id, 'COMPLETED');
  const voices = spoken(encoded, said, recording);
  const [opus, aac] = [await soundInOpus(recording), await sound(recording)];
  const segments = assertKinds(opus, voices, end - zero(recording));
  await assertSaid(recording, saidBefore(end, voices), { opus, aac });
  const changes = segments.slice(1).filter(({ isRendered }, n) => isRendered !== segments[n].isRendered).map(({ from }) => from);
  assert.ok(changes.length >= 4, JSON.stringify(segments));
  const bent = assertNoClick(opus.pcm, segments.slice(1).map(({ from }) => from));
  const least = assertAsSent(opus.pcm, 0, voices[0], segments);
  console.log(`# ${segments.map(({ isRendered, who }) => `${isRendered ? 'rendered' : 'untouched'}${who ? ` (${who})` : ''}`).join(', ')}`);
  console.log(`# at joins bent by ${bent.toFixed(2)} at most; the agent is heard as sent, within ${JSON.stringify(least)} dB`);
  const moments = [...MOMENTS.map(at), ...changes.map(across)];
  for (const [name, one] of Object.entries(open)) {
    const page = await listener(one, `${server.url}/`);
    const { count, joins, rest } = await assertExact(page, recording, -20, moments);
    await page.close();
    console.log(`# ${name}: ${count} moments, all to the sample, ${joins} of them joins and ${moments.length} chosen; the rest of the difference: ${rest}`);
  }
});
