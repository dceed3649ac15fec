// Several sessions of a room that was recorded: each is in the room's recording, and what that does not hold has a recording of its own.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EchoSphere, LiveKit, browser, speakers, until, watchedPage } from './harness.mjs';
import { HEARD, SILENT, assertInPlace, begin, codes, get, isWhole, lasts, now, reached, sound, zero } from './room/recordings.mjs';
import { uploadSession } from './room/session.mjs';

const PEOPLE = [{ identity: 'bob', number: 1 }, { identity: 'helper', number: 0, agent: true }, { identity: 'second', number: 2, agent: true }];

const line = (role, text, at) => ({
  id: text, type: 'message', role, content: [text], interrupted: false, created_at: at + 1, metrics: { started_speaking_at: at, stopped_speaking_at: at + 1 },
});

test('two agents, one of whom was there before the recording and after it', async () => {
  const livekit = await LiveKit.start();
  const server = await EchoSphere.start(livekit.env);
  const people = speakers(livekit, { room: 'sessions', seconds: 44, start: now() + 1, people: PEOPLE });
  try {
    const from = now() + 0.5;
    await until('somebody to be there for a while', () => now() > from + 12);
    const id = await begin(server, 'sessions');
    await lasts(server, id, 4_000);
    const live = await get(server, id);
    // The second agent has gone, and has told its session; the call goes on.
    const inside = { from: zero(live) + 0.5, to: now() - 0.5 };
    const second = { clock: 0, delays: { second: 0.02 }, agents: ['second'], roomSid: live.room_sid, jobId: 'AJ_second' };
    await uploadSession(server, { ...second, ...inside, said: people.said(), items: [line('assistant', 'second here', inside.from + 1)] });
    await lasts(server, id, 12_000);
    assert.equal((await server.post(`/v1/recordings/${id}/stop`)).status, 200);
    const before = await reached(server, id, 'COMPLETED');
    await people.ended;
    const [said, to] = [people.said(), now()];
    const end = zero(before) + before.duration_ms / 1000;
    const items = [line('assistant', 'before it', from + 1), line('user', 'within it', zero(before) + 3), line('assistant', 'after it', end + 9)];
    const first = { clock: 0, delays: { bob: 0.09, helper: 0.01 }, agents: ['helper'], roomSid: live.room_sid, jobId: 'AJ_first' };
    await uploadSession(server, { ...first, from, to, said, items });
    const own = await until('its own recording', async () => (await server.get('/v1/recordings?session_id=AJ_first')).items.find((other) => other.id !== id));
    const all = await server.settled();
    assert.deepEqual(all.map((recording) => recording.id).sort(), [id, own.id].sort(), 'the other session is whole where it is');

    const room = await get(server, id);
    assert.deepEqual([room.started_at, room.duration_ms, room.partial], [before.started_at, before.duration_ms, false]);
    assert.deepEqual(room.captures.map(({ source, job_id: job }) => [source, job]), [['recorder', null], ['upload', 'AJ_second'], ['upload', 'AJ_first']]);
    const lines = async (of) => (await get(server, `${of}/transcript`)).turns.map(({ text, start_ms: at }) => [text, at]);
    // Where exactly is not for codes to say: they sound all the time, so that every shift of a line finds one.
    const near = (found, expected) => {
      assert.deepEqual(found.map(([text]) => text).sort(), expected.map(([text]) => text).sort(), JSON.stringify(found));
      expected.forEach(([text, at]) => assert.ok(Math.abs(at - found.find(([other]) => other === text)[1]) < 3_500, `${text}: ${at} in ${JSON.stringify(found)}`));
    };
    near(await lines(id), [['second here', 1_500], ['within it', 3_000]]);
    const heard = await sound(room);
    assert.equal(heard.playlist.segments.filter((segment) => segment.discontinuity).length, 0, 'nothing is put after its end');
    const found = await codes(room, heard.pcm, said, ['helper', 'second']);
    const wanted = (code) => isWhole(code, said) && code.sent > zero(room) + 1 && code.sent + 0.6 < end;
    assertInPlace(found, wanted);

    const whole = await get(server, own.id);
    assert.deepEqual([whole.session_id, whole.status, whole.gaps], ['AJ_first', 'COMPLETED', []], JSON.stringify(whole));
    assert.ok(Math.abs(zero(whole) - from) < 0.01 && Math.abs(whole.duration_ms - (to - from) * 1000) < 100, JSON.stringify(whole));
    near(await lines(own.id), [['before it', 1_000], ['within it', (zero(before) + 3 - from) * 1000], ['after it', (end + 9 - from) * 1000]]);
    const mine = await codes(whole, (await sound(whole)).pcm, said.filter((event) => event.identity !== 'second'), ['helper']);
    const outside = mine.filter((code) => isWhole(code, said) && (code.sent + 1 < zero(room) || code.sent > end + 1) && code.sent > from + 1 && code.sent + 1 < to);
    assert.ok(outside.length >= 20 && outside.every((code) => code.score > HEARD), JSON.stringify(outside));
    assert.deepEqual([room.same_room.map((other) => other.id), whole.same_room.map((other) => other.id)], [[own.id], [id]]);

    const open = await browser();
    try {
      const { page, wrong } = await watchedPage(open, { width: 360, height: 740 });
      await page.goto(`${server.url}/recordings/${id}`);
      const links = page.getByRole('navigation', { name: 'Same room' }).getByRole('link');
      await links.first().waitFor();
      assert.equal(await links.count(), 1);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), 'nothing sticks out at 360 px');
      await links.first().focus();
      await page.keyboard.press('Enter');
      await page.waitForURL(`**/recordings/${own.id}`);
      assert.deepEqual(wrong, []);
    } finally {
      await open.close();
    }

    // The session is deleted: the room keeps what it heard itself.
    await server.fetch(`/v1/recordings/${own.id}`, { method: 'DELETE' });
    assert.deepEqual((await server.settled()).map((recording) => recording.id), [id]);
    near(await lines(id), [['second here', 1_500]]);
    const after = await codes(await get(server, id), (await sound(await get(server, id))).pcm, said, ['helper', 'second']);
    assertInPlace(after, wanted);
    assert.ok(after.every((code) => code.score < SILENT || wanted(code) || code.sent < zero(room) + 1 || code.sent + 0.6 >= end || !isWhole(code, said)));
    assert.ok(!(await server.files()).some((file) => /\/3\/(upload|sound|chat_history|header)\./.test(file)), 'its bytes are gone');
    console.log(`# ${outside.length} codes of the session outside of the recording of ${before.duration_ms} ms`);
  } finally {
    await people.stop();
    await server.stop();
    await livekit.stop();
  }
});
