// A session in Opus, as it was sent, in a real browser.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { EchoSphere, browser, upload, watchedPage } from './harness.mjs';

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
  const url = recording.playlist_url.replace('playlist.m3u8?', 'playlist.m3u8?codec=opus&');
  for (const from of [0, 0.03, 5, 17.7, 30]) {
    const { duration, errors, codecs } = await page.evaluate(play, { url, from });
    assert.deepEqual(errors, []);
    assert.match(codecs[0], /audio\/mp4 opus/i);
    assert.ok(Math.abs(duration * 1000 - recording.duration_ms) < 40, `${duration} s, ${recording.duration_ms} ms`);
  }
  assert.deepEqual(wrong, []);
});
