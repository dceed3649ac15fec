// The page `/`: lists all recordings, newest first.

import { ApiError, get } from './api.js';
import { badges } from './badges.js';
import { element, foreign } from './dom.js';
import { clock, dateTime } from './format.js';
import { title } from './title.js';

const REFRESH = 5000;
const PAGE = 50;
const place = /** @type {HTMLElement} */ (document.getElementById('list'));

/** @type {string | null} */
let cursor = null;
/** @type {string[]} cursors of the pages before this one */
let before = [];
let shown = '';

/** @param {import('./api.js').Recording} recording */
function row(recording) {
  const length = recording.duration_ms > 0 ? clock(recording.duration_ms) : '–';
  const started = recording.started_at ?? recording.created_at;
  return element('li', { 'data-testid': 'row' },
    element('a', { class: 'row', href: `/recordings/${recording.id}` },
      foreign(title(recording), { class: 'row-name' }),
      element('span', { class: 'row-badges' }, ...badges(recording)),
      foreign(recording.agent_name ?? '', { class: 'row-agent quiet' }),
      element('time', { class: 'row-time quiet', datetime: started, title: started }, dateTime(started)),
      element('span', { class: 'row-length', 'aria-label': `length ${length}` }, length)));
}

function empty() {
  const url = location.origin;
  return element('section', { class: 'card', 'data-testid': 'empty' },
    element('h2', {}, 'No recordings yet'),
    element('p', {}, 'EchoSphere keeps each session that your LiveKit agent finishes. Point the agent here with one environment variable:'),
    element('pre', {}, `LIVEKIT_OBSERVABILITY_URL=${url}`),
    element('p', {}, 'The agent signs its upload with its own LiveKit key, so this server must know the same pair (LIVEKIT_API_KEY and LIVEKIT_API_SECRET). '
      + 'Sessions are sent when they end, if recording is on: session.start(record=True).'),
    element('p', { class: 'quiet' }, 'Just looking around? “make demo” brings in four recorded sessions.'));
}

/** @param {unknown} error */
function failure(error) {
  const { status, title, detail } = error instanceof ApiError ? error : new ApiError(0, 'Something went wrong', String(error));
  const hint = status === 401 ? 'You are signed in no more.' : detail;
  return element('section', { class: 'card bad', role: 'alert' }, element('h2', {}, title), element('p', {}, hint));
}

/** @param {string | null} next */
function pager(next) {
  const newer = element('button', { type: 'button', disabled: before.length === 0 }, '← Newer');
  const older = element('button', { type: 'button', disabled: next === null }, 'Older →');
  newer.addEventListener('click', () => turnTo(before.pop() || null));
  older.addEventListener('click', () => { before.push(cursor ?? ''); turnTo(next); });
  return before.length === 0 && next === null ? null : element('nav', { class: 'pager', 'aria-label': 'Pages' }, newer, older);
}

/** @param {string | null} to */
function turnTo(to) {
  cursor = to;
  shown = '';
  void load();
}

async function load() {
  try {
    const query = new URLSearchParams({ limit: String(PAGE), ...(cursor ? { cursor } : {}) });
    const { body } = await get(`/v1/recordings?${query}`);
    const text = JSON.stringify(body, (key, value) => (key === 'playlist_url' ? undefined : value));
    if (text === shown) return;
    shown = text;
    const nothing = body.items.length === 0 && cursor === null;
    const list = element('ul', { class: 'rows' }, ...body.items.map(row));
    place.replaceChildren(...(nothing ? [empty()] : [list, pager(body.next_cursor)]).filter((part) => part !== null));
  } catch (error) {
    shown = '';
    place.replaceChildren(failure(error));
  }
  place.setAttribute('aria-busy', 'false');
}

void load();
setInterval(() => { if (document.visibilityState === 'visible' && cursor === null) void load(); }, REFRESH);
