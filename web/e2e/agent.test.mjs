// A real LiveKit server, real agents of both SDKs, and EchoSphere where LiveKit Cloud would be.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { EchoSphere, KEY, LiveKit, SECRET, freePort, python, root, sleep, start, until } from './harness.mjs';

const agent = join(root, 'web/e2e/agent');
let livekit;
let url;

before(async () => {
  livekit = await LiveKit.start();
  ({ url } = livekit);
});

after(() => livekit?.stop());

const SDKS = {
  python: { program: python, args: ['agent.py', 'start'], name: 'e2e' },
  node: { program: process.execPath, args: ['agent.mjs', 'start'], name: 'e2e-node' },
};

/** One call, from dispatch until the agent has left the room. */
async function call(sdk, collector, room) {
  const env = {
    LIVEKIT_URL: url, LIVEKIT_API_KEY: KEY, LIVEKIT_API_SECRET: SECRET, LIVEKIT_OBSERVABILITY_URL: collector, E2E_PORT: String(await freePort()),
  };
  const { program, args, name } = SDKS[sdk];
  const worker = start(program, args, { env, cwd: agent, elsewhere: true });
  try {
    await until('the worker', () => /registered worker/.test(worker.output()), 60);
    const caller = start(python, ['caller.py', room, name], { env, cwd: agent, elsewhere: true });
    const status = await caller.ended;
    assert.equal(status, 0, `${caller.output()}\n${worker.output().slice(-6000)}`);
    return JSON.parse(caller.output().split('\n').findLast((line) => line.startsWith('{"said"')));
  } finally {
    await worker.stop();
  }
}

async function checkReplay(server, room, said) {
  const recording = await until('the replay', async () => (await server.settled())[0], 20);
  assert.deepEqual([recording.status, recording.partial, recording.room_name], ['COMPLETED', false, room]);
  assert.ok(recording.duration_ms > 6000, `${recording.duration_ms}`);
  const { turns, alignment } = await server.get(`/v1/recordings/${recording.id}/transcript`);
  const lines = turns.filter((turn) => turn.kind === 'message').map((turn) => [turn.role, turn.text.trim()]);
  assert.deepEqual(lines, [
    ['agent', 'Hello, this is the test line. What would you like to know?'],
    ['user', said.said],
    ['agent', 'We are open from nine to five, Monday to Friday. Goodbye.'],
  ]);
  assert.equal(alignment.method, 'voice_activity');
  const user = turns.find((turn) => turn.role === 'user');
  const late = new Date(recording.started_at).getTime() / 1000 + user.start_ms / 1000 - said.at;
  if (process.env.E2E_CODES) console.log(`# ${late} s after it was sent`);
  assert.ok(late > -0.05 && late < 0.4, `the caller's line lies ${late} s after the moment at which it was sent`);
  const playlist = await (await fetch(recording.playlist_url)).text();
  assert.match(playlist, /#EXT-X-STREAM-INF/);
}

for (const sdk of Object.keys(SDKS)) {
  test(`a session of the ${sdk} SDK is replayable when the job has ended`, async () => {
    const server = await EchoSphere.start();
    try {
      const room = `e2e-${sdk}-${process.pid}`;
      await checkReplay(server, room, await call(sdk, server.url, room));
    } finally {
      await server.stop();
    }
  });
}

test('with the disk full at the first attempt it still arrives whole', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'echosphere-full-'));
  const data = join(dir, 'data');
  mkdirSync(data);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', data]);
  const server = await EchoSphere.start({ ECHOSPHERE_UPLOADS_RETRY_DELAY: '2s', ECHOSPHERE_RECORDER_MIN_FREE_DISK: '0' }, dir);
  try {
    const filler = join(data, 'filler');
    try { writeFileSync(filler, Buffer.alloc(16 << 20)); } catch { /* full is what it should be */ }
    const freed = until('the first refusal', () => /asked to come again/.test(server.process.output()), 120).then(() => rmSync(filler));
    const room = `e2e-full-${process.pid}`;
    const said = await call('python', server.url, room);
    await freed;
    await checkReplay(server, room, said);
  } finally {
    await server.process.stop();
    execFileSync('umount', ['-l', data]);
    rmSync(dir, { recursive: true, force: true });
  }
});

test('killed in the middle of an upload, what had come is a partial recording', async () => {
  let server = await EchoSphere.start();
  // Between the agent and us a slow line, which lets the first half of the recording's upload through and then holds still.
  const passed = { bytes: 0, held: false };
  const line = createServer((client) => {
    const upstream = connect(Number(new URL(server.url).port), '127.0.0.1');
    let ofThis = 0;
    client.on('data', (data) => {
      ofThis += data.length;
      const isRecording = ofThis > 60_000;
      if (isRecording) { passed.held = true; passed.bytes = ofThis; client.pause(); }
      upstream.write(data);
    });
    upstream.on('data', (data) => client.write(data));
    for (const [one, other] of [[client, upstream], [upstream, client]]) { one.on('close', () => other.destroy()); one.on('error', () => other.destroy()); }
  });
  await new Promise((resolve) => { line.listen(0, '127.0.0.1', resolve); });
  const room = `e2e-kill-${process.pid}`;
  const calling = call('python', `http://127.0.0.1:${line.address().port}`, room).catch((error) => error);
  await until('the middle of the upload', () => passed.held, 120);
  await sleep(300);
  await server.process.stop('SIGKILL');
  const { dir } = server;
  server = await EchoSphere.start({}, dir);
  const [recording] = await server.settled();
  assert.deepEqual([recording.status, recording.partial, recording.room_name], ['COMPLETED', true, room]);
  assert.equal(recording.gaps.at(-1).reason, 'upload_cut');
  assert.ok(recording.duration_ms > 1000);
  await calling;
  line.close();
  await server.stop();
});

