// The same in Firefox as in Chromium: sessions, and a room while it goes on and afterwards, as they were sent.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { EchoSphere, LiveKit, browser, speakers, until, upload } from './harness.mjs';
import { firefox } from './firefox.mjs';
import { assertExact, assertSessionsExact, listener } from './room/listen.mjs';
import { begin, get, lasts, now, reached } from './room/recordings.mjs';

let server;
let livekit;
let open;

before(async () => {
  livekit = await LiveKit.start();
  server = await EchoSphere.start(livekit.env);
  open = await firefox();
});

after(async () => {
  await open.stop();
  await server.stop();
  await livekit.stop();
});

test('Firefox plays the page in Opus, and what is heard is the sound of that moment to the sample', async () => {
  await upload(server, 'order');
  const [recording] = await server.settled();
  const page = await open.newPage();
  const body = new URLSearchParams({ credential: server.authorization.slice('Bearer '.length) });
  await page.goto(`${server.url}/login`);
  await page.evaluate((form) => fetch('/login', { method: 'POST', body: form, headers: { 'content-type': 'application/x-www-form-urlencoded' } }), body.toString());
  await page.goto(`${server.url}/recordings/${recording.id}#t=3`);
  const paused = () => page.evaluate(() => document.querySelector('echosphere-player')?.audio?.paused);
  // The button is there before it does anything.
  await until('it to play', async () => {
    const isPaused = await paused();
    if (isPaused) await page.click('[data-testid=play]');
    return isPaused === false;
  });
  const played = () => page.evaluate(() => [
    document.querySelector('echosphere-player').audio.currentTime,
    performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname).filter((path) => /\.(m4s|ts)$/.test(path)),
  ]);
  const [at, asked] = await until('four seconds', async () => {
    const [place, paths] = await played();
    return place > 7 && [place, paths];
  });
  assert.ok(asked.length > 0 && asked.every((path) => path.endsWith('.m4s')), `at ${at}: ${asked}`);
  await page.close();
  await assertSessionsExact(server, await listener(open, `${server.url}/`));
});

test('a room of two is heard to the sample while it goes on and afterwards, in Firefox and in Chromium', async () => {
  const chromium = await browser();
  const people = speakers(livekit, {
    room: 'two', seconds: 60, start: now() + 1,
    people: [{ identity: 'agent', number: 0, agent: true }, { identity: 'bob', number: 1, offset: 0.3, dtx: true, mute: [20, 24] }],
  });
  try {
    const id = await begin(server, 'two');
    await lasts(server, id, 18_000);
    const pages = { Firefox: await listener(open, `${server.url}/`), Chromium: await listener(chromium, `${server.url}/`) };
    // A decoder that begins in the middle of a chirp finds its way later than in speech.
    const compare = async (when, recording) => {
      for (const [name, page] of Object.entries(pages)) {
        const { count, joins, rest } = await assertExact(page, recording, -12);
        assert.ok(count >= 6, `${count} moments`);
        console.log(`# ${name}, ${when}: ${count} moments, ${joins} of them joins, all to the sample; the rest of the difference: ${rest}`);
      }
    };
    await compare('live', await get(server, id));
    await people.stop();
    await livekit.api('DeleteRoom', { room: 'two' });
    await compare('afterwards', await reached(server, id, 'COMPLETED', 40));
  } finally {
    await people.stop();
    await chromium.close();
  }
});
