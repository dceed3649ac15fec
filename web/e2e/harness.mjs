// The real server, real sessions, a real browser.

import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { after } from 'node:test';

import { chromium } from 'playwright-core';

import { Bucket } from './bucket.mjs';
import { freePort, root, running, start, until } from './processes.mjs';

export { freePort, root, sleep, start, until } from './processes.mjs';

export const KEY = 'devkey';
export const SECRET = 'secretsecretsecretsecretsecretsecret';
// A test that failed may not have come to the end of what it started, and its file would not end either.
after(async () => { for (const one of [...running]) await one.stop(); });

/** The paths of all files below a folder. */
function filesOf(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** The servers, by their addresses: where a page goes, its browser signs in. */
const servers = new Map();

/** The server on a folder of its own. */
export class EchoSphere {
  static async start(env = {}, dir = undefined) {
    const made = new EchoSphere();
    await made.prepare(dir);
    await made.restart(env);
    return made;
  }

  /** Finds its program, and an address at which it will listen. */
  async prepare(dir = mkdtempSync(join(tmpdir(), 'echosphere-e2e-'))) {
    const program = process.env.ECHOSPHERE_PROGRAM ?? join(root, 'target/debug/echosphere');
    if (!existsSync(program)) throw new Error(`${program} is missing: cargo build --package echosphere-server`);
    // `E2E_S3`: the settings of a bucket, as JSON; each server has a folder of its own in it.
    const { ECHOSPHERE_STORAGE_URL: bucket, ...others } = JSON.parse(process.env.E2E_S3 ?? '{}');
    const storage = bucket === undefined ? {} : { ...others, ECHOSPHERE_STORAGE_URL: `${bucket}/${basename(dir)}` };
    Object.assign(this, { dir, program, storage, listen: `127.0.0.1:${await freePort()}`, authorization: `Bearer ${sign({ video: { roomRecord: true } })}` });
  }

  /** Starts it (again), on the same folder and the same port. */
  async restart(env = {}) {
    const settings = { ...env.ECHOSPHERE_STORAGE_URL === undefined && this.storage, ...env };
    this.bucket ??= Bucket.of(settings);
    this.process = start(this.program, ['serve'], {
      env: { ECHOSPHERE_LISTEN: this.listen, ECHOSPHERE_DATA_DIR: join(this.dir, 'data'), LIVEKIT_API_KEY: KEY, LIVEKIT_API_SECRET: SECRET, ...settings },
    });
    this.url = await until('the server', () => this.process.output().match(/listening on (http:\S+)/)?.[1], 20);
    servers.set(this.url, this);
  }

  /** kill -9. */
  kill() {
    return this.process.stop('SIGKILL');
  }

  /** Asks it, with a token. */
  fetch(path, { headers = {}, ...options } = {}) {
    return fetch(this.url + path, { ...options, headers: { authorization: this.authorization, ...headers } });
  }

  async get(path) {
    return (await this.fetch(path)).json();
  }

  /** Signs a browser in, as the page's form does. */
  async signIn(context) {
    const body = new URLSearchParams({ credential: this.authorization.slice('Bearer '.length) });
    const response = await fetch(`${this.url}/login`, { method: 'POST', body, redirect: 'manual' });
    const [, name, value] = response.headers.get('set-cookie')?.match(/^([^=]+)=([^;]+)/) ?? [];
    if (!value) throw new Error(`signing in was answered ${response.status}: ${await response.text()}`);
    await context.addCookies([{ name, value, url: this.url, httpOnly: true, sameSite: 'Lax' }]);
  }

  /** The paths of all its files: those of its data directory, and copies of what it has in a bucket at this moment. */
  async files() {
    const data = filesOf(join(this.dir, 'data'));
    const copies = join(this.dir, 'bucket');
    await this.bucket?.copyTo(copies);
    return [...data, ...existsSync(copies) ? filesOf(copies) : []];
  }

  /** What object storage has of it: the paths there, of a directory or a bucket. */
  async objects() {
    if (this.bucket) return (await this.bucket.list()).map(({ key }) => key);
    const folder = join(this.dir, 'data/objects');
    return filesOf(folder).map((path) => relative(folder, path));
  }

  /** Takes the objects away whose paths match, behind its back; which they were. */
  async lose(pattern) {
    const lost = (await this.objects()).filter((path) => pattern.test(path));
    for (const path of lost) {
      if (this.bucket) await this.bucket.remove(path);
      else rmSync(join(this.dir, 'data/objects', path));
    }
    return lost;
  }

  /** The lines of its metrics. */
  async metrics() {
    return (await (await this.fetch('/metrics')).text()).split('\n');
  }

  /** One of its metrics; undefined when it has none of that name. */
  async metric(name) {
    const line = (await this.metrics()).find((candidate) => candidate.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.split(' ')[1]);
  }

  async settled() {
    await until('background work', async () => {
      const open = (await this.metrics()).filter((line) => line.startsWith('echosphere_tasks{') && line.includes('open'));
      return open.length > 0 && open.every((line) => line.endsWith(' 0'));
    });
    return (await this.get('/v1/recordings')).items;
  }

  async post(path, body) {
    const response = await this.fetch(path, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body),
    });
    return { status: response.status, body: await response.json() };
  }

  async stop() {
    await this.process.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

const tools = join(root, '.tools');
export const python = join(tools, 'venv/bin/python');

/** A real LiveKit server on free ports. */
export class LiveKit {
  /** `rtc` takes the place of some of its settings for media. */
  static async start(extra = '', rtc = {}, port = undefined) {
    const program = existsSync(tools) && readdirSync(tools).find((name) => name.startsWith('livekit-server-v'));
    if (!program || !existsSync(python)) throw new Error('livekit-server or the Python packages are missing: scripts/install.sh test');
    const made = new LiveKit();
    made.program = join(tools, program);
    made.folder = mkdtempSync(join(tmpdir(), 'echosphere-livekit-'));
    [made.port, made.tcp, made.udp] = [port ?? await freePort(), await freePort(), await freePort()];
    made.url = `ws://127.0.0.1:${made.port}`;
    writeFileSync(join(made.folder, 'livekit.yaml'), `
port: ${made.port}
bind_addresses: ["127.0.0.1"]
rtc: ${JSON.stringify({ tcp_port: made.tcp, udp_port: made.udp, node_ip: '127.0.0.1', use_external_ip: false, enable_loopback_candidate: true, ...rtc })}
keys: {${KEY}: "${SECRET}"}
agents: {enable_user_data_recording: true}
${extra}`);
    await made.run();
    return made;
  }

  async run() {
    this.process = start(this.program, ['--config', join(this.folder, 'livekit.yaml')], { elsewhere: true });
    const answers = async () => (await fetch(`http://127.0.0.1:${this.port}`)).ok;
    await until('livekit-server', answers, 20).catch((error) => { throw new Error(`${error.message}\n${this.process.output()}`); });
  }

  /** The environment of whoever talks to it. */
  get env() {
    return { LIVEKIT_URL: this.url, LIVEKIT_API_KEY: KEY, LIVEKIT_API_SECRET: SECRET };
  }

  /** The room service (Twirp). */
  async api(method, body) {
    const response = await fetch(`http://127.0.0.1:${this.port}/twirp/livekit.RoomService/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${sign({ video: { roomList: true, roomCreate: true, roomAdmin: true, room: body.room ?? '' } })}` },
      body: JSON.stringify(body),
    });
    return response.json();
  }

  async stop() {
    await this.process.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Where the newest SDK for rooms is (web/e2e/room/newest.txt), beside the one that livekit-agents wants. */
const newest = join(tools, 'newest-sdk');
export const NEWEST = readFileSync(join(root, 'web/e2e/room/newest.txt'), 'utf8').trim().split('==')[1];

/** People who talk in a room (web/e2e/room/speakers.py), on the newest SDK if that is said; `said` are the lines that they print. */
export function speakers(livekit, plan, { isNewest = false } = {}) {
  if (isNewest && !existsSync(newest)) throw new Error('the newest LiveKit SDK is missing: scripts/install.sh test');
  const env = isNewest ? { ...livekit.env, PYTHONPATH: newest } : livekit.env;
  const process = start(python, ['speakers.py', JSON.stringify(plan)], { env, cwd: join(root, 'web/e2e/room'), elsewhere: true });
  return { ...process, said: () => linesOf(process) };
}

/**
 * People who say in a room what Ogg Opus files have, packet by packet (crates/testkit/examples/publish.rs): of each of them `identity`, `file`, how long
 * `at` after the others they begin, and whether they are an `agent`. All are there and silent until `begin` is called, and until `end` is.
 */
export function publishers(livekit, room, people) {
  const program = join(root, 'target/debug/examples/publish');
  if (!existsSync(program)) throw new Error(`${program} is missing: cargo build --package echosphere-testkit --example publish`);
  const grants = ({ identity, agent }) => ({ sub: identity, name: identity, ...agent && { kind: 'agent' }, video: { roomJoin: true, room, canSubscribe: false } });
  const plan = { url: livekit.url, people: people.map((person) => ({ ...person, token: sign(grants(person)) })) };
  const process = start(program, [JSON.stringify(plan)], { elsewhere: true, reads: true });
  const { stdin } = process.child;
  stdin.on('error', () => { /* it is gone already */ });
  return { ...process, said: () => linesOf(process), begin: () => stdin.write('\n'), end: () => stdin.end() };
}

/** What a program has printed as JSON, an object a line. */
function linesOf(process) {
  return process.output().split('\n').filter((line) => line.startsWith('{') && line.endsWith('}')).map((line) => JSON.parse(line));
}

export function token() {
  return sign({ observability: { write: true } });
}

/** A LiveKit token of the test server's key pair. */
export function sign(grants) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: '', ...grants, iss: KEY, nbf: now, exp: now + 21600 })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

const sessions = join(root, 'testdata/agent-sessions');
export const SESSIONS = readdirSync(sessions).sort();

/** Uploads a recorded session byte for byte. */
export async function upload(server, name) {
  const { headers } = JSON.parse(readFileSync(join(sessions, name, 'request.json'), 'utf8'));
  const type = headers.find(([key]) => key.toLowerCase() === 'content-type')[1];
  const body = readFileSync(join(sessions, name, 'body.bin'));
  const response = await fetch(`${server.url}/observability/recordings/v0`, {
    method: 'POST', headers: { authorization: `Bearer ${token()}`, 'content-type': type }, body,
  });
  if (response.status !== 200) throw new Error(`${name}: ${response.status} ${await response.text()}`);
}

/** Where a program of a package of the same name is. */
export function program(name) {
  try {
    return execFileSync('which', [name], { encoding: 'utf8', env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } }).trim();
  } catch {
    throw new Error(`${name} is missing: apt-get install ${name}`);
  }
}

/** Something that goes on until its test file ends, if nothing stops it before. */
export function stopsAfterwards(open) {
  running.add(open);
  return open;
}

/** Debian's Chromium, without its calls home. */
export async function browser() {
  const opened = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? program('chromium'),
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
      '--disable-sync', '--autoplay-policy=no-user-gesture-required'],
  });
  const make = opened.newPage.bind(opened);
  opened.newPage = async (options) => signsIn(await make(options));
  const open = stopsAfterwards({ stop: () => opened.close() });
  opened.on('disconnected', () => running.delete(open));
  return opened;
}

/** A page whose browser is signed in wherever it goes. */
function signsIn(page) {
  const go = page.goto.bind(page);
  const known = new Set();
  page.goto = async (url, options) => {
    const server = servers.get(new URL(url).origin);
    if (server && !known.has(server)) await server.signIn(page.context());
    known.add(server);
    return go(url, options);
  };
  return page;
}

/** A page that fails the test when anything on it goes wrong: a script error, a refused policy, a failed request. */
export async function watchedPage(open, viewport) {
  const page = await open.newPage({ viewport });
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(`script: ${error.message}`));
  page.on('console', (message) => { if (message.type() === 'error') wrong.push(`console: ${message.text()}`); });
  page.on('response', (response) => { if (response.status() >= 400) wrong.push(`${response.status()} ${response.url()}`); });
  return { page, wrong };
}

/** Opens a recording's page, presses its button as soon as it is there, and says after how many milliseconds its first sound was heard. */
export async function firstSound(page, url, seconds = 10) {
  await page.goto(url, { waitUntil: 'commit' });
  await page.waitForSelector('[data-testid=play]');
  await page.evaluate(() => document.querySelector('[data-testid=play]').click());
  await until('sound', () => page.evaluate(() => performance.getEntriesByName('echosphere:first-audio').length), seconds);
  return Math.round(await page.evaluate(() => performance.getEntriesByName('echosphere:first-audio')[0].startTime));
}

/** A screenshot to look at; the folder is not kept. */
export async function shot(page, name) {
  await page.screenshot({ path: join(root, 'web/e2e/screenshots', `${name}.png`) });
}

