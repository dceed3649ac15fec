// Which rooms are recorded, and when: without being asked, with nobody in them, under a name used again.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EchoSphere, KEY, LiveKit, freePort, speakers, until } from './harness.mjs';
import { livekit, server } from './room/peers.mjs';
import { assertInPlace, codes, isWhole, now, reached, sound, zero } from './room/recordings.mjs';

test('a room that nobody enters leaves neither a recording nor a room', async () => {
  const quick = await EchoSphere.start({ ...livekit.env, ECHOSPHERE_RECORDER_WAIT_FOR_PEOPLE: '2s' });
  try {
    const { body } = await quick.post('/v1/recordings', { room_name: 'nobody' });
    await until('the recording to go', async () => (await quick.fetch(`/v1/recordings/${body.id}`)).status === 410, 20);
    assert.deepEqual((await quick.get('/v1/recordings')).items, []);
    const { rooms } = await livekit.api('ListRooms', {});
    assert.deepEqual((rooms ?? []).filter((room) => room.name === 'nobody'), []);
    // A room that is there, and stays empty, is left as it was.
    await livekit.api('CreateRoom', { name: 'empty', empty_timeout: 300 });
    const isRecorded = async () => (await livekit.api('ListRooms', {})).rooms.find((room) => room.name === 'empty').active_recording;
    const { body: second } = await quick.post('/v1/recordings', { room_name: 'empty' });
    await until('it to be joined', isRecorded, 10);
    await until('the recording to go', async () => (await quick.fetch(`/v1/recordings/${second.id}`)).status === 410, 20);
    await until('the room to be left', async () => !await isRecorded(), 20);
    assert.deepEqual((await quick.get('/v1/recordings')).items, []);
  } finally { await quick.stop(); }
});

test('an end-to-end encrypted room is refused, and the recording says why', async () => {
  const people = speakers(livekit, { room: 'sealed', seconds: 12, key: 'a-key-that-nobody-else-has', people: [{ identity: 'bob', number: 1 }] });
  try {
    await until('bob', () => people.said().some((line) => line.kind === 'joined'), 20);
    const { body } = await server.post('/v1/recordings', { room_name: 'sealed' });
    const recording = await reached(server, body.id, 'FAILED', 20);
    assert.equal(recording.reason, 'encrypted');
    assert.match(recording.captures[0].error, /end-to-end encrypted/);
    assert.equal(recording.playlist_url, null);
  } finally { await people.stop(); }
});

test('rooms that LiveKit tells of are recorded at once, and asking finds the same ones', async () => {
  const [port, livekitPort] = [await freePort(), await freePort()];
  const auto = await EchoSphere.start({
    LIVEKIT_URL: `ws://127.0.0.1:${livekitPort}`, ECHOSPHERE_LISTEN: `127.0.0.1:${port}`, ECHOSPHERE_RECORDER_AUTO_RECORD: 'support-*', ECHOSPHERE_RECORDER_POLL_EVERY: '1h',
  });
  const told = await LiveKit.start(`webhook: {api_key: ${KEY}, urls: ["http://127.0.0.1:${port}/livekit/webhook"]}`, {}, livekitPort);
  const people = ['support-1', 'private'].map((room) => speakers(told, { room, seconds: 10, people: [{ identity: 'bob', number: 1 }] }));
  try {
    const recording = await until('a recording', async () => (await auto.get('/v1/recordings')).items.find((item) => item.status === 'ACTIVE'), 20);
    assert.equal(recording.room_name, 'support-1');
    await Promise.all(people.map((person) => person.ended));
    await told.api('DeleteRoom', { room: 'support-1' });
    await reached(auto, recording.id, 'COMPLETED');
    assert.equal((await auto.get('/v1/recordings')).items.length, 1);
  } finally {
    for (const person of people) await person.stop();
    await auto.stop();
    await told.stop();
  }
});

test('rooms are recorded without being asked, and the room says that it is', async () => {
  const auto = await EchoSphere.start({ ...livekit.env, ECHOSPHERE_RECORDER_AUTO_RECORD: 'support-*', ECHOSPHERE_RECORDER_POLL_EVERY: '500ms' });
  try {
    const people = [speakers(livekit, { room: 'support-1', seconds: 15, people: [{ identity: 'bob', number: 1, video: true, red: true, dtx: true }] }),
      speakers(livekit, { room: 'private', seconds: 15, people: [{ identity: 'eve', number: 2 }] })];
    const recording = await until('a recording', async () => (await auto.get('/v1/recordings')).items.find((item) => item.status === 'ACTIVE'), 20);
    assert.equal(recording.room_name, 'support-1');
    const { rooms } = await livekit.api('ListRooms', {});
    assert.equal(rooms.find((room) => room.name === 'support-1').active_recording, true);
    await Promise.all(people.map((person) => person.ended));
    await livekit.api('DeleteRoom', { room: 'support-1' });
    const done = await reached(auto, recording.id, 'COMPLETED', 60);
    const { pcm } = await sound(done);
    const found = await codes(done, pcm, people[0].said().filter((line) => line.kind === 'code' && line.sent > zero(done) + 1));
    assertInPlace(found, (code) => isWhole(code, people[0].said()));
    assert.equal((await auto.get('/v1/recordings')).items.length, 1);
  } finally { await auto.stop(); }
});

test('a room name that is used again within a minute makes a second recording', async () => {
  const auto = await EchoSphere.start({ ...livekit.env, ECHOSPHERE_RECORDER_AUTO_RECORD: 'desk-*', ECHOSPHERE_RECORDER_POLL_EVERY: '500ms' });
  try {
    const call = async (identity, number, known) => {
      const people = speakers(livekit, { room: 'desk-1', seconds: 15, people: [{ identity, number }] });
      const { id } = await until('a recording', async () => (await auto.get('/v1/recordings')).items.find((item) => item.status === 'ACTIVE' && item.id !== known), 30);
      await people.ended;
      await livekit.api('DeleteRoom', { room: 'desk-1' });
      return { id, said: people.said(), over: now() };
    };
    const first = await call('bob', 1);
    const second = await call('eve', 2, first.id);
    const began = second.said.find((line) => line.kind === 'joined').at;
    assert.ok(began - first.over < 60, `${began - first.over} s later`);
    const done = await Promise.all([first, second].map(({ id }) => reached(auto, id, 'COMPLETED')));
    assert.deepEqual(done.map((recording) => [recording.room_name, recording.participants.map((person) => person.identity)]), [['desk-1', ['bob']], ['desk-1', ['eve']]]);
    assert.notEqual(done[0].room_sid, done[1].room_sid);
    for (const [n, { said }] of [first, second].entries()) {
      const { pcm } = await sound(done[n]);
      const found = await codes(done[n], pcm, said.filter((line) => line.kind === 'code' && line.sent > zero(done[n]) + 0.5));
      assertInPlace(found, (code) => isWhole(code, said));
    }
    assert.equal((await auto.get('/v1/recordings')).items.length, 2);
  } finally { await auto.stop(); }
});
