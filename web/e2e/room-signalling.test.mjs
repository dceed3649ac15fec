// The signalling connection, and the way it is made: cut in the middle, and through TLS with a certificate of one's own making.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { EchoSphere, LiveKit, sleep, speakers, start } from './harness.mjs';
import { authority, cuttable, tlsFront } from './room/network.mjs';
import { assertInPlace, begin, codes, folder, gaps, isWhole, lasts, now, reached, sound, zero } from './room/recordings.mjs';

let livekit;

before(async () => { livekit = await LiveKit.start(); });
after(async () => { await livekit?.stop(); });

/** Names another TCP port in the server's candidates; both have five digits, so that no frame changes its length. */
function tcpAt(port, other) {
  assert.equal(`${port}`.length, `${other}`.length);
  const candidates = new RegExp(`( tcp \\d+ \\S+ )${port}( typ host)`, 'gi');
  return (data) => Buffer.from(data.toString('latin1').replaceAll(candidates, `$1${other}$2`), 'latin1');
}

/** What `echosphere doctor` prints with such an environment. */
async function doctor(server, env) {
  const process = start(server.program, ['doctor'], { env: { ...env, ECHOSPHERE_DATA_DIR: folder } });
  await process.ended;
  return process.output();
}

// Rooms of their own, one beside the other.
describe('signalling', { concurrency: true }, () => {
  test('a signalling socket that is cut costs no sound; without UDP media come over TCP', async () => {
    const proxy = await cuttable(livekit.port);
    const cut = await EchoSphere.start({ ...livekit.env, LIVEKIT_URL: proxy.url });
    const tcp = await EchoSphere.start({ ...livekit.env, ECHOSPHERE_RECORDER_TCP_ONLY: 'true' });
    try {
      const plan = { room: 'cut', seconds: 30, start: now() + 1, people: [{ identity: 'bob', number: 1 }] };
      const people = speakers(livekit, plan);
      const ids = await Promise.all([cut, tcp].map(async (one) => (await one.post('/v1/recordings', { room_name: 'cut' })).body.id));
      await sleep(9000);
      proxy.cut(0);
      await sleep(6000);
      proxy.cut(2000);
      await people.ended;
      await livekit.api('DeleteRoom', { room: 'cut' });
      for (const [one, id] of [[cut, ids[0]], [tcp, ids[1]]]) {
        const done = await reached(one, id, 'COMPLETED', 60);
        assert.deepEqual(done.gaps, []);
        const { pcm } = await sound(done);
            const found = await codes(done, pcm, people.said().filter((line) => line.kind === 'code' && line.sent > zero(done) + 0.5));
        const constants = assertInPlace(found, (code) => isWhole(code, people.said()));
        console.log(`# ${one === cut ? 'cut twice' : 'TCP only'}: ${JSON.stringify(constants)} ms`);
      }
    } finally {
      await cut.stop();
      await tcp.stop();
      proxy.close();
    }
  });

  test('over TCP, a signalling socket that is cut and a TCP connection that is cut cost what was told, and no more than a moment', async () => {
    const media = await cuttable(livekit.tcp);
    const mediaPort = Number(new URL(media.url).port);
    const proxy = await cuttable(livekit.port, tcpAt(livekit.tcp, mediaPort));
    const server = await EchoSphere.start({ ...livekit.env, LIVEKIT_URL: proxy.url, ECHOSPHERE_RECORDER_TCP_ONLY: 'true' });
    const people = speakers(livekit, { room: 'tcp-cut', seconds: 48, start: now() + 1, people: [{ identity: 'bob', number: 1 }] });
    try {
      const id = await begin(server, 'tcp-cut');
      await lasts(server, id, 5000, 40);
      const cuts = [];
      // LiveKit restarts ICE each time, and closes the media's TCP connections at that instant.
      for (const cut of [() => proxy.cut(0), () => proxy.cut(2000), () => media.cut(0)]) {
        cuts.push(now());
        cut();
        await sleep(10_000);
      }
      await people.ended;
      await livekit.api('DeleteRoom', { room: 'tcp-cut' });
      const done = await reached(server, id, 'COMPLETED', 60);
      const { pcm } = await sound(done);
      const said = people.said();
      const found = await codes(done, pcm, said.filter((line) => line.kind === 'code' && line.sent > zero(done) + 0.5));
      const told = gaps(done);
      const isTold = (code) => told.some(([, start, length]) => code.sent + 0.5 > zero(done) + start && code.sent < zero(done) + start + length + 0.05);
      const constants = assertInPlace(found, (code) => isWhole(code, said) && !isTold(code));
      console.log(`# over TCP: cut at ${cuts.map((cut) => (cut - zero(done)).toFixed(1)).join(', ')} s; gaps ${JSON.stringify(told)}; ${JSON.stringify(constants)} ms`);
      // Where the old connections were held on to, each cut signalling socket cost about 14 s. The media's own connection is another
      // matter: sound is lost with it.
      const longest = ([, start]) => (start + 1 < cuts.at(-1) - zero(done) ? 3 : 8);
      assert.ok(told.every((gap) => gap[2] < longest(gap)), JSON.stringify(told));
      assert.ok(found.some((code) => code.sent > cuts.at(-1) + 5), 'too little was said after the last cut');
    } finally {
      await people.stop();
      await server.stop();
      for (const one of [proxy, media]) one.close();
    }
  });

  test('everything speaks TLS, with a certificate authority that the configuration names; without it the message says what is wrong', async () => {
    const files = authority(folder);
    const front = await tlsFront(livekit.port, files);
    const at = (scheme) => ({ ...livekit.env, LIVEKIT_URL: `${scheme}://localhost:${front.port}` });
    const trusting = { ECHOSPHERE_LIVEKIT_CA_FILE: files.ca };
    const [wss, https, strange] = await Promise.all([
      EchoSphere.start({ ...at('wss'), ...trusting }), EchoSphere.start({ ...at('https'), ...trusting }), EchoSphere.start(at('wss')),
    ]);
    const people = speakers(livekit, { room: 'tls', seconds: 14, start: now() + 1, people: [{ identity: 'bob', number: 1 }] });
    try {
      assert.match(await doctor(strange, at('wss')), /certificate[^\n]*\n *-> .*livekit\.ca_file/);
      const answer = await strange.post('/v1/recordings', { room_name: 'tls' });
      const failed = await reached(strange, answer.body.id, 'FAILED');
      console.log(`# without the authority: ${failed.reason}; ${failed.captures[0].error}`);
      assert.equal(failed.reason, 'connection_lost');
      assert.match(failed.captures[0].error, /could not be joined.*echosphere doctor/);
      assert.match(strange.process.output(), /a room is over.*certificate/);
      const ids = await Promise.all([wss, https].map((one) => begin(one, 'tls')));
      await people.ended;
      await livekit.api('DeleteRoom', { room: 'tls' });
      for (const [one, id] of [[wss, ids[0]], [https, ids[1]]]) {
        const done = await reached(one, id, 'COMPLETED');
        assert.deepEqual(done.gaps, []);
        const { pcm } = await sound(done);
        const found = await codes(done, pcm, people.said().filter((line) => line.kind === 'code' && line.sent > zero(done) + 0.5));
        const constants = assertInPlace(found, (code) => isWhole(code, people.said()));
        console.log(`# ${one === wss ? 'wss' : 'https'}: ${found.length} codes, ${JSON.stringify(constants)} ms`);
      }
      assert.ok(front.seen.requests.filter((line) => line.startsWith('GET /rtc')).length >= 2, front.seen.requests.join('; '));
      assert.match(await doctor(wss, { ...at('wss'), ...trusting }), /ok +livekit[^]*ok +udp/);
    } finally {
      await Promise.all([wss, https, strange].map((one) => one.stop()));
      await people.stop();
      front.close();
    }
  });
});
