// Every recorded session, replayed in Chromium.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import HLS from 'hls-parser';

import { EchoSphere, SESSIONS, browser, firstSound, shot, sleep, until, upload, watchedPage } from './harness.mjs';

const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };
let server;
let open;
let recordings;

before(async () => {
  server = await EchoSphere.start();
  for (const name of SESSIONS) await upload(server, name);
  recordings = await server.settled();
  open = await browser();
});

after(async () => {
  await open?.close();
  await server?.stop();
});

const withSound = () => recordings.filter((recording) => recording.playlist_url);

async function replay(recording, viewport = WIDE, hash = '') {
  const watched = await watchedPage(open, viewport);
  await watched.page.goto(`${server.url}/recordings/${recording.id}${hash}`);
  await watched.page.waitForSelector('[data-testid=turn]');
  return watched;
}

const position = (page) => page.evaluate(() => document.querySelector('echosphere-player').audio.currentTime);

test('the list shows every recording and leads to it', async () => {
  for (const [viewport, name] of [[WIDE, 'list-1280'], [PHONE, 'list-360']]) {
    const { page, wrong } = await watchedPage(open, viewport);
    await page.goto(server.url);
    await page.waitForSelector('[data-testid=row]');
    assert.equal(await page.locator('[data-testid=row]').count(), SESSIONS.length);
    const wider = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    assert.equal(wider, false, 'nothing sticks out to the side');
    await shot(page, name);
    await page.locator('[data-testid=row] a').first().click();
    await page.waitForSelector('[data-testid=transcript]');
    assert.deepEqual(wrong, []);
    await page.close();
  }
});

test('an empty server says how to get the first recording in', async () => {
  const empty = await EchoSphere.start();
  const { page, wrong } = await watchedPage(open, WIDE);
  await page.goto(empty.url);
  const text = await page.textContent('[data-testid=empty]');
  assert.match(text, new RegExp(`LIVEKIT_OBSERVABILITY_URL=${empty.url}`));
  await shot(page, 'empty-1280');
  assert.deepEqual(wrong, []);
  await page.close();
  await empty.stop();
});

test('each session with sound plays, and its turns follow', async () => {
  for (const recording of withSound()) {
    const { page, wrong } = await replay(recording);
    await page.click('[data-testid=play]');
    const first = await until('sound', async () => (await position(page)) || null, 10);
    await sleep(1000);
    assert.ok((await position(page)) > first + 0.7, 'the sound advances');
    const turns = (await server.get(`/v1/recordings/${recording.id}/transcript`)).turns;
    const spoken = turns.filter((turn) => turn.kind === 'message' && !turn.typed);
    for (const turn of spoken) {
      await page.locator(`[data-turn-id="${turn.id}"] button`).click();
      // Sought within the turn's first frames and playing on from there.
      await until('the seek', () => page.evaluate(() => !document.querySelector('echosphere-player').audio.seeking), 10);
      const at = (await position(page)) * 1000;
      assert.ok(at >= turn.start_ms - 30 && at < turn.start_ms + 900, `${turn.text}: ${at} for ${turn.start_ms}`);
      const current = await until('the highlight', async () => {
        const id = await page.getAttribute('[aria-current=true]', 'data-turn-id', { timeout: 200 }).catch(() => null);
        return id === turn.id ? id : null;
      }, 5);
      assert.equal(current, turn.id, 'the highlighted turn is the one that is heard');
    }
    assert.deepEqual(wrong, []);
    await page.close();
  }
});

test('it looks right on a desk and on a phone', async () => {
  const recording = withSound().at(-1);
  for (const [viewport, name] of [[WIDE, 'player-1280'], [PHONE, 'player-360']]) {
    const { page, wrong } = await replay(recording, viewport);
    await page.waitForFunction(() => document.querySelector('echosphere-player').wave.waveform !== null);
    await page.locator('[data-testid=turn] button').nth(2).click();
    await sleep(700);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false);
    await shot(page, name);
    await page.emulateMedia({ colorScheme: 'dark' });
    await sleep(200);
    await shot(page, `${name}-dark`);
    assert.deepEqual(wrong, []);
    await page.close();
  }
});

test('a session without sound is its transcript', async () => {
  const survey = recordings.find((recording) => recording.reason === 'no_audio');
  const { page, wrong } = await replay(survey);
  assert.match(await page.textContent('[data-testid=notice]'), /Audio was not recorded/);
  assert.equal(await page.locator('[data-testid=turn]').count(), 3);
  assert.equal(await page.locator('[data-testid=play]').count(), 0);
  await shot(page, 'survey-1280');
  assert.deepEqual(wrong, []);
  await page.close();
});

test('keys work in the player, and nowhere else', async () => {
  const { page } = await replay(withSound()[0]);
  await page.evaluate(() => document.activeElement?.blur());
  await page.keyboard.press('k');
  await sleep(200);
  assert.equal(await page.evaluate(() => document.querySelector('echosphere-player').audio.paused), true);
  await page.focus('[data-testid=slider]');
  await page.keyboard.press('k');
  await until('play', async () => (await position(page)) > 0.2, 10);
  const before = await position(page);
  await page.keyboard.press('l');
  await until('a skip', async () => (await position(page)) > before + 4, 5);
  await page.keyboard.press('>');
  assert.equal(await page.evaluate(() => document.querySelector('echosphere-player').audio.playbackRate), 1.25);
  await page.close();
});

test('a link leads to its moment', async () => {
  const { page } = await replay(withSound()[0], WIDE, '#t=12.5');
  await until('the moment', async () => Math.abs((await position(page)) - 12.5) < 0.1, 10);
  await page.close();
});

test('reading on stops the following, and a button resumes it', async () => {
  const { page } = await replay(withSound()[0], PHONE);
  assert.equal(await page.isVisible('[data-testid=follow]'), false);
  await page.mouse.move(180, 600);
  await page.mouse.wheel(0, 300);
  await page.waitForSelector('[data-testid=follow]', { state: 'visible' });
  await page.click('[data-testid=follow]');
  assert.equal(await page.isVisible('[data-testid=follow]'), false);
  await page.close();
});

test('playlists are right to the letter', async () => {
  HLS.setOptions({ strictMode: true });
  for (const recording of withSound()) {
    const multivariant = await (await fetch(recording.playlist_url)).text();
    const parsed = HLS.parse(multivariant);
    assert.equal(parsed.isMasterPlaylist, true);
    assert.equal(parsed.variants[0].codecs, 'mp4a.40.2');
    const media = HLS.parse(await (await fetch(new URL(parsed.variants[0].uri, recording.playlist_url))).text());
    assert.equal(media.endlist, true);
    const seconds = media.segments.reduce((sum, segment) => sum + segment.duration, 0);
    assert.ok(Math.abs(seconds * 1000 - recording.duration_ms) < 5, `${seconds} for ${recording.duration_ms}`);
    media.segments.slice(1).forEach((segment, n) => {
      const step = segment.programDateTime - media.segments[n].programDateTime;
      assert.ok(Math.abs(step - media.segments[n].duration * 1000) <= 1.5, `${step}`);
    });
  }
});

test('addresses that expire while it plays are renewed without a hitch', async () => {
  const brief = await EchoSphere.start({ ECHOSPHERE_PLAYBACK_URL_TTL: '4s' });
  await upload(brief, 'order');
  const [recording] = await brief.settled();
  const page = await open.newPage({ viewport: WIDE });
  const refused = [];
  page.on('response', (response) => { if (response.status() === 403) refused.push(response.url()); });
  await page.goto(`${brief.url}/recordings/${recording.id}`);
  await page.waitForSelector('[data-testid=turn]');
  await page.click('[data-testid=play]');
  await until('sound', async () => (await position(page)) > 0.5, 10);
  // Everything that was signed so far is long dead; a far seek needs segments that are not loaded yet.
  await sleep(6000);
  await page.evaluate(() => { document.querySelector('echosphere-player').seek(5000); });
  await page.evaluate(() => {
    const { audio } = document.querySelector('echosphere-player');
    window.stalls = 0;
    audio.addEventListener('waiting', () => { window.stalls += 1; });
    audio.playbackRate = 3;
  });
  await until('the end of the call', async () => (await position(page)) > 55, 40);
  // A machine that has other things to do may let the sound run dry for a moment, at three times its speed.
  const stalls = await page.evaluate(() => window.stalls);
  assert.ok(stalls <= 3, `${stalls} stalls`);
  await page.close();
  await brief.stop();
});

test('a segment that storage lost is made again, and without its master it is a gap', async () => {
  const unlucky = await EchoSphere.start({ ECHOSPHERE_RENDERING_WHEN: 'always' });
  await upload(unlucky, 'order');
  const [recording] = await unlucky.settled();
  assert.equal((await unlucky.lose(/00002\.ts$/)).length, 1);
  const play = async (from, to) => {
    const page = await open.newPage({ viewport: WIDE });
    await page.goto(`${unlucky.url}/recordings/${recording.id}?codec=aac#t=${from}`);
    await page.waitForSelector('[data-testid=turn]');
    await until('the moment', async () => (await position(page)) >= from - 0.1, 10);
    await page.evaluate(() => { document.querySelector('echosphere-player').audio.playbackRate = 2; });
    await page.click('[data-testid=play]');
    await until(`${to} s`, async () => (await position(page)) > to, 30);
    await page.close();
  };
  await play(5, 13);
  assert.equal((await unlucky.get(`/v1/recordings/${recording.id}`)).partial, false);
  assert.equal((await unlucky.lose(/(00008\.ts|sound\.ogg)$/)).length, 2);
  await play(29, 38);
  const after = await unlucky.get(`/v1/recordings/${recording.id}`);
  assert.deepEqual([after.partial, after.gaps.map((gap) => gap.reason)], [true, ['storage_lost']]);
  await unlucky.stop();
});

test('from the page to the first sound', async () => {
  const recording = withSound()[0];
  const times = [];
  for (let n = 0; n < 5; n += 1) {
    const { page } = await watchedPage(open, WIDE);
    times.push(await firstSound(page, `${server.url}/recordings/${recording.id}`));
    await page.close();
  }
  console.log(`# page load to first audio: ${times.join(', ')} ms`);
});
