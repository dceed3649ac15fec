// Signing in with a real browser: by link, by key, by token; and what a page does when that ends.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { EchoSphere, browser, shot, sign, sleep, until, upload } from './harness.mjs';

const API_KEY = 'default-api-key-0123456789abcdef';
const NARROW = { width: 360, height: 740 };
const WIDE = { width: 1280, height: 800 };

let server;
let open;
let recording;

before(async () => {
  const config = join(mkdtempSync(join(tmpdir(), 'echosphere-sign-in-')), 'c.yaml');
  writeFileSync(config, `projects: [{name: default, api_keys: [${API_KEY}]}]`);
  server = await EchoSphere.start({ ECHOSPHERE_CONFIG: config, ECHOSPHERE_RENDERING_WHEN: 'always' });
  await upload(server, 'reservation');
  await upload(server, 'survey');
  const items = await server.settled();
  recording = items.find((item) => item.room_name.includes('reservation'));
  open = await browser();
});

after(async () => {
  await open?.close();
  await server?.stop();
});

/** A browser of somebody else, who is signed in nowhere; what goes wrong on its page is kept. */
async function stranger(viewport = WIDE) {
  const context = await open.newContext({ viewport });
  const page = await context.newPage();
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(`script: ${error.message}`));
  page.on('console', (message) => { if (message.type() === 'error' && !message.text().includes('status of 40')) wrong.push(message.text()); });
  return { context, page, wrong };
}

const path = (page) => { const url = new URL(page.url()); return url.pathname + url.search + url.hash; };

test('a link signs this browser in, once', async () => {
  const link = readFileSync(join(server.dir, 'data/sign-in-link'), 'utf8').trim();
  const { context, page, wrong } = await stranger();
  await page.goto(link);
  await page.getByTestId('row').first().waitFor();
  assert.equal(path(page), '/');
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, 'Lax', '/']);
  assert.equal(await page.evaluate(() => document.cookie), '');
  await page.goto(`${server.url}/recordings/${recording.id}`);
  await page.getByTestId('turn').first().waitFor();
  const other = await stranger();
  await other.page.goto(link);
  await other.page.getByText('used already').waitFor();
  assert.equal((await other.context.cookies()).length, 0);
  await other.page.goto(`${server.url}/`);
  assert.equal(path(other.page), '/login?next=%2F');
  assert.ok(!server.process.output().includes(link.split('code=')[1]), 'the link is in no log');
  // Another one, while the server runs.
  const program = process.env.ECHOSPHERE_PROGRAM ?? server.program;
  const made = execFileSync(program, ['link'], { encoding: 'utf8', env: { ECHOSPHERE_DATA_DIR: join(server.dir, 'data') } }).trim();
  await other.page.goto(made);
  await other.page.getByTestId('row').first().waitFor();
  assert.deepEqual([...wrong, ...other.wrong], []);
  await Promise.all([context.close(), other.context.close()]);
});

test('a key is typed in once, a wrong one is refused plainly, and signing out ends it', async () => {
  for (const viewport of [NARROW, WIDE]) {
    const { context, page, wrong } = await stranger(viewport);
    await page.goto(`${server.url}/recordings/${recording.id}#t=5`);
    const field = page.getByLabel('API key or LiveKit token');
    await field.waitFor();
    assert.equal(await field.evaluate((element) => element === document.activeElement), true, 'it has the focus');
    await shot(page, `sign-in-${viewport.width}`);
    await page.keyboard.type('a wrong key');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('This is no API key of this server.').waitFor();
    await shot(page, `sign-in-wrong-${viewport.width}`);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${viewport.width}: ${overflow} px too wide`);
    await page.getByLabel('API key or LiveKit token').fill(API_KEY);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByTestId('turn').first().waitFor();
    assert.equal(new URL(page.url()).pathname, `/recordings/${recording.id}`);
    await page.goto(server.url);
    await page.getByTestId('row').first().waitFor();
    await shot(page, `signed-in-${viewport.width}`);
    await page.getByTestId('sign-out').click();
    await page.getByLabel('API key or LiveKit token').waitFor();
    await page.goBack();
    await page.getByLabel('API key or LiveKit token').waitFor();
    assert.equal(await page.getByTestId('row').count(), 0, 'nothing comes back');
    assert.deepEqual(wrong, []);
    await context.close();
  }
});

test('a token that names a room shows that room alone', async () => {
  const { context, page, wrong } = await stranger();
  await page.goto(server.url);
  const token = sign({ video: { roomRecord: true, room: recording.room_name } });
  await page.getByLabel('API key or LiveKit token').fill(token);
  await page.keyboard.press('Enter');
  await page.getByTestId('row').first().waitFor();
  assert.equal(await page.getByTestId('row').count(), 1);
  assert.deepEqual(wrong, []);
  await context.close();
});

test('a page whose sign-in has ended leads to a new one, and back', async () => {
  const { context, page } = await stranger();
  await server.signIn(context);
  await page.goto(server.url);
  await page.getByTestId('row').first().waitFor();
  await context.clearCookies();
  await page.getByLabel('API key or LiveKit token').waitFor({ timeout: 15_000 });
  assert.equal(path(page), '/login?next=%2F');
  await page.getByLabel('API key or LiveKit token').fill(API_KEY);
  await page.keyboard.press('Enter');
  await page.getByTestId('row').first().waitFor();
  await context.close();
});

test('another origin posts nothing with the cookie of whoever is signed in', async () => {
  const { context, page } = await stranger();
  await server.signIn(context);
  // Another port is the same site: SameSite=Lax sends the cookie along.
  const other = await EchoSphere.start();
  const asked = page.waitForResponse((response) => response.url().includes('/stop'));
  await page.route('**/evil', (route) => route.fulfill({ contentType: 'text/html', body: `<form method=post action="${server.url}/v1/recordings/${recording.id}/stop"></form>` }));
  await page.goto(`${other.url}/evil`);
  await page.evaluate(() => document.forms[0].submit());
  assert.equal((await asked).status(), 403);
  await context.close();
  await other.stop();
});

/** A signed link to the page of a recording. */
function linkTo(id, seconds) {
  const key = readFileSync(join(server.dir, 'data/secrets/links'), 'utf8').trim();
  const expires = Math.floor(Date.now() / 1000) + seconds;
  const mac = createHmac('sha256', key).update(`echosphere link 1\ndefault\n${id}\n${expires}`).digest('base64url');
  return { url: `${server.url}/recordings/${id}?sig=${expires}.default.${mac}`, expires };
}

test('a link opens one recording, plays, and says when it has expired', async () => {
  const { context, page, wrong } = await stranger();
  const { url, expires } = linkTo(recording.id, 15);
  await page.goto(url);
  await page.getByTestId('turn').first().waitFor();
  await page.getByRole('button', { name: /play/i }).first().click();
  await until('the sound', () => page.evaluate(() => document.querySelector('echosphere-player').audio.currentTime > 0.5), 8);
  assert.equal(await page.getByText('All recordings').count(), 0);
  await page.evaluate(() => { globalThis.heard = document.querySelector('echosphere-player').audio; });
  await page.getByTestId('expired').getByText('This link has expired').waitFor({ timeout: 20_000 });
  assert.ok(Date.now() / 1000 >= expires - 1);
  assert.equal(await page.evaluate(() => globalThis.heard.paused), true);
  await shot(page, 'link-expired');
  await page.reload();
  await page.getByText('This link has expired').waitFor();
  await page.getByRole('link', { name: 'sign in' }).click();
  await page.getByLabel('API key or LiveKit token').fill(API_KEY);
  await page.keyboard.press('Enter');
  await page.getByTestId('turn').first().waitFor();
  assert.equal(path(page), `/recordings/${recording.id}`);
  await sleep(200);
  assert.deepEqual(wrong, []);
  await context.close();
});

test('a segment that storage lost is made again for somebody who came by a link', async () => {
  const second = await server.lose(new RegExp(`${recording.id}.*00001\\.ts$`));
  assert.equal(second.length, 1);
  const { context, page } = await stranger();
  await page.goto(`${linkTo(recording.id, 60).url}&codec=aac#t=3`);
  await page.getByTestId('turn').first().waitFor();
  await page.getByRole('button', { name: /play/i }).first().click();
  await until('the sound of it', () => page.evaluate(() => document.querySelector('echosphere-player').audio.currentTime > 5.5), 15);
  assert.ok((await server.objects()).includes(second[0]));
  await context.close();
});
