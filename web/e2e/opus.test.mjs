// A session in Opus, as it was sent, in a real browser.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { EchoSphere, browser, sleep, until, upload, watchedPage } from './harness.mjs';
import { inOpus } from './room/hls.mjs';
import { assertSessionsExact, listener } from './room/listen.mjs';

let server;
let open;

before(async () => {
  server = await EchoSphere.start();
  await upload(server, 'order');
  open = await browser();
});

after(async () => {
  await open.close();
  await server.stop();
});

/** Plays a playlist in a page from a moment on (s), and says what its player came to. Runs in the page. */
async function play({ url, from }) {
  const { default: Hls } = await import('/assets/vendor/hls.js/hls.light.min.mjs');
  const audio = document.body.appendChild(document.createElement('audio'));
  const hls = new Hls();
  const errors = [];
  const codecs = [];
  // A request that a seek makes useless is given up.
  hls.on(Hls.Events.ERROR, (_, error) => { if (error.details !== 'aborted') errors.push(`${error.details} ${error.fatal}`); });
  hls.on(Hls.Events.BUFFER_CODECS, (_, tracks) => codecs.push(`${tracks.audio?.container} ${tracks.audio?.codec}`));
  hls.loadSource(url);
  hls.attachMedia(audio);
  const until = async (what, holds) => {
    for (let tries = 0; !holds(); tries += 1) {
      if (tries > 400) throw new Error(`${what}: ${errors}`);
      await new Promise((resolve) => { setTimeout(resolve, 25); });
    }
  };
  await until('metadata', () => audio.readyState >= 1);
  audio.currentTime = from;
  audio.muted = true;
  await audio.play();
  await until('sound', () => audio.currentTime > from + 1.5);
  audio.pause();
  audio.currentTime = 0;
  await until('all of it', () => audio.buffered.length === 1 && audio.buffered.start(0) < 0.001 && audio.buffered.end(0) > Math.min(audio.duration, 20) - 0.05);
  const { duration } = audio;
  hls.destroy();
  return { duration, errors, codecs };
}

test('Chromium plays it, from any moment, and it is as long as the recording', async () => {
  const [recording] = await server.settled();
  const { page, wrong } = await watchedPage(open, { width: 800, height: 600 });
  await page.goto(`${server.url}/recordings/${recording.id}`);
  const url = inOpus(recording);
  for (const from of [0, 0.03, 5, 17.7, 30]) {
    const { duration, errors, codecs } = await page.evaluate(play, { url, from });
    assert.deepEqual(errors, []);
    assert.match(codecs[0], /audio\/mp4 opus/i);
    assert.ok(Math.abs(duration * 1000 - recording.duration_ms) < 40, `${duration} s, ${recording.duration_ms} ms`);
  }
  assert.deepEqual(wrong, []);
});

test('what is heard is the sound of that moment to the sample, after seeks and from cold starts', async () => {
  await assertSessionsExact(server, await listener(open, `${server.url}/`));
});

/** Opens the page of a recording, plays it from its third second, and returns what is asked for. */
async function listening(recording, prepare = async () => {}, from = server, search = '') {
  const context = await open.newContext();
  const page = await context.newPage();
  await from.signIn(context);
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  await prepare(page);
  await page.addInitScript(watch);
  await page.goto(`${from.url}/recordings/${recording.id}${search}#t=3`);
  await page.click('[data-testid=play]');
  return { page, asked, close: () => context.close() };
}

/** Notes where a page's sound is, every 20 ms from the beginning; runs in the page. */
function watch() {
  globalThis.seen = [];
  setInterval(() => {
    const audio = document.querySelector('echosphere-player')?.audio;
    if (audio) globalThis.seen.push([performance.now() / 1000, audio.currentTime, audio.paused]);
  }, 20);
}

/** Waits until a page's sound has come to a second; where it was until then. */
async function heardUntil(page, second) {
  await page.waitForFunction((end) => globalThis.seen.at(-1)?.[1] > end, second, { timeout: 60_000 }).catch(async (error) => {
    const state = await page.evaluate(() => {
      const { audio } = document.querySelector('echosphere-player');
      const buffered = Array.from({ length: audio.buffered.length }, (_, n) => [audio.buffered.start(n), audio.buffered.end(n)]);
      return { at: audio.currentTime, paused: audio.paused, ready: audio.readyState, error: audio.error?.message, buffered, seen: globalThis.seen.slice(-3) };
    });
    throw new Error(`${error.message} ${JSON.stringify(state)}`);
  });
  return page.evaluate(() => globalThis.seen);
}

test('the page plays Opus, and AAC where Opus fails in the middle: at the same second, and it remembers', async () => {
  const recording = (await server.settled()).find(({ session_id: id, playlist_url: url }) => url && id);
  const isOpus = (path) => /\.m4s$/.test(path);
  const isAac = (path) => /\.ts$/.test(path);
  {
    const { page, asked, close } = await listening(recording);
    await heardUntil(page, 5);
    assert.ok(asked.some(isOpus) && !asked.some(isAac), asked.join(' '));
    await close();
  }
  const faults = {
    'a segment is missing': [(page) => page.route('**/segments/5.m4s*', async (route) => {
      await sleep(3000);
      await route.fulfill({ status: 404 });
    }), false],
    'a segment is broken': [(page) => page.route('**/segments/5.m4s*', async (route) => {
      const response = await route.fetch();
      const body = await response.body();
      await sleep(3000);
      await route.fulfill({ response, body: Buffer.concat([body.subarray(0, 40), Buffer.alloc(body.length - 40, 0xab)]) });
    }), true],
    'the browser takes it and does not play it': [(page) => page.addInitScript(() => {
      const add = MediaSource.prototype.addSourceBuffer;
      MediaSource.prototype.addSourceBuffer = function refuse(type) {
        if (/opus/i.test(type)) throw new DOMException('not supported after all', 'NotSupportedError');
        return add.call(this, type);
      };
    }), true],
  };
  for (const [fault, [prepare, isRemembered]] of Object.entries(faults)) {
    const { page, asked, close } = await listening(recording, prepare);
    const seen = await heardUntil(page, 11);
    assert.ok(asked.some(isAac), `${fault}: ${asked.join(' ')}`);
    // From one moment to the next it is where it was, and goes on.
    const places = seen.filter(([, place]) => place > 0);
    const [, from] = places[0];
    assert.ok(from < 3.5, `${fault}: it begins at ${from}`);
    let rest = 0;
    let since = places[0];
    for (const now of places) {
      assert.ok(now[1] > since[1] - 0.3 && now[1] < since[1] + (now[0] - since[0]) + 0.5, `${fault}: from ${since[1]} to ${now[1]}`);
      rest = Math.max(rest, now[0] - since[0]);
      if (now[1] > since[1] + 0.005) since = now;
    }
    assert.ok(rest < 2, `${fault}: nothing is heard for ${rest} s`);
    assert.ok(!seen.at(-1)[2], `${fault}: it has stopped`);
    await page.goto('about:blank');
    const before = asked.length;
    await page.goto(`${server.url}/recordings/${recording.id}#t=3`);
    await page.click('[data-testid=play]');
    await until('a segment', () => asked.slice(before).some((path) => isOpus(path) || isAac(path)), 20);
    assert.equal(asked.slice(before).some(isOpus), !isRemembered, `${fault}: ${asked.slice(before).join(' ')}`);
    console.log(`# ${fault}: heard again after ${rest.toFixed(2)} s`);
    await close();
  }
});

test('where there is no AAC the page plays Opus, and says so to a browser that cannot', async () => {
  const other = await EchoSphere.start({ ECHOSPHERE_RENDERING_WHEN: 'never' });
  try {
    await upload(other, 'order');
    const [recording] = await other.settled();
    const { page, asked, close } = await listening(recording, undefined, other, '?codec=aac');
    await heardUntil(page, 5);
    assert.ok(asked.some((path) => path.endsWith('.m4s')) && !asked.some((path) => path.endsWith('.ts')), asked.join(' '));
    await close();
    const without = await listening(recording, (refusing) => refusing.addInitScript(() => {
      const takes = MediaSource.isTypeSupported.bind(MediaSource);
      MediaSource.isTypeSupported = (type) => !/opus/i.test(type) && takes(type);
    }), other, '?codec=aac');
    await without.page.getByText('cannot play Opus').waitFor();
    await without.close();
  } finally {
    await other.stop();
  }
});

test('what a page plays can be set', async () => {
  const recording = (await server.settled()).find(({ playlist_url: url }) => url);
  const { page, asked, close } = await listening(recording);
  const kinds = async (search) => {
    // What the page before asks for says nothing.
    await page.goto('about:blank');
    const before = asked.length;
    await page.goto(`${server.url}/recordings/${recording.id}${search}`);
    await page.click('[data-testid=play]');
    const segments = () => asked.slice(before).filter((path) => /\.(m4s|ts)$/.test(path));
    await until('a segment', () => segments().length > 0, 20);
    return [...new Set(segments().map((path) => path.split('.').at(-1)))];
  };
  assert.deepEqual(await kinds('?codec=aac'), ['ts']);
  assert.deepEqual(await kinds(''), ['ts']);
  assert.deepEqual(await kinds('?codec=auto'), ['m4s']);
  await page.evaluate(() => Object.defineProperty(Navigator.prototype, 'vendor', { get: () => 'Apple Computer, Inc.' }));
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'vendor', { get: () => 'Apple Computer, Inc.' }));
  assert.deepEqual(await kinds(''), ['ts'], 'nobody has tried it on Safari');
  assert.deepEqual(await kinds('?codec=opus'), ['m4s']);
  await close();
});
