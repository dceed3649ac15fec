// What a room looks like while it goes on: its turns, and the page that plays it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { EchoSphere, LiveKit, browser, shot, sleep, speakers, until, watchedPage } from './harness.mjs';
import { listing } from './room/hls.mjs';
import { begin, get, median, now, reached } from './room/recordings.mjs';

let livekit;
let server;

before(async () => {
  livekit = await LiveKit.start();
  server = await EchoSphere.start(livekit.env);
});

after(async () => {
  await server?.stop();
  await livekit?.stop();
});

test('text streams become turns, live and afterwards', async () => {
  const attributes = (segment, final) => ({ 'lk.segment_id': segment, 'lk.transcription_final': String(final) });
  const plan = {
    room: 'words', seconds: 14, start: now() + 2, people: [
      { identity: 'helper', number: 0, agent: true, texts: [
        { at: 3, topic: 'lk.transcription', text: 'Hello, how can I help?', attributes: attributes('SG_a', false) },
        { at: 9, topic: 'lk.chat', text: 'here is the link' },
      ] },
      { identity: 'bob', number: 1, texts: [
        { at: 5, topic: 'lk.transcription', text: 'what are', attributes: attributes('SG_b', false) },
        { at: 6, topic: 'lk.transcription', text: 'What are your hours?', attributes: attributes('SG_b', true) },
      ] },
    ],
  };
  const people = speakers(livekit, plan);
  const id = await begin(server, 'words');
  const live = await until('live turns', async () => {
    const { turns } = await server.get(`/v1/recordings/${id}/transcript`);
    return turns.length >= 3 && turns[2].text.endsWith('link') && turns;
  }, 20);
  assert.equal((await get(server, id)).status, 'ACTIVE');
  await people.ended;
  await livekit.api('DeleteRoom', { room: 'words' });
  const recording = await reached(server, id, 'COMPLETED');
  const { turns } = await server.get(`/v1/recordings/${id}/transcript`);
  for (const list of [live, turns]) {
    assert.deepEqual(list.map((turn) => [turn.role, turn.speaker, turn.text, turn.typed]), [
      ['agent', 'helper', 'Hello, how can I help?', false],
      ['user', 'bob', 'What are your hours?', false],
      ['agent', 'helper', 'here is the link', true],
    ]);
  }
  const zero = new Date(recording.started_at).getTime();
  for (const [turn, at] of [[turns[0], 3], [turns[1], 5]]) {
    const late = (zero + turn.start_ms) / 1000 - plan.start - at;
    assert.ok(Math.abs(late) < 1.5, `${turn.text} lies ${late} s off`);
  }
});

/** Whoever goes back in a call, pauses it or listens faster is not taken to its end again, however often its playlist is read. */
async function staysWhereItIsPut(page) {
  const state = () => page.evaluate(() => {
    const { audio } = document.querySelector('echosphere-player');
    return { at: audio.currentTime, rate: audio.playbackRate };
  });
  assert.equal(await page.getAttribute('[data-testid=live]', 'aria-pressed'), 'true');
  await page.evaluate(() => { document.querySelector('echosphere-player').seek(0); });
  assert.equal(await page.getAttribute('[data-testid=live]', 'aria-pressed'), 'false');
  await until('the beginning', async () => (await state()).at > 0.3, 10);
  const begun = (await state()).at;
  await sleep(6000);
  const played = (await state()).at - begun;
  assert.ok(begun < 3 && Math.abs(played - 6) < 1.5, `${played} s from ${begun} s on`);

  await page.selectOption('[data-testid=speed]', '1.5');
  await sleep(2000);
  const faster = await state();
  assert.equal(faster.rate, 1.5);
  assert.ok(faster.at > begun + 7.5 && faster.at < begun + 12, `${faster.at} s`);
  await page.selectOption('[data-testid=speed]', '1');

  await page.click('[data-testid=play]');
  const paused = await state();
  await sleep(6000);
  assert.equal((await state()).at, paused.at);
  await page.click('[data-testid=play]');
  await until('more of the same', async () => (await state()).at > paused.at + 0.3, 5);
  assert.ok((await state()).at < paused.at + 3);
}

test('a player that asks for the next segment is answered when it is there', async () => {
  const people = speakers(livekit, { room: 'reload', seconds: 15, start: now() + 1, people: [{ identity: 'bob', number: 1 }] });
  const id = await begin(server, 'reload');
  const { url } = await until('a segment', async () => {
    const recording = await get(server, id);
    return recording.playlist_url && listing(recording);
  }, 20);
  const ask = async (msn) => {
    const response = await fetch(`${url}&_HLS_msn=${msn}`);
    const text = await response.text();
    return { status: response.status, text, segments: text.match(/#EXTINF/g)?.length ?? 0 };
  };
  const first = await ask(0);
  assert.equal(first.status, 200);
  assert.match(first.text, /#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES/);
  const next = await ask(first.segments);
  assert.equal(next.segments, first.segments + 1);
  for (const [msn, what] of [[next.segments + 9, 'segments'], ['x', '_HLS_msn']]) {
    const far = await ask(msn);
    assert.equal(far.status, 400);
    assert.match(JSON.parse(far.text).detail, new RegExp(what));
  }
  // The one who waits when the call ends is told so.
  const waiting = ask((await ask(0)).segments + 1);
  await people.stop();
  await livekit.api('DeleteRoom', { room: 'reload' });
  assert.match((await waiting).text, /#EXT-X-ENDLIST/);
  const after = await ask(99);
  assert.match(after.text, /#EXT-X-ENDLIST/);
  assert.doesNotMatch(after.text, /SERVER-CONTROL/);
});

test('the page plays a call while it goes on, rewinds, and has the whole of it in the end without a reload', async () => {
  const attributes = { 'lk.segment_id': 'SG_1', 'lk.transcription_final': 'true' };
  const plan = { room: 'live', seconds: 75, start: now() + 1, people: [
    { identity: 'bob', number: 1, texts: [{ at: 8, topic: 'lk.transcription', text: 'Is this live?', attributes }] },
    { identity: 'helper', number: 0, agent: true },
  ] };
  const people = speakers(livekit, plan);
  const id = await begin(server, 'live');
  const open = await browser();
  try {
    const { page, wrong } = await watchedPage(open, { width: 1280, height: 800 });
    await page.goto(`${server.url}/recordings/${id}`);
    await page.waitForSelector('[data-testid=play]', { timeout: 20_000 });
    await page.evaluate(() => { window.sameDocument = true; });
    await page.click('[data-testid=play]');
    await until('sound', () => page.evaluate(() => performance.getEntriesByName('echosphere:first-audio').length), 15);
    const zero = new Date((await get(server, id)).started_at).getTime();
    const position = () => page.evaluate(() => document.querySelector('echosphere-player').audio.currentTime);
    const behind = async () => (Date.now() - zero) / 1000 - await position();
    await page.evaluate(() => { window.dry = 0; document.querySelector('echosphere-player').audio.addEventListener('waiting', () => { window.dry += 1; }); });
    const measured = [];
    await sleep(1000);
    for (let n = 0; n < 80; n += 1) { measured.push(await behind()); await sleep(250); }
    measured.sort((a, b) => a - b);
    const p95 = measured[Math.floor(measured.length * 0.95)];
    console.log(`# behind what is spoken: median ${median(measured).toFixed(2)} s, p95 ${p95.toFixed(2)} s, ran dry ${await page.evaluate(() => window.dry)} times`);
    // The figure is in docs/benchmarks.md; here only that it is live at all.
    assert.ok(p95 <= 15, `${p95} s`);
    assert.match(await page.textContent('[data-testid=transcript]'), /Is this live\?/);
    assert.equal(await page.textContent('[data-testid=status]'), 'Live');
    await shot(page, 'live-1280');
    await page.setViewportSize({ width: 360, height: 740 });
    await shot(page, 'live-360');
    await staysWhereItIsPut(page);
    await page.click('[data-testid=live]');
    await until('now', async () => await behind() < 9, 10);
    assert.equal(await page.getAttribute('[data-testid=live]', 'aria-pressed'), 'true');
    await people.ended;
    await livekit.api('DeleteRoom', { room: 'live' });
    await until('the end', async () => await page.textContent('[data-testid=status]') === 'Ready', 30);
    assert.equal(await page.evaluate(() => window.sameDocument), true);
    const { duration_ms: length } = await get(server, id);
    await until('the whole length', async () => Math.abs(await page.evaluate(() => document.querySelector('echosphere-player').audio.duration) - length / 1000) < 0.5, 15);
    assert.deepEqual(wrong, []);
    await shot(page, 'live-ended-360');
  } finally {
    await open.close();
    await people.stop();
  }
});
