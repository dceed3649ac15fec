// Listens to what happens to a recording, as it happens (server-sent events).

import { linked } from './link.js';

/** @typedef {import('./api.js').Recording} Recording */
/** @typedef {import('./api.js').Transcript} Transcript */
/** @typedef {import('./api.js').Turn} Turn */

/**
 * @typedef {object} Listener
 * @property {(recording: Recording) => void} status
 * @property {(transcript: Transcript) => void} turns
 * @property {(length: {segments: number, duration_ms: number}) => void} segment
 * @property {() => void} failed Events do not work (any more): poll instead.
 */

/** @param {Turn} turn */
const order = (turn) => (turn.started_at === null ? Infinity : Date.parse(turn.started_at));

/** @param {string} id @param {Listener} listener */
export function listen(id, listener) {
  if (typeof EventSource === 'undefined') { listener.failed(); return; }
  const source = new EventSource(linked(`/v1/recordings/${id}/events`));
  /** @type {Transcript | null} */
  let transcript = null;
  /** @param {string} name @param {(data: any) => void} take */
  const on = (name, take) => source.addEventListener(name, (event) => take(JSON.parse(/** @type {MessageEvent} */ (event).data)));
  on('status', (about) => listener.status(about));
  on('segment', (length) => listener.segment(length));
  on('turns', (all) => { transcript = all; listener.turns(all); });
  on('turn', (turn) => {
    if (!transcript) return;
    const others = transcript.turns.filter((known) => known.id !== turn.id);
    transcript = { ...transcript, turns: [...others, turn].sort((a, b) => order(a) - order(b)) };
    listener.turns(transcript);
  });
  on('end', () => source.close());
  source.addEventListener('error', () => {
    // The browser reconnects when the connection breaks, but not when it is refused, or when there is nothing more to come.
    if (source.readyState === EventSource.CLOSED) listener.failed();
  });
}
