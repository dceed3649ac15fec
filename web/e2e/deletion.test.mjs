// Deleted means gone: words, names and sound of recordings of real rooms, searched for in every file of the server and every object in its bucket.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { sleep, speakers, until } from './harness.mjs';
import { livekit, server } from './room/peers.mjs';
import { begin, get, lasts, now, reached, settled, zero } from './room/recordings.mjs';
import { uploadSession } from './room/session.mjs';
import { find, findMarks, kept, marks, packets } from './room/traces.mjs';

/** A call in a room of its own whose words and names are nowhere else. */
function call(name, number) {
  const attributes = { 'lk.transcription_final': 'true', 'lk.segment_id': `SG_${name}` };
  const [user, agent] = [`${name}-wilhelmina`, `${name}-rumpelstiltskin`];
  const word = `${name}quintessence`;
  const people = speakers(livekit, { room: `${name}-room`, seconds: 24, start: now() + 1, people: [
    { identity: user, number, attributes: { mood: `${name}-melancholy` }, texts: [{ at: 6, topic: 'lk.transcription', text: `Say ${word} again`, attributes }] },
    { identity: agent, number: number + 1, agent: true },
  ] });
  return { people, user, agent, words: [word, user, agent, `${name}-melancholy`, `${name}-room`] };
}

/** The participants' tracks so far, as files. */
async function files(id) {
  const { tracks: all } = await get(server, id);
  return Promise.all(all.map(async ({ url }) => Buffer.from(await (await fetch(url)).arrayBuffer())));
}

/** What the participants' tracks have so far, as marks of their packets. */
async function tracks(id) {
  return (await files(id)).flatMap(marks);
}

/** The bytes of the participants' packets, one after another: pages of Ogg would be in between. */
async function packetsOf(id) {
  return { path: id, bytes: Buffer.concat((await files(id)).flatMap(packets)) };
}

/** Asserts that all words, and most of the sound, are there. */
function assertThere(files, words, sound) {
  for (const word of words) assert.notDeepEqual(find(files, word), [], `${word} was never there`);
  const { count } = findMarks(files, sound);
  assert.ok(sound.length >= 100 && count >= 0.9 * new Set(sound.map(String)).size, `${count} of ${sound.length} packets were there`);
}

async function remove(id) {
  // A session's own recording may have gone with its room already.
  const { status } = await server.fetch(`/v1/recordings/${id}`, { method: 'DELETE' });
  assert.ok(status === 202 || status === 410, `${status}`);
  await until('the deletion', async () => (await server.fetch(`/v1/recordings/${id}`)).status === 410, 30);
}

test('of recordings that are deleted nothing is left: of a room, of a room and its session, of a room that goes on', async () => {
  const calls = { stays: call('stays', 0), room: call('room', 2), both: call('both', 4), live: call('live', 6) };
  const from = now() + 1;
  const ids = {};
  for (const name of Object.keys(calls)) ids[name] = await begin(server, `${name}-room`);
  try {
    await lasts(server, ids.live, 10_000);
    await until('its words', async () => JSON.stringify(await get(server, `${ids.live}/transcript`)).includes(calls.live.words[0]), 20);
    const live = await tracks(ids.live);
    assertThere(await kept(server), calls.live.words, live);
    await remove(ids.live);
    await until('the room to be left', async () => await server.metric('echosphere_rooms') === 3, 10);
    await Promise.all(Object.values(calls).map(({ people }) => people.ended));
    for (const name of ['stays', 'room', 'both']) await livekit.api('DeleteRoom', { room: `${name}-room` });
    for (const name of ['stays', 'room', 'both']) await reached(server, ids[name], 'COMPLETED');

    const { people, user, agent } = calls.both;
    const said = 'bothsupercalifragilistic';
    const items = [{ id: said, type: 'message', role: 'user', content: [said], interrupted: false, created_at: from + 4 }];
    const upload = { roomSid: (await get(server, ids.both)).room_sid, said: people.said(), from, to: now(), clock: 0, delays: { [user]: 0.1, [agent]: 0.02 }, agents: [agent], items };
    const session = marks(await uploadSession(server, upload));
    assert.ok(zero(await settled(server, ids.both)) > from - 5);
    const own = (await server.get('/v1/recordings')).items.filter((recording) => recording.same_room?.some((other) => other.id === ids.both) || recording.session_id === 'AJ_filling');

    const [stays, room, both] = [await tracks(ids.stays), await tracks(ids.room), [...await tracks(ids.both), ...session]];
    const before = await kept(server);
    assertThere(before, calls.stays.words, stays);
    assertThere(before, calls.room.words, room);
    assertThere(before, [...calls.both.words, said], both);
    for (const id of new Set([ids.room, ids.both, ...own.map((recording) => recording.id)])) await remove(id);
    await server.settled();

    // Two rooms may have something in common by chance: what the one that stays has, anywhere in its packets, says nothing.
    const all = [...live, ...room, ...both];
    const { found: common } = findMarks([await packetsOf(ids.stays)], all);
    const gone = all.filter((mark) => !common.has(mark.toString('hex')));
    const left = async () => {
      const files = await kept(server);
      const words = ['live', 'room', 'both'].flatMap((name) => calls[name].words).concat(said);
      return [...words.flatMap((word) => find(files, word).map((path) => `${word} in ${path}`)), ...findMarks(files, gone).paths];
    };
    await until('nothing to be left', async () => (await left()).length === 0, 30).catch(async () => assert.deepEqual(await left(), []));
    await sleep(3000);
    assert.deepEqual(await left(), []);
    assertThere(await kept(server), calls.stays.words, stays);
    console.log(`# ${gone.length} packets of three recordings, searched for in ${(await kept(server)).length} files`);
  } finally {
    for (const { people } of Object.values(calls)) await people.stop();
  }
});
