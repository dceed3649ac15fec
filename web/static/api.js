// Client of EchoSphere's HTTP interface: requests, the types of the answers, and the server's clock.

import { linked, signInPath, signature } from './link.js';

/** @typedef {{start_ms: number, duration_ms: number, reason: string}} Gap */
/** @typedef {{id: string, participant: string, kind: string, source: string, started_at: string, duration_ms: number, url: string}} Track */
/** @typedef {{attempt: number, source: string, status: string, started_at: string|null, ended_at: string|null, error: string|null, job_id: string|null}} Capture */
/** @typedef {{id: string, session_id: string|null, agent_name: string|null, status: string, started_at: string|null, duration_ms: number}} SameRoom */
/**
 * @typedef {object} Recording
 * @property {string} id
 * @property {string|null} session_id
 * @property {string|null} room_name
 * @property {'STARTING'|'ACTIVE'|'PROCESSING'|'COMPLETED'|'FAILED'} status
 * @property {string|null} reason
 * @property {boolean} partial
 * @property {Gap[]} gaps
 * @property {string} created_at
 * @property {string|null} started_at
 * @property {string|null} ended_at
 * @property {number} duration_ms
 * @property {Capture[]} captures
 * @property {SameRoom[]} same_room
 * @property {Track[]} tracks
 * @property {string|null} agent_name
 * @property {string[]} tags
 * @property {boolean} simulated
 * @property {string} deletion
 * @property {number} revision
 * @property {string|null} playlist_url
 */
/** @typedef {{call_id: string, name: string, arguments: string|null, output: string|null, is_error: boolean|null}} Call */
/**
 * @typedef {object} Turn
 * @property {string} id
 * @property {'message'|'tool_call'|'tool_result'|'handoff'|'config'|'marker'} kind
 * @property {'user'|'agent'|'system'} role
 * @property {string|null} speaker
 * @property {string} text
 * @property {string} [source_text]
 * @property {number|null} start_ms
 * @property {number|null} end_ms
 * @property {string|null} started_at
 * @property {boolean} approximate
 * @property {boolean} interrupted
 * @property {boolean} typed
 * @property {number|null} confidence
 * @property {Record<string, unknown>} metrics
 * @property {Call|null} call
 * @property {boolean} earlier
 */
/** @typedef {{method: string, offset_ms: number, confidence: number}} Alignment */
/** @typedef {{recording_id: string, alignment: Alignment, turns: Turn[]}} Transcript */
/** @typedef {{samples_per_pixel: number, sample_rate: number, length: number, data: number[]}} Waveform */

/** A request that failed: with the problem details of the answer (RFC 9457), or with status 0 when there was none. */
export class ApiError extends Error {
  /** @param {number} status @param {string} title @param {string} detail */
  constructor(status, title, detail) {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.detail = detail;
  }
}

/** By how much the server's clock is ahead of this one, in milliseconds. */
let ahead = 0;

/** @param {Response} response Its Date has whole seconds, so a clock that is off by up to a second counts as right. */
function compareClocks(response) {
  const off = Date.parse(response.headers.get('date') ?? '') + 500 - Date.now();
  if (!Number.isNaN(off)) ahead = Math.abs(off) > 1000 ? off : 0;
}

/** The time by the server's clock, in Unix milliseconds. */
export function serverNow() {
  return Date.now() + ahead;
}

/** @param {string} path @returns {Promise<{status: number, body: any}>} */
export async function get(path) {
  let response;
  try {
    response = await fetch(linked(path), { headers: { accept: 'application/json' } });
  } catch {
    throw new ApiError(0, 'The server does not answer', 'Check that EchoSphere is running and reload the page.');
  }
  compareClocks(response);
  const body = await response.json().catch(() => null);
  if (response.status === 401 && signature === null) {
    // The browser is no longer signed in: it signs in, and returns to this page.
    location.assign(signInPath());
  }
  if (!response.ok) {
    throw new ApiError(response.status, body?.title ?? response.statusText, body?.detail ?? '');
  }
  return { status: response.status, body };
}

/** @param {string} id @returns {Promise<Recording>} */
export async function recording(id) {
  return (await get(`/v1/recordings/${id}`)).body;
}

/** @param {string} id @returns {Promise<Transcript>} */
export async function transcript(id) {
  return (await get(`/v1/recordings/${id}/transcript`)).body;
}

/**
 * @param {string} id @param {number} pixels
 * @returns {Promise<{waveform: Waveform|null, progress: number}>} the waveform is null while it is still being made
 */
export async function waveform(id, pixels) {
  const { status, body } = await get(`/v1/recordings/${id}/waveform?pixels=${pixels}`);
  return status === 202 ? { waveform: null, progress: body.progress } : { waveform: body, progress: 1 };
}
