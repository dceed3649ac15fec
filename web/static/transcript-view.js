// The transcript on the page: what was said, in order, scrolling with the sound.

import { element, foreign } from './dom.js';
import { clock, dateTime, pretty, timeOfDay } from './format.js';
import { activeTurns, isSpoken, responseTimes } from './turns.js';

/** @typedef {import('./api.js').Turn} Turn */
/** @typedef {{turn: Turn, shows: string, element: HTMLElement}} Row a turn, its element, and all that the element depends on */

const WHO = { agent: 'Agent', user: 'User', system: 'System' };
const EVENTS = { tool_call: 'Tool call', tool_result: 'Tool result', handoff: 'Handoff', config: 'Agent set-up', marker: 'Event', message: 'Message' };

/** The list of turns. */
export class TranscriptView {
  /** @param {HTMLElement} place @param {(ms: number) => void} seek @param {(following: boolean) => void} onFollow */
  constructor(place, seek, onFollow) {
    this.place = place;
    this.seek = seek;
    this.onFollow = onFollow;
    this.following = true;
    /** @type {Turn[]} */
    this.turns = [];
    /** @type {Row[]} */
    this.rows = [];
    this.active = '';
    /** The position of the sound, in media time (milliseconds). */
    this.ms = 0;
    // Only a reader scrolls by wheel, touch or key; our own scrolling fires none of these.
    for (const event of ['wheel', 'touchmove']) {
      window.addEventListener(event, () => this.follow(false), { passive: true });
    }
    window.addEventListener('keydown', (event) => {
      if (['PageUp', 'PageDown', 'Home', 'End'].includes(event.key)) this.follow(false);
    });
  }

  /** @param {boolean} following */
  follow(following) {
    if (this.following === following) return;
    this.following = following;
    this.onFollow(following);
    if (following) this.reveal();
  }

  /**
   * Shows these turns. An unchanged row keeps its element: it may have the focus, be selected, or be pressed at this moment.
   * @param {Turn[]} turns @param {boolean} hasSound
   */
  set(turns, hasSound) {
    const stored = turns.filter((turn) => turn.earlier);
    turns = turns.filter((turn) => !turn.earlier);
    this.turns = turns;
    const waits = responseTimes(turns);
    const before = new Map(this.rows.map((row) => [row.turn.id, row]));
    const first = stored[0] ? [earlier(stored, before.get(stored[0].id))] : [];
    this.rows = first.concat(turns.map((turn) => {
      const known = before.get(turn.id);
      // Another turn with the same id has a row of its own.
      before.delete(turn.id);
      return this.row(turn, hasSound, waits.get(turn.id), known);
    }));
    this.arrange();
    this.mark(activeTurns(turns, this.ms));
  }

  /** @param {Turn} turn @param {boolean} hasSound @param {number | undefined} wait @param {Row | undefined} known @returns {Row} */
  row(turn, hasSound, wait, known) {
    const shows = JSON.stringify([turn, hasSound, wait]);
    if (known?.shows === shows) return { ...known, turn };
    const made = turn.kind === 'message' ? this.message(turn, hasSound, wait) : event(turn, hasSound);
    if (known) takePlace(known.element, made);
    return { turn, shows, element: made };
  }

  /** Puts the rows in order, without touching those already in place: a row that is moved loses the focus. */
  arrange() {
    /** @type {Set<Element>} */
    const rows = new Set(this.rows.map((row) => row.element));
    for (const old of [...this.place.children]) {
      if (!rows.has(old)) old.remove();
    }
    [...rows].forEach((row, n) => {
      const there = this.place.children[n] ?? null;
      if (there !== row) this.place.insertBefore(row, there);
    });
  }

  /** @param {Turn} turn @param {boolean} hasSound @param {number | undefined} wait */
  message(turn, hasSound, wait) {
    const canPlay = hasSound && turn.start_ms !== null;
    const text = element(canPlay ? 'button' : 'div', canPlay ? { type: 'button', class: 'said' } : { class: 'said' },
      element('span', { class: 'time' }, turn.approximate ? '≈ ' : '', time(turn, hasSound)),
      foreign(who(turn), { class: 'who' }),
      foreign(turn.text || '(no words)', { class: 'text' }),
      ...marks(turn, wait));
    if (canPlay) text.addEventListener('click', () => { this.seek(turn.start_ms ?? 0); this.follow(true); });
    return element('li', {
      class: `turn ${turn.role}${turn.typed ? ' typed' : ''}`,
      'data-testid': 'turn',
      'data-turn-id': turn.id,
      'data-role': turn.role,
      'data-start-ms': turn.start_ms === null ? '' : String(turn.start_ms),
      'data-spoken': String(isSpoken(turn)),
    }, text);
  }

  /** @param {number} ms */
  moveTo(ms) {
    this.ms = ms;
    const active = activeTurns(this.turns, ms);
    const key = active.map((turn) => turn.id).join('\n');
    if (key === this.active) return;
    this.active = key;
    this.mark(active);
    if (this.following) this.reveal();
  }

  /** @param {Turn[]} active the turns that are being heard */
  mark(active) {
    for (const { turn, element: row } of this.rows) {
      row.classList.toggle('heard', active.includes(turn));
      if (turn === active.at(-1)) row.setAttribute('aria-current', 'true');
      else row.removeAttribute('aria-current');
    }
  }

  reveal() {
    const row = this.place.querySelector('[aria-current]');
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    row?.scrollIntoView({ block: 'center', behavior: calm ? 'auto' : 'smooth' });
  }
}

/**
 * The row of an earlier conversation that the session began with: nothing of it is heard here.
 * @param {Turn[]} stored @param {Row | undefined} known @returns {Row}
 */
function earlier(stored, known) {
  const shows = JSON.stringify(stored);
  const turn = /** @type {Turn} */ (stored[0]);
  if (known?.shows === shows) return known;
  const line = (/** @type {Turn} */ said) => element('li', {},
    element('time', { class: 'time', datetime: said.started_at }, dateTime(said.started_at)),
    foreign(said.kind === 'message' ? who(said) : EVENTS[said.kind], { class: 'who' }),
    foreign(said.text || '(no words)', { class: 'text' }));
  const summary = element('summary', {}, element('span', { class: 'time' }, ''), element('span', { class: 'who' }, `Earlier conversation · ${stored.length}`));
  const made = element('li', { class: 'turn event', 'data-testid': 'earlier' },
    element('details', {}, summary, element('ol', { class: 'earlier' }, ...stored.map(line))));
  if (known) takePlace(known.element, made);
  return { turn, shows, element: made };
}

/**
 * Replaces a row, and keeps what the reader did with it: its focus, and whether it is open.
 * @param {HTMLElement} old @param {HTMLElement} made
 */
function takePlace(old, made) {
  const hasFocus = old.contains(document.activeElement);
  made.querySelector('details')?.toggleAttribute('open', old.querySelector('details')?.open === true);
  old.replaceWith(made);
  if (hasFocus) /** @type {HTMLElement | null} */ (made.querySelector('button, summary'))?.focus({ preventScroll: true });
}

/** @param {Turn} turn @param {boolean} hasSound */
function time(turn, hasSound) {
  return hasSound && turn.start_ms !== null ? clock(turn.start_ms) : timeOfDay(turn.started_at);
}

/** @param {Turn} turn */
function who(turn) {
  return turn.role === 'agent' && turn.speaker ? `Agent · ${turn.speaker}` : WHO[turn.role];
}

/** @param {Turn} turn @param {number | undefined} wait */
function marks(turn, wait) {
  const list = [];
  if (turn.interrupted) list.push(element('span', { class: 'mark' }, 'interrupted'));
  if (turn.typed && turn.role === 'user') list.push(element('span', { class: 'mark' }, 'typed'));
  if (wait !== undefined) list.push(element('span', { class: 'mark quiet', title: 'From the end of the user’s turn to the beginning of this one' }, `answered in ${(wait / 1000).toFixed(1)} s`));
  if (turn.confidence !== null && turn.confidence < 0.7) list.push(element('span', { class: 'mark', title: 'The recogniser’s confidence' }, `${Math.round(turn.confidence * 100)} % sure`));
  return list;
}

/** @param {Turn} turn @param {boolean} hasSound */
function event(turn, hasSound) {
  const failed = turn.call?.is_error === true;
  const name = [EVENTS[turn.kind], turn.kind === 'handoff' ? turn.text : turn.call?.name].filter(Boolean).join(' · ');
  const detail = turn.kind === 'tool_call' ? turn.call?.arguments ?? '' : turn.kind === 'tool_result' ? turn.call?.output ?? '' : turn.text;
  const summary = element('summary', {},
    element('span', { class: 'time' }, time(turn, hasSound)),
    element('span', { class: 'who' }, foreign(name), failed ? ' · failed' : ''));
  const body = turn.kind === 'handoff' ? null : element('pre', {}, pretty(detail));
  return element('li', { class: `turn event${failed ? ' failed' : ''}`, 'data-testid': 'event', 'data-turn-id': turn.id },
    element('details', {}, summary, body));
}
