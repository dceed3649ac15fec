// nginx and Caddy before the server, with the settings of docs/proxy, and nginx with none: no stranger is served, and everything else works.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { EchoSphere, browser, freePort, program, root, start, token, until, upload } from './harness.mjs';

const API_KEY = 'default-api-key-0123456789abcdef';
const folder = mkdtempSync(join(tmpdir(), 'echosphere-proxies-'));
const [certificate, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
let open;

before(async () => {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost',
    '-keyout', key, '-out', certificate], { stdio: 'ignore' });
  writeFileSync(join(folder, 'c.yaml'), `projects: [{name: default, api_keys: [${API_KEY}]}]`);
  open = await browser();
});

after(async () => {
  await open?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Asks through the proxy, whose certificate is our own; `until` ends the answer early. */
function ask(url, { method = 'GET', headers = {}, body = '', enough = () => false } = {}) {
  return new Promise((resolve, reject) => {
    const client = url.startsWith('https') ? https : http;
    const request = client.request(url, { method, headers, rejectUnauthorized: false }, (response) => {
      let text = '';
      const done = () => { resolve({ status: response.statusCode, headers: response.headers, text }); request.destroy(); };
      response.on('data', (data) => { text += data; if (enough(text)) done(); });
      response.on('end', done);
    });
    request.setTimeout(20_000, () => request.destroy(new Error(`no answer to ${method} ${url}`)));
    request.on('error', reject);
    request.end(body);
  });
}

/** nginx, with a server block. */
function nginx(name, block) {
  const home = join(folder, name);
  mkdirSync(home);
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${home}/${kind};`).join('\n');
  writeFileSync(join(home, 'nginx.conf'), `daemon off; pid ${home}/pid; error_log ${home}/error.log; worker_processes 1;
events {}
http { access_log off; ${paths}
${block} }`);
  return start(program('nginx'), ['-e', join(home, 'error.log'), '-p', home, '-c', join(home, 'nginx.conf')]);
}

const proxies = {
  nginx: (port, upstream) => nginx('nginx', readFileSync(join(root, 'docs/proxy/nginx.conf'), 'utf8')
    .replace('listen 443', `listen 127.0.0.1:${port}`).replace('recordings.example.com;', 'localhost;').replace('127.0.0.1:8080', upstream)
    .replace('/etc/ssl/recordings.example.com.pem', certificate).replace('/etc/ssl/recordings.example.com.key', key)),
  caddy: (port, upstream) => {
    const site = readFileSync(join(root, 'docs/proxy/Caddyfile'), 'utf8')
      .replace('\nrecordings.example.com {', `\nhttps://localhost:${port} {\n\tbind 127.0.0.1\n\ttls ${certificate} ${key}`).replace('127.0.0.1:8080', upstream);
    const config = join(folder, 'Caddyfile');
    writeFileSync(config, `{\n\tadmin off\n\tauto_https disable_redirects\n}\n${site}`);
    return start(program('caddy'), ['run', '--config', config, '--adapter', 'caddyfile'], { env: { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } });
  },
};

/** Nobody without credentials sees or changes anything. */
async function servesNoStranger(url, id) {
  const html = { accept: 'text/html' };
  for (const [method, path] of [['GET', '/v1/recordings'], ['GET', `/v1/recordings/${id}`], ['GET', `/v1/recordings/${id}/transcript.txt`],
    ['GET', `/v1/recordings/${id}/renditions/audio/segments/0.ts`], ['GET', `/v1/recordings/${id}/events`], ['GET', '/metrics'], ['DELETE', `/v1/recordings/${id}`], ['POST', `/v1/recordings/${id}/stop`]]) {
    const answer = await ask(url + path, { method });
    assert.equal(answer.status, 401, `${method} ${path}: ${answer.text}`);
  }
  const page = await ask(`${url}/recordings/${id}`, { headers: html });
  assert.deepEqual([page.status, page.headers.location], [303, `/login?next=%2Frecordings%2F${id.replaceAll('-', '%2D')}`]);
  assert.equal((await ask(`${url}/healthz`)).status, 200);
}

for (const name of Object.keys(proxies)) {
  test(`${name}, as docs/proxy has it: strangers are asked, people sign in, uploads come through, events are not held`, async () => {
    const port = await freePort();
    const url = `https://localhost:${port}`;
    const server = await EchoSphere.start({
      ECHOSPHERE_CONFIG: join(folder, 'c.yaml'), ECHOSPHERE_PUBLIC_URL: url, ECHOSPHERE_TRUSTED_PROXIES: '127.0.0.1',
      LIVEKIT_URL: 'ws://127.0.0.1:9', ECHOSPHERE_RECORDER_GIVE_UP_AFTER: '60s',
    });
    const proxy = proxies[name](port, new URL(server.url).host);
    await until(name, async () => (await ask(`${url}/healthz`)).status === 200, 10).catch((error) => { throw new Error(`${error.message}\n${proxy.output()}`); });
    // An upload through the proxy, and one that is larger than what nginx takes by itself (unreadable, and kept).
    await upload(server, 'reservation');
    const large = Buffer.alloc(3 << 20, 'x');
    const sent = await ask(`${url}/observability/recordings/v0`, {
      method: 'POST', body: large, headers: { authorization: `Bearer ${token()}`, 'content-type': 'multipart/form-data; boundary=x', 'content-length': large.length },
    });
    assert.equal(sent.status, 200, sent.text);
    const [recording] = await server.settled();
    assert.equal(new URL(recording.playlist_url).origin, url);
    await servesNoStranger(url, recording.id);

    const context = await open.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    await page.goto(`${url}/recordings/${recording.id}`);
    await page.getByLabel('API key or LiveKit token').fill(API_KEY);
    await page.keyboard.press('Enter');
    await page.getByTestId('turn').first().waitFor();
    const [cookie] = await context.cookies();
    assert.deepEqual([cookie.name, cookie.secure, cookie.httpOnly], ['__Host-echosphere', true, true]);
    await page.evaluate(() => document.querySelector('echosphere-player').audio.play());
    await until('the sound', () => page.evaluate(() => document.querySelector('echosphere-player').audio.currentTime > 0.5), 15);

    // A room that is waited for: what is told of it comes at once, and the stream goes on.
    const begun = await page.evaluate(async () => (await fetch('/v1/recordings', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"room_name":"a"}' })).json());
    const heard = await ask(`${url}/v1/recordings/${begun.id}/events`, {
      headers: { cookie: `__Host-echosphere=${cookie.value}` }, enough: (text) => text.includes('event: turns'),
    });
    assert.equal(heard.status, 200);
    assert.ok(!heard.text.includes('event: end'), 'the stream went on');

    await page.goto(url);
    await page.getByTestId('sign-out').click();
    await page.getByLabel('API key or LiveKit token').waitFor();
    assert.equal((await context.cookies()).length, 0);

    // Whoever guesses is limited by their own address, which they cannot choose.
    const guess = (headers) => ask(`${url}/login`, { method: 'POST', body: 'credential=x', headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers } });
    const answers = [];
    for (let n = 0; n < 12; n += 1) answers.push((await guess({ 'x-forwarded-for': `192.0.2.${n}` })).status);
    assert.deepEqual(answers.slice(-2), [429, 429], answers.join());
    await context.close();
    await proxy.stop('SIGTERM');
    await server.stop();
  });
}

test('nginx with nothing but proxy_pass, with and without public_url: no stranger is local', async () => {
  for (const publicUrl of [undefined, 'https://recordings.example.com']) {
    const server = await EchoSphere.start(publicUrl ? { ECHOSPHERE_PUBLIC_URL: publicUrl } : {});
    await upload(server, 'reservation');
    const [recording] = await server.settled();
    const port = await freePort();
    const proxy = nginx(`plain-${port}`, `server { listen 127.0.0.1:${port}; location / { proxy_pass ${server.url}; } }`);
    const url = `http://localhost:${port}`;
    await until('nginx', async () => (await ask(`${url}/healthz`)).status === 200, 10);
    await servesNoStranger(url, recording.id);
    const right = await ask(`${url}/v1/recordings`, { headers: { authorization: server.authorization } });
    assert.equal(JSON.parse(right.text).items.length, 1, 'whoever has a credential is served');
    await proxy.stop('SIGTERM');
    await server.stop();
  }
});
