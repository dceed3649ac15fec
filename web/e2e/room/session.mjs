// A session upload as the agents SDK makes it, of a call that speakers.py held: same parts, same sound format.

import assert from 'node:assert/strict';
import { join } from 'node:path';

import { python, root, token } from '../harness.mjs';
import { run } from './recordings.mjs';

function varint(value) {
  const bytes = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    if (rest < 128n) return Buffer.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 127n) | 128);
  }
}

const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, content) => Buffer.concat([varint((field << 3) | 2), varint(content.length), content]);
const text = (field, content) => bytes(field, Buffer.from(content));

/** livekit.MetricsRecordingHeader (livekit_metrics.proto). */
function header({ roomSid, jobId, zero, seconds }) {
  const start = Buffer.concat([number(1, Math.floor(zero)), number(2, Math.round((zero % 1) * 1e9))]);
  const summary = { job_id: jobId, room_id: roomSid, sdk_version: '1.8.9' };
  return Buffer.concat([text(1, roomSid), number(3, Math.round(seconds * 1000)), bytes(4, start), text(8, jobId), text(11, JSON.stringify(summary))]);
}

/** Sends what an agent would send of a call; returns its sound. `from` and `to`: when it recorded; `clock`: by how much its clock is fast; `delays`: how long each identity's sound took to it; `items`: its chat history. */
export async function uploadSession(server, { roomSid, said, from, to, clock, delays, agents, jobId = 'AJ_filling', items = [] }) {
  const seconds = to - from;
  const input = said.map((line) => JSON.stringify(line)).join('\n');
  const pcm = await run(python, ['session.py', String(from), String(seconds), JSON.stringify(delays), agents.join(',')], { input, cwd: join(root, 'web/e2e/room') });
  const ogg = await run('ffmpeg', ['-v', 'error', '-f', 's16le', '-ac', '2', '-ar', '48000', '-i', '-', '-c:a', 'libopus', '-b:a', '128k', '-f', 'ogg', '-'], { input: pcm });
  const form = new FormData();
  form.append('header', new Blob([header({ roomSid, jobId, zero: from + clock, seconds })], { type: 'application/protobuf' }), 'header.binpb');
  form.append('chat_history', new Blob([JSON.stringify({ items })], { type: 'application/json' }), 'chat_history.json');
  form.append('audio', new Blob([ogg], { type: 'audio/ogg' }), 'recording.ogg');
  const response = await fetch(`${server.url}/observability/recordings/v0`, { method: 'POST', headers: { authorization: `Bearer ${token()}` }, body: form });
  assert.equal(response.status, 200, await response.text());
  return ogg;
}
