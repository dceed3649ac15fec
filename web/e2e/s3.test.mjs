// Recordings in a bucket, played by a real browser from the S3 server's own address.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { EchoSphere, browser, firstSound, shot, start, until, upload, watchedPage } from './harness.mjs';
import { S3Server } from './s3-server.mjs';

let open;

before(async () => { open = await browser(); });
after(() => open.close());

/** Where the sound of a page came from. */
const sources = (page) => page.evaluate(() => performance.getEntriesByType('resource')
  .map(({ name }) => new URL(name)).filter(({ pathname }) => /\.(ts|m4s)$/.test(pathname)).map(({ origin }) => origin));

/** Starts EchoSphere on a bucket of an S3 server, which the doctor makes, as he lets its pages read from there; also what he said. */
async function echosphere(s3, bucket, env) {
  const settings = { ...s3.settings(bucket), ...env };
  const server = new EchoSphere();
  await server.prepare();
  const doctor = start(server.program, ['doctor', '--fix'], { env: { ...settings, ECHOSPHERE_DATA_DIR: s3.folder, ECHOSPHERE_LISTEN: server.listen } });
  await doctor.ended;
  await server.restart(settings);
  return { server, said: doctor.output() };
}

for (const kind of ['minio', 'seaweedfs']) {
  test(`a session in a bucket of ${kind} plays from there, and in Opus from here`, async () => {
    const s3 = await S3Server.start(kind);
    const { server, said } = await echosphere(s3, 'calls', { ECHOSPHERE_RENDERING_WHEN: 'always' });
    try {
      assert.match(said, /ok +bucket .* was made/);
      assert.match(said, /ok +browsers/);
      await upload(server, 'order');
      const [recording] = await server.settled();
      for (const [codec, origin] of [['aac', s3.url], ['opus', server.url]]) {
        const { page, wrong } = await watchedPage(open, { width: 1280, height: 900 });
        await firstSound(page, `${server.url}/recordings/${recording.id}?codec=${codec}`);
        await page.evaluate(() => { document.querySelector('echosphere-player').audio.currentTime = 30; });
        await until('sound after a seek', () => page.evaluate(() => document.querySelector('echosphere-player').audio.currentTime > 31.5));
        const from = await sources(page);
        assert.ok(from.length > 1 && from.every((one) => one === origin), `${codec}: ${[...new Set(from)]}`);
        assert.deepEqual(wrong, []);
        if (kind === 'minio') await shot(page, `s3-${codec}`);
        await page.close();
      }
    } finally {
      await server.stop();
      await s3.stop();
    }
  });
}
