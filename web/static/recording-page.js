// The page `/recordings/{id}`: shows one recording, and keeps it up to date.

import { ApiError, recording, serverNow, transcript } from './api.js';
import { badges } from './badges.js';
import { element, foreign, renew } from './dom.js';
import { listen } from './events.js';
import { clock, dateTime } from './format.js';
import { linkExpiry, signInPath, signature } from './link.js';
import './player.js';
import { title } from './title.js';

const REFRESH = 2000;
const page = /** @type {HTMLElement} */ (document.getElementById('page'));
const id = location.pathname.split('/').filter(Boolean).at(-1) ?? '';

/** @typedef {import('./api.js').Recording} Recording */

/** @type {Record<string, string>} */
const WHY = {
  no_audio: 'Audio was not recorded: the agent was asked for the transcript only.',
  audio_missing: 'The audio did not arrive. If the agent sends it again, it will appear here.',
  audio_unreadable: 'Audio arrived but cannot be read. The upload is kept.',
  encrypted: 'The room is end-to-end encrypted. It cannot be recorded without its key.',
  connection_lost: 'LiveKit could not be reached, or refused EchoSphere, before anything was heard.',
  nobody_came: 'Nobody came into the room.',
};

/** @param {Recording} about */
function heading(about) {
  const name = title(about);
  document.title = `${name} · EchoSphere`;
  const facts = [
    dateTime(about.started_at),
    about.duration_ms > 0 ? clock(about.duration_ms) : null,
    about.agent_name ? foreign(`agent ${about.agent_name}`) : null,
    ...about.tags.map((tag) => foreign(`#${tag}`)),
  ].filter((fact) => fact !== null);
  return element('div', { class: 'heading' },
    // A reader who came by a link may see this recording, but no list.
    signature === null ? element('a', { class: 'quiet back', href: '/' }, '← All recordings') : null,
    element('h1', {}, foreign(name), ' ', element('span', { class: 'row-badges' }, ...badges(about))),
    element('p', { class: 'quiet' }, ...facts.flatMap((fact, n) => (n === 0 ? [fact] : [' · ', fact]))),
    sameRoom(about));
}

/** @param {Recording} about @returns {HTMLElement | null} the other recordings of its room */
function sameRoom(about) {
  if (about.same_room.length === 0) return null;
  const link = (/** @type {import('./api.js').SameRoom} */ other) => {
    const facts = [
      other.started_at ? dateTime(other.started_at) : null,
      other.duration_ms > 0 ? clock(other.duration_ms) : null,
      other.agent_name ? `agent ${other.agent_name}` : null,
      other.session_id,
    ].filter((fact) => fact !== null);
    return element('li', {}, element('a', { href: `/recordings/${other.id}` }, foreign(facts.join(' · ') || other.id)));
  };
  return element('nav', { class: 'same-room', 'aria-label': 'Same room', 'data-testid': 'same-room' },
    element('span', { class: 'quiet' }, 'Same room:'), element('ul', {}, ...about.same_room.map(link)));
}

/** @param {Recording} about @returns {HTMLElement | null} what the listener should know before listening */
function notice(about) {
  if (about.status === 'FAILED') return note('bad', WHY[about.reason ?? ''] ?? 'There is nothing to play.', about);
  if (about.reason) return note('', WHY[about.reason] ?? about.reason, about);
  if (about.status === 'STARTING') return note('', 'EchoSphere is in the room and waits for somebody to speak.', about);
  if (about.status === 'ACTIVE') return null;
  if (about.status !== 'COMPLETED') return note('', 'The session is being made ready; the page goes on by itself.', about);
  if (about.partial) return note('warn', 'Something of this session is missing. The waveform shows where.', about);
  return null;
}

/** @param {string} tone @param {string} text @param {Recording} about */
function note(tone, text, about) {
  const errors = about.captures.map((capture) => capture.error).filter((error) => error !== null);
  return element('p', { class: `card ${tone}`, role: 'status', 'data-testid': 'notice' }, text,
    errors.length > 0 ? element('small', { class: 'quiet' }, ` (${errors.join('; ')})`) : null);
}

/** @param {unknown} error */
function failure(error) {
  if (signature !== null && error instanceof ApiError && error.status === 403) return expired();
  const known = error instanceof ApiError ? error : new ApiError(0, 'Something went wrong', String(error));
  return element('section', { class: 'card bad', role: 'alert' },
    element('h1', {}, known.title), element('p', {}, known.detail), element('p', {}, element('a', { href: '/' }, 'All recordings')));
}

/** What a page shows whose link has expired or is not valid. */
function expired() {
  const hasExpired = serverNow() >= linkExpiry();
  const title = hasExpired ? 'This link has expired' : 'This link is not valid';
  document.title = `${title} · EchoSphere`;
  return element('section', { class: 'card bad', role: 'alert', 'data-testid': 'expired' },
    element('h1', {}, title),
    element('p', {}, 'Ask whoever sent it for a new one, or ', element('a', { href: signInPath() }, 'sign in'), ' to go on.'));
}

/** Ends the page when its link expires. */
function endWithLink() {
  const left = linkExpiry() - serverNow();
  if (left > 0) {
    // A timer's delay has 31 bits.
    if (left < Infinity) setTimeout(endWithLink, Math.min(left, 2 ** 31 - 1));
    return;
  }
  ended = true;
  player?.audio.pause();
  page.replaceChildren(expired());
}

let ended = false;

/** @type {import('./player.js').Player | null} */
let player = null;
/** @type {Recording | null} */
let shown = null;

/** @type {import('./api.js').Transcript | null} The transcript as the events have it; null while it has to be fetched. */
let received = null;

function words() {
  return received ? Promise.resolve(received) : transcript(id);
}

/** @param {Recording} about */
function show(about) {
  player = /** @type {import('./player.js').Player} */ (document.createElement('echosphere-player'));
  page.replaceChildren(...[heading(about), notice(about), player].filter((part) => part !== null));
  player.open(about, words());
}

/** @param {Recording} about The call goes on, or has ended: the page is updated without disturbing the sound. */
function goOn(about) {
  const head = page.querySelector('.heading');
  if (head) renew(head, ...heading(about).childNodes);
  const before = page.querySelector('[data-testid=notice]');
  const said = notice(about);
  // An unchanged notice is not replaced: a screen reader would read it out each time.
  if (!before || !said?.isEqualNode(before)) {
    before?.remove();
    if (said) head?.after(said);
  }
  player?.update(about, words());
}

/** @param {Recording} about Whether a listener can keep the player that they have. */
function isSameSound(about) {
  return (shown?.status === 'ACTIVE' || shown?.status === 'PROCESSING') && about.status !== 'FAILED'
    && shown.playlist_url !== null && about.playlist_url !== null;
}

/** @param {Recording} about Whether there is something new to show. */
function isNews(about) {
  return shown?.status !== about.status || shown.revision !== about.revision || (shown.playlist_url === null) !== (about.playlist_url === null);
}

/** @param {Recording} about */
function take(about) {
  if (ended) return;
  if (isSameSound(about)) goOn(about);
  else if (isNews(about)) show(about);
  shown = about;
}

async function refresh() {
  take(await recording(id));
}

function isOver() {
  return ended || shown?.status === 'COMPLETED' || shown?.status === 'FAILED';
}

/** Polls until the recording has ended; a server that does not answer for a while is waited for. */
async function watch() {
  if (isOver()) return;
  await refresh().catch(() => {});
  setTimeout(() => void watch(), REFRESH);
}

/** Listens to the events; polls if that does not work. */
function follow() {
  if (isOver()) return;
  listen(id, {
    status: take,
    turns: (transcript) => { received = transcript; if (shown) goOn(shown); },
    segment: ({ duration_ms }) => { if (shown) take({ ...shown, duration_ms }); },
    failed: () => { received = null; setTimeout(() => void watch(), REFRESH); },
  });
}

refresh().then(() => { endWithLink(); follow(); }, (error) => page.replaceChildren(failure(error)));
