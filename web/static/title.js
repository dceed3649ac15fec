// The title under which the pages show a recording.

import { dateTime } from './format.js';

/** LiveKit's job ids, which mean nothing to a person. */
const JOB = /^AJ_\w+$/;

/** @param {import('./api.js').Recording} recording @returns {string} its room, else its session, else its agent and time */
export function title(recording) {
  const session = JOB.test(recording.session_id ?? '') ? null : recording.session_id;
  return recording.room_name || session || `${recording.agent_name || 'Session'} · ${dateTime(recording.started_at ?? recording.created_at)}`;
}
