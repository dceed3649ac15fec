// Rooms of a real LiveKit server, recorded by EchoSphere itself, with real publishers who say time codes.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import HLS from 'hls-parser';

import { EchoSphere, LiveKit, browser, python, root, shot, sleep, speakers, until, watchedPage } from './harness.mjs';

let livekit;
let server;
let folder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'echosphere-room-'));
  livekit = await LiveKit.start();
  server = await EchoSphere.start(livekit.env);
});

after(async () => {
  await server?.stop();
  await livekit?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

const get = (id, of = server) => of.get(`/v1/recordings/${id}`);
const status = (id, wanted, seconds = 30, of = server) => until(`status ${wanted}`, async () => {
  const recording = await get(id, of);
  return recording.status === wanted && recording;
}, seconds);

async function begin(room, more = {}) {
  const { status: code, body } = await server.post('/v1/recordings', { room_name: room, ...more });
  assert.equal(code, 201, JSON.stringify(body));
  return body.id;
}

/** The recording's sound, as an HLS player gets it. */
async function sound(recording) {
  HLS.setOptions({ strictMode: true });
  const multivariant = HLS.parse(await (await fetch(recording.playlist_url)).text());
  const url = new URL(multivariant.variants[0].uri, recording.playlist_url).href;
  const text = await (await fetch(url)).text();
  const playlist = HLS.parse(text);
  const parts = [];
  for (const segment of playlist.segments) {
    const response = await fetch(new URL(segment.uri, url));
    assert.equal(response.status, 200, segment.uri);
    parts.push(Buffer.from(await response.arrayBuffer()));
  }
  const ts = join(folder, `${recording.id}.ts`);
  writeFileSync(ts, Buffer.concat(parts));
  const pcm = join(folder, `${recording.id}.pcm`);
  execFileSync('ffmpeg', ['-v', 'error', '-xerror', '-y', '-i', ts, '-f', 's16le', '-ac', '2', '-ar', '48000', pcm], { stdio: 'pipe' });
  return { playlist, text, pcm, ts };
}

/** Where each time code that was sent lies in the replay. */
function codes(recording, pcm, said, agents = []) {
  const zero = new Date(recording.started_at).getTime() / 1000;
  const input = said.map((line) => JSON.stringify(line)).join('\n');
  const output = execFileSync(python, ['codes.py', pcm, String(zero), agents.join(',')], { cwd: join(root, 'web/e2e/room'), input, encoding: 'utf8', maxBuffer: 1 << 26 });
  return output.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

/** Whether a code was sent whole: not while its track was still connecting, and not cut off by leaving. */
function isWhole(code, said) {
  const mine = said.filter((line) => line.identity === code.identity);
  const joined = mine.findLast((line) => line.kind === 'joined' && line.at <= code.sent + 0.1);
  const left = mine.find((line) => line.kind === 'left' && line.at >= (joined?.at ?? 0));
  return joined !== undefined && code.sent > joined.at + 0.7 && (!left || code.sent + 0.4 < left.at);
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

/** Checks that every code is where it was sent, but for one constant a speaker; returns the constants. */
function assertInPlace(found, expected) {
  const constants = {};
  for (const identity of new Set(found.map((code) => code.identity))) {
    const mine = found.filter((code) => code.identity === identity && expected(code));
    const constant = median(mine.map((code) => code.off_ms));
    constants[identity] = constant;
    assert.ok(Math.abs(constant) <= 150, `${identity}: ${constant} ms`);
    if (process.env.E2E_CODES) console.log(`# ${identity}: ${mine.map((code) => `${code.second}:${code.off_ms}/${code.score}`).join(' ')}`);
    for (const code of mine) {
      assert.ok(code.score > 0.4, `${identity} second ${code.second} is missing: ${JSON.stringify(code)}`);
      assert.ok(Math.abs(code.off_ms - constant) <= 20, `${identity} second ${code.second} lies ${code.off_ms} ms off, the others ${constant}`);
    }
  }
  return constants;
}

test('two people and a late one: every time code is where it was sent', async () => {
  const plan = {
    room: 'codes', seconds: 60, start: Date.now() / 1000 + 2, people: [
      { identity: 'agent', number: 0, agent: true },
      { identity: 'bob', number: 1, mute: [12.5, 17.5], leave: 30.5, back: 36 },
      { identity: 'carol', number: 2, join: 20, offset: 0.5 },
    ],
  };
  const people = speakers(livekit, plan);
  const id = await begin('codes', { session_id: 'call-1', labels: { team: 'e2e' } });
  await status(id, 'ACTIVE');
  const { body: again, status: code } = await server.post('/v1/recordings', { room_name: 'codes' });
  assert.deepEqual([code, again.recording_id], [409, id]);
  await people.ended;
  const recording = await status(id, 'COMPLETED', 40);
  assert.deepEqual([recording.room_name, recording.session_id, recording.labels.team], ['codes', 'call-1', 'e2e']);
  assert.deepEqual(recording.participants.map((person) => person.identity).sort(), ['agent', 'bob', 'carol']);
  const { playlist, pcm } = await sound(recording);
  assert.ok(playlist.endlist && playlist.segments.length >= 15, `${playlist.segments.length} segments`);
  const found = codes(recording, pcm, people.said(), ['agent']);
  const seconds = (event, who) => people.said().filter((line) => line.kind === event && line.identity === who).map((line) => line.at - plan.start);
  const [muted] = seconds('mute', 'bob');
  const [unmuted] = seconds('unmute', 'bob');
  const silent = (c) => c.identity === 'bob' && c.second + 0.4 > muted && c.second - 0.2 < unmuted;
  const constants = assertInPlace(found, (c) => !silent(c) && isWhole(c, people.said()));
  for (const code of found.filter(silent).filter((c) => c.second > muted + 0.2 && c.second + 0.5 < unmuted)) assert.ok(code.score < 0.3, JSON.stringify(code));
  // Carol's chirps are too much like the agent's to tell them apart.
  for (const code of found.filter((c) => c.identity === 'agent' && c.second < 20)) assert.ok(code.other < 0.5, `the agent is on the other side too: ${JSON.stringify(code)}`);
  console.log(`# constants: ${JSON.stringify(constants)} ms; ${found.length} codes`);
});

/** The gaps of a recording, in seconds. */
const gaps = (recording) => recording.gaps.map((gap) => [gap.reason, gap.start_ms / 1000, gap.duration_ms / 1000]);

test('text streams become turns, live and afterwards', async () => {
  const attributes = (segment, final) => ({ 'lk.segment_id': segment, 'lk.transcription_final': String(final) });
  const plan = {
    room: 'words', seconds: 14, start: Date.now() / 1000 + 2, people: [
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
  const id = await begin('words');
  const live = await until('live turns', async () => {
    const { turns } = await server.get(`/v1/recordings/${id}/transcript`);
    return turns.length >= 3 && turns[2].text.endsWith('link') && turns;
  }, 20);
  assert.equal((await get(id)).status, 'ACTIVE');
  await people.ended;
  await livekit.api('DeleteRoom', { room: 'words' });
  const recording = await status(id, 'COMPLETED');
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

test('the last words before a stop and before DeleteRoom are there, and a pause leaves nothing', async () => {
  const plan = { room: 'ends', seconds: 40, start: Date.now() / 1000 + 1, people: [{ identity: 'bob', number: 1 }] };
  const people = speakers(livekit, plan);
  const id = await begin('ends');
  await status(id, 'ACTIVE');
  await until('five seconds', () => Date.now() / 1000 > plan.start + 6.9);
  const paused = Date.now() / 1000;
  assert.equal((await server.post(`/v1/recordings/${id}/pause`)).status, 200);
  await sleep(6000);
  const resumed = Date.now() / 1000;
  assert.equal((await server.post(`/v1/recordings/${id}/resume`)).status, 200);
  await sleep(5000);
  const stopped = Date.now() / 1000;
  const { body } = await server.post(`/v1/recordings/${id}/stop`);
  const took = Date.now() / 1000 - stopped;
  assert.equal(body.status, 'COMPLETED');
  const { pcm } = await sound(body);
  const said = people.said().filter((line) => line.kind === 'code' && line.sent < stopped);
  const found = codes(body, pcm, said);
  const inside = (code) => code.sent > paused - 0.1 && code.sent + 0.3 < resumed + 0.1;
  assert.ok(found.filter(inside).length >= 5);
  for (const code of found.filter(inside)) assert.ok(code.score < 0.3, `a paused code is heard: ${JSON.stringify(code)}`);
  const clear = (code) => (code.sent + 0.3 < paused - 0.05 || code.sent > resumed + 0.1) && isWhole(code, people.said()) && code.sent + 0.35 < stopped;
  const constants = assertInPlace(found, clear);
  const [[reason, from, length]] = gaps(body);
  assert.equal(reason, 'paused');
  assert.ok(Math.abs(length - (resumed - paused)) < 0.1 && Math.abs(from - (paused - new Date(body.started_at).getTime() / 1000)) < 0.1, `${from} ${length}`);
  const end = new Date(body.started_at).getTime() / 1000 + body.duration_ms / 1000;
  assert.ok(end > stopped - 0.1 && end < stopped + 0.5, `the recording ends ${end - stopped} s after the stop`);
  console.log(`# stop to COMPLETED: ${Math.round(took * 1000)} ms; constants ${JSON.stringify(constants)}`);

  // The same room again: a second recording, ended by the room itself.
  const second = await begin('ends');
  await status(second, 'ACTIVE');
  await sleep(4000);
  await livekit.api('DeleteRoom', { room: 'ends' });
  const deleted = Date.now() / 1000;
  const recording = await status(second, 'COMPLETED');
  const last = new Date(recording.started_at).getTime() / 1000 + recording.duration_ms / 1000;
  assert.ok(deleted - last < 0.3, `the last ${deleted - last} s are missing`);
  await people.stop();
});

test('a room that nobody enters leaves neither a recording nor a room', async () => {
  const quick = await EchoSphere.start({ ...livekit.env, ECHOSPHERE_RECORDER_WAIT_FOR_PEOPLE: '2s' });
  try {
    const { body } = await quick.post('/v1/recordings', { room_name: 'nobody' });
    await until('the recording to go', async () => (await fetch(`${quick.url}/v1/recordings/${body.id}`)).status === 410, 20);
    assert.deepEqual((await quick.get('/v1/recordings')).items, []);
    await until('the room to go', async () => {
      const { rooms } = await livekit.api('ListRooms', {});
      return !(rooms ?? []).some((room) => room.name === 'nobody' && room.num_participants > 0);
    });
  } finally { await quick.stop(); }
});

test('rooms are recorded without being asked, and the room says that it is', async () => {
  const auto = await EchoSphere.start({ ...livekit.env, ECHOSPHERE_RECORDER_AUTO_RECORD: 'support-*', ECHOSPHERE_RECORDER_POLL_EVERY: '500ms' });
  try {
    const people = [speakers(livekit, { room: 'support-1', seconds: 8, people: [{ identity: 'bob', number: 1, video: true, red: true, dtx: true }] }),
      speakers(livekit, { room: 'private', seconds: 8, people: [{ identity: 'eve', number: 2 }] })];
    const recording = await until('a recording', async () => (await auto.get('/v1/recordings')).items.find((item) => item.status === 'ACTIVE'), 20);
    assert.equal(recording.room_name, 'support-1');
    const { rooms } = await livekit.api('ListRooms', {});
    assert.equal(rooms.find((room) => room.name === 'support-1').active_recording, true);
    await Promise.all(people.map((person) => person.ended));
    await livekit.api('DeleteRoom', { room: 'support-1' });
    const done = await status(recording.id, 'COMPLETED', 60, auto);
    const { pcm } = await sound(done);
    const zero = new Date(done.started_at).getTime() / 1000;
    const found = codes(done, pcm, people[0].said().filter((line) => line.kind === 'code' && line.sent > zero + 1));
    assertInPlace(found, (code) => isWhole(code, people[0].said()));
    assert.equal((await auto.get('/v1/recordings')).items.length, 1);
  } finally { await auto.stop(); }
});

test('kill -9 in the middle of a call: the next process goes on', async () => {
  const plan = { room: 'kills', seconds: 45, start: Date.now() / 1000 + 1, people: [{ identity: 'bob', number: 1 }, { identity: 'helper', number: 0, agent: true }] };
  const people = speakers(livekit, plan);
  const id = await begin('kills');
  await status(id, 'ACTIVE');
  const down = [];
  for (let n = 0; n < 4; n += 1) {
    await sleep(6000);
    const from = Date.now() / 1000;
    await server.kill();
    await sleep(500);
    await server.restart(livekit.env);
    const recording = await get(id);
    assert.equal(recording.status, 'ACTIVE', JSON.stringify(recording));
    down.push([from, Date.now() / 1000]);
  }
  await people.ended;
  await livekit.api('DeleteRoom', { room: 'kills' });
  const recording = await status(id, 'COMPLETED');
  const { pcm, playlist } = await sound(recording);
  assert.equal(playlist.segments.filter((segment) => segment.discontinuity).length, 4);
  assert.deepEqual([...new Set(gaps(recording).map(([reason]) => reason))], ['recorder_restarted']);
  assert.equal((await server.get('/v1/recordings?room_name=kills')).items.length, 1);
  const found = codes(recording, pcm, people.said().filter((line) => line.sent > new Date(recording.started_at).getTime() / 1000 + 1), ['helper']);
  // At most a second is lost before each kill, and a second after the restart until the room is joined again.
  const lost = (code) => down.some(([from, to]) => code.sent + 0.3 > from - 1 && code.sent < to + 1);
  assertInPlace(found, (code) => !lost(code) && isWhole(code, people.said()));
  const missing = gaps(recording).map(([, , length], n) => length - (down[n][1] - down[n][0]));
  console.log(`# lost beside the time that it was down: ${missing.map((s) => s.toFixed(2)).join(', ')} s`);
  for (const seconds of missing) assert.ok(seconds < 1.5, `${seconds}`);
});

test('the page plays a call while it goes on, rewinds, and has the whole of it in the end without a reload', async () => {
  const attributes = { 'lk.segment_id': 'SG_1', 'lk.transcription_final': 'true' };
  const plan = { room: 'live', seconds: 60, start: Date.now() / 1000 + 1, people: [
    { identity: 'bob', number: 1, texts: [{ at: 8, topic: 'lk.transcription', text: 'Is this live?', attributes }] },
    { identity: 'helper', number: 0, agent: true },
  ] };
  const people = speakers(livekit, plan);
  const id = await begin('live');
  const open = await browser();
  try {
    const { page, wrong } = await watchedPage(open, { width: 1280, height: 800 });
    await page.goto(`${server.url}/recordings/${id}`);
    await page.waitForSelector('[data-testid=play]', { timeout: 20_000 });
    await page.evaluate(() => { window.sameDocument = true; });
    await page.click('[data-testid=play]');
    await until('sound', () => page.evaluate(() => performance.getEntriesByName('echosphere:first-audio').length), 15);
    const zero = new Date((await get(id)).started_at).getTime();
    const position = () => page.evaluate(() => document.querySelector('echosphere-player').audio.currentTime);
    const behind = async () => (Date.now() - zero) / 1000 - await position();
    const measured = [];
    await sleep(1000);
    for (let n = 0; n < 80; n += 1) { measured.push(await behind()); await sleep(250); }
    measured.sort((a, b) => a - b);
    const p95 = measured[Math.floor(measured.length * 0.95)];
    console.log(`# behind what is spoken: median ${median(measured).toFixed(2)} s, p95 ${p95.toFixed(2)} s`);
    // The figure is in docs/benchmarks.md; here only that it is live at all.
    assert.ok(p95 <= 15, `${p95} s`);
    assert.match(await page.textContent('[data-testid=transcript]'), /Is this live\?/);
    assert.equal(await page.textContent('[data-testid=status]'), 'Live');
    await shot(page, 'live-1280');
    await page.setViewportSize({ width: 360, height: 740 });
    await shot(page, 'live-360');
    await page.evaluate(() => { document.querySelector('echosphere-player').seek(0); });
    await until('the beginning', async () => { const at = await position(); return at > 0.3 && at < 6; }, 10);
    await page.click('[data-testid=live]');
    await until('now', async () => await behind() < 9, 10);
    await people.ended;
    await livekit.api('DeleteRoom', { room: 'live' });
    await until('the end', async () => await page.textContent('[data-testid=status]') === 'Ready', 30);
    assert.equal(await page.evaluate(() => window.sameDocument), true);
    const { duration_ms: length } = await get(id);
    await until('the whole length', async () => Math.abs(await page.evaluate(() => document.querySelector('echosphere-player').audio.duration) - length / 1000) < 0.5, 15);
    assert.deepEqual(wrong, []);
    await shot(page, 'live-ended-360');
  } finally {
    await open.close();
    await people.stop();
  }
});

/** A proxy for TCP that can be cut: every connection is reset, and new ones are refused for a while. */
async function cuttable(target) {
  const sockets = new Set();
  let downUntil = 0;
  const proxy = createServer((near) => {
    if (Date.now() < downUntil) { near.destroy(); return; }
    const far = connect(target, '127.0.0.1');
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.on('data', (data) => to.write(data));
      from.on('close', () => { sockets.delete(from); to.destroy(); });
      from.on('error', () => to.destroy());
    }
  });
  await new Promise((resolve) => { proxy.listen(0, '127.0.0.1', resolve); });
  return {
    url: `ws://127.0.0.1:${proxy.address().port}`,
    cut: (ms) => { downUntil = Date.now() + ms; for (const socket of sockets) socket.resetAndDestroy(); },
    close: () => { for (const socket of sockets) socket.destroy(); proxy.close(); },
  };
}

test('a signalling socket that is cut costs no sound; without UDP media come over TCP', async () => {
  const proxy = await cuttable(livekit.port);
  const cut = await EchoSphere.start({ ...livekit.env, LIVEKIT_URL: proxy.url });
  const tcp = await EchoSphere.start({ ...livekit.env, ECHOSPHERE_RECORDER_TCP_ONLY: 'true' });
  try {
    const plan = { room: 'cut', seconds: 30, start: Date.now() / 1000 + 1, people: [{ identity: 'bob', number: 1 }] };
    const people = speakers(livekit, plan);
    const ids = await Promise.all([cut, tcp].map(async (one) => (await one.post('/v1/recordings', { room_name: 'cut' })).body.id));
    await sleep(9000);
    proxy.cut(0);
    await sleep(6000);
    proxy.cut(2000);
    await people.ended;
    await livekit.api('DeleteRoom', { room: 'cut' });
    for (const [one, id] of [[cut, ids[0]], [tcp, ids[1]]]) {
      const done = await status(id, 'COMPLETED', 60, one);
      assert.deepEqual(done.gaps, []);
      const { pcm } = await sound(done);
      const zero = new Date(done.started_at).getTime() / 1000;
      const found = codes(done, pcm, people.said().filter((line) => line.kind === 'code' && line.sent > zero + 0.5));
      const constants = assertInPlace(found, (code) => isWhole(code, people.said()));
      console.log(`# ${one === cut ? 'cut twice' : 'TCP only'}: ${JSON.stringify(constants)} ms`);
    }
  } finally {
    await cut.stop();
    await tcp.stop();
    proxy.close();
  }
});

test('a LiveKit server that is killed and comes back: one recording ends, or goes on, and is never stuck', async () => {
  const other = await LiveKit.start();
  const mine = await EchoSphere.start({ ...other.env, ECHOSPHERE_RECORDER_GIVE_UP_AFTER: '6s' });
  try {
    const people = speakers(other, { room: 'crash', seconds: 8, people: [{ identity: 'bob', number: 1 }] });
    const { body } = await mine.post('/v1/recordings', { room_name: 'crash' });
    await until('sound', async () => (await mine.get(`/v1/recordings/${body.id}`)).duration_ms > 3000, 30);
    await other.process.stop();
    await sleep(1000);
    await other.run();
    const done = await status(body.id, 'COMPLETED', 40, mine);
    assert.ok(done.duration_ms > 4000, `${done.duration_ms}`);
    await people.stop();
  } finally {
    await mine.stop();
    await other.stop();
  }
});
