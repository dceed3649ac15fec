// Unit tests of the pages' modules that need no browser: formatting, turns, renewal of addresses, playlist requests.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { clock, pretty, spoken } from '../static/format.js';
import { Requests } from '../static/hls-requests.js';
import { Link, Renewal, addresses, expiry, isStale, signedLike } from '../static/renewal.js';
import { activeTurns, neighbour, responseTimes } from '../static/turns.js';

const turn = (id, role, start, end, more = {}) => ({ id, kind: 'message', role, start_ms: start, end_ms: end, typed: false, ...more });

test('times are short and never negative', () => {
  assert.equal(clock(62_958), '1:02');
  assert.equal(clock(3_723_000), '1:02:03');
  assert.equal(clock(-5), '0:00');
  assert.equal(spoken(61_000), '1 minute 1 second');
  assert.equal(pretty('{"a":1}'), '{\n  "a": 1\n}');
  assert.equal(pretty('plain'), 'plain');
});

test('of overlapping turns the one that began last comes last', () => {
  const turns = [turn('a', 'agent', 1000, 5000), turn('b', 'user', 4000, 6000), turn('c', 'user', 4500, 4500, { typed: true })];
  assert.deepEqual(activeTurns(turns, 4500).map((t) => t.id), ['a', 'b']);
  assert.deepEqual(activeTurns(turns, 5000).map((t) => t.id), ['b']);
  assert.deepEqual(activeTurns(turns, 999).map((t) => t.id), []);
  assert.deepEqual(activeTurns([turn('x', 'user', 100, 100)], 200).map((t) => t.id), ['x']);
});

test('stepping goes from turn to turn', () => {
  const turns = [turn('a', 'agent', 1000, 2000), turn('b', 'user', 3000, 4000), turn('c', 'agent', 5000, 6000)];
  assert.equal(neighbour(turns, 3000, 1).id, 'c');
  assert.equal(neighbour(turns, 3200, -1).id, 'a');
  assert.equal(neighbour(turns, 4500, -1).id, 'b');
  assert.equal(neighbour(turns, 0, -1).id, 'a');
  assert.equal(neighbour(turns, 9000, 1), undefined);
});

test('an answer is measured from the end of the question', () => {
  const turns = [turn('g', 'agent', 0, 500), turn('q', 'user', 1000, 2000), turn('r', 'agent', 2900, 4000), turn('s', 'agent', 5000, 6000)];
  assert.deepEqual([...responseTimes(turns)], [['r', 900]]);
});

const signed = (path, seconds = 20) => `http://h/${path}?X-Amz-Date=20261123T120000Z&X-Amz-Expires=${seconds}&X-Amz-Signature=x`;
const noon = Date.UTC(2026, 10, 23, 12);

test('expiry is read from both kinds of signature', () => {
  assert.equal(expiry(signed('a')), noon + 20_000);
  assert.equal(expiry('http://h/a?sig=1795435200.default.mac'), 1_795_435_200_000);
  assert.equal(expiry('/plain'), Infinity);
  assert.equal(isStale(signed('a'), noon + 14_000), false);
  assert.equal(isStale(signed('a'), noon + 16_000), true);
  assert.equal(isStale(signed('a', 3600), noon + 3_580_000), true);
});

test('an expired address is replaced by the one at its place, and asked for once', async () => {
  let now = noon;
  let asked = 0;
  const fresh = ['http://h/b?1', 'http://h/c?1'];
  const renewal = new Renewal(async () => { asked += 1; return fresh; }, () => now);
  renewal.learn([signed('route/0.ts'), signed('route/1.ts')]);
  assert.equal(await renewal.fresh(signed('route/1.ts')), signed('route/1.ts'));
  now += 60_000;
  const both = await Promise.all([renewal.fresh(signed('route/0.ts')), renewal.fresh(signed('route/1.ts'))]);
  assert.deepEqual(both, fresh);
  assert.equal(asked, 1);
  assert.equal(await renewal.fresh('http://h/playlist'), 'http://h/playlist');
});

test('a renewal that fails leaves the old address', async () => {
  const renewal = new Renewal(async () => { throw new Error('down'); }, () => noon + 60_000);
  renewal.learn([signed('0.ts')]);
  assert.equal(await renewal.fresh(signed('0.ts')), signed('0.ts'));
});

const linked = (seconds, more = '') => `http://h/l.m3u8?sig=${noon / 1000 + seconds}.default.mac${more}`;

test('a signature is put in the place of another, and all else stays', () => {
  assert.equal(signedLike(linked(0, '&_HLS_msn=7'), linked(900)), linked(900, '&_HLS_msn=7'));
  assert.equal(signedLike(linked(0), 'http://h/l.m3u8'), linked(0));
});

test('a playlist whose signature ends is asked for with a new one from then on', async () => {
  let now = noon;
  const links = [linked(3600), linked(7200)];
  let asked = 0;
  const link = new Link(async () => { asked += 1; return links.shift(); }, () => now);
  const old = (msn) => linked(900, `&_HLS_msn=${msn}`);
  assert.equal(await link.fresh(old(1)), old(1));
  now += 880_000;
  assert.equal(await link.fresh(old(2)), linked(3600, '&_HLS_msn=2'));
  now += 1_000_000;
  assert.equal(await link.fresh(old(3)), linked(3600, '&_HLS_msn=3'));
  assert.equal(asked, 1);
  // Refused, although it looks valid.
  assert.equal(await link.fresh(old(4), true), linked(7200, '&_HLS_msn=4'));
  assert.equal(asked, 2);
});

test('a playlist whose signature cannot be had anew is asked for as it is', async () => {
  const link = new Link(async () => { throw new Error('down'); }, () => noon + 60_000);
  assert.equal(await link.fresh(linked(0)), linked(0));
});

test('who has paused waits for no segment, and who plays again waits for the next', async () => {
  const audio = Object.assign(new EventTarget(), { paused: true });
  let next = null;
  const requests = new Requests(audio, 'r', () => next);
  requests.pause = 60_000;
  // The first playlist is requested at once.
  assert.equal(await requests.playlist('http://h/l.m3u8?sig=x'), 'http://h/l.m3u8?sig=x');
  requests.pause = 20;
  next = 8;
  const began = Date.now();
  assert.equal(await requests.playlist('http://h/l.m3u8?sig=x&_HLS_msn=8&_HLS_skip=YES'), 'http://h/l.m3u8?sig=x');
  assert.ok(Date.now() - began >= 18);
  assert.equal(requests.isAwaited, false);
  // Played while nothing was being requested.
  audio.paused = false;
  assert.equal(await requests.playlist('http://h/l.m3u8?sig=x'), 'http://h/l.m3u8?sig=x&_HLS_msn=8');
  assert.equal(requests.isAwaited, false);
  audio.paused = true;
  requests.pause = 60_000;
  const asked = requests.playlist('http://h/l.m3u8?sig=x');
  audio.paused = false;
  audio.dispatchEvent(new Event('play'));
  assert.equal(await asked, 'http://h/l.m3u8?sig=x&_HLS_msn=8');
  assert.equal(requests.isAwaited, false);
  assert.equal(await requests.playlist('http://h/l.m3u8?sig=x&_HLS_msn=9'), 'http://h/l.m3u8?sig=x&_HLS_msn=9');
  assert.equal(requests.isAwaited, true);
});

test('a playlist that was refused is asked for with another signature, once', async () => {
  const audio = Object.assign(new EventTarget(), { paused: false });
  const requests = new Requests(audio, 'r', () => 8);
  let asked = 0;
  requests.link = new Link(async () => { asked += 1; return linked(7200); }, () => noon);
  requests.isPlaylistRefused = true;
  assert.equal(await requests.playlist(linked(3600)), linked(7200));
  assert.equal(await requests.playlist(linked(3600)), linked(7200));
  assert.equal(asked, 1);
});

test('addresses of a playlist are absolute and in order', () => {
  assert.deepEqual(addresses('#EXTM3U\n#EXTINF:4,\na.ts?x\n\n#EXTINF:4,\nhttp://o/b.ts\n', 'http://h/p/l.m3u8'), ['http://h/p/a.ts?x', 'http://o/b.ts']);
});

test('hls.js is what its package ships', () => {
  const folder = new URL('../static/vendor/hls.js/', import.meta.url);
  const sums = readFileSync(new URL('SHA256SUMS', folder), 'utf8').trim().split('\n').map((line) => line.split(/\s+/));
  const shipped = { 'hls.light.min.mjs': 'dist/hls.light.min.mjs', LICENSE: 'LICENSE' };
  for (const [sum, name] of sums) {
    const hash = (url) => createHash('sha256').update(readFileSync(url)).digest('hex');
    assert.equal(hash(new URL(name, folder)), sum, name);
    assert.equal(hash(new URL(`../node_modules/hls.js/${shipped[name]}`, import.meta.url)), sum, name);
  }
});
