// Badges that show the state of a recording, each in a word or two.

import { element } from './dom.js';

/** @type {Record<string, [string, string]>} */
const WORDS = {
  STARTING: ['Starting', 'busy'],
  ACTIVE: ['Live', 'live'],
  PROCESSING: ['Processing', 'busy'],
  COMPLETED: ['Ready', 'good'],
  FAILED: ['Failed', 'bad'],
};

/** @param {import('./api.js').Recording} recording @returns {HTMLElement[]} */
export function badges(recording) {
  const [word, tone] = WORDS[recording.status] ?? [recording.status, 'busy'];
  const list = [element('span', { class: `badge ${tone}`, 'data-testid': 'status' }, word)];
  if (recording.partial) list.push(element('span', { class: 'badge warn', title: 'Something of the session is missing' }, 'Partial'));
  if (recording.simulated) list.push(element('span', { class: 'badge', title: 'The session says of itself that it was a test, and not a call' }, 'Simulated'));
  if (recording.reason === 'no_audio') list.push(element('span', { class: 'badge' }, 'Transcript only'));
  if (recording.deletion === 'pending') list.push(element('span', { class: 'badge bad' }, 'Being deleted'));
  return list;
}
