// What hls.js asks for: each address works when it is asked for, and no connection is held by a listener who has paused.

import { recording, serverNow } from './api.js';
import { Link, Renewal, addresses } from './renewal.js';

/**
 * How long nothing is asked for while a call goes on and its listener has paused, in milliseconds. A playlist that is waited for
 * holds a connection: with three pages, and the events of each, a browser has none left (six to a server, HTTP/1.1).
 */
const PAUSE = 4000;

/** @param {string} url */
async function text(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${response.status}`);
  return response.text();
}

/** @param {string} id @returns {Promise<string>} the present address of the media playlist */
async function playlist(id) {
  const { playlist_url: url } = await recording(id);
  if (!url) throw new Error('the recording has no sound');
  return addresses(await text(url), url)[0] ?? url;
}

/** @param {string} id @returns {Promise<string[]>} the present addresses of all segments */
async function segments(id) {
  const url = await playlist(id);
  return addresses(await text(url), url);
}

/** @param {HTMLMediaElement} audio @param {number} ms @returns {Promise<void>} when the audio is played, or so much time has passed */
function played(audio, ms) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      audio.removeEventListener('play', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    audio.addEventListener('play', done);
  });
}

/** The addresses that hls.js asks for. */
export class Requests {
  /**
   * @param {HTMLMediaElement} audio @param {string} id the recording
   * @param {() => number | null} next the number of the segment that comes next; null where none does, or none is waited for
   */
  constructor(audio, id, next) {
    this.audio = audio;
    this.next = next;
    this.segments = new Renewal(() => segments(id), serverNow);
    this.link = new Link(() => playlist(id), serverNow);
    this.pause = PAUSE;
    /** @type {Set<string>} segments whose address was refused */
    this.refused = new Set();
    this.isPlaylistRefused = false;
    /** Whether no segment was waited for since the listener paused. */
    this.hasRested = false;
    /** Whether the playlist that was asked for last is answered in the moment in which its last segment is there. */
    this.isAwaited = false;
  }

  /** @param {string} url a segment, or a multivariant playlist @returns {Promise<string>} */
  segment(url) {
    return this.segments.fresh(url, this.refused.delete(url));
  }

  /** @param {string} url a media playlist as hls.js would ask for it @returns {Promise<string>} */
  async playlist(url) {
    const asked = new URL(url);
    if (this.audio.paused && this.next() !== null) {
      this.hasRested = true;
      await played(this.audio, this.pause);
    }
    const next = this.next();
    if (this.audio.paused) for (const name of ['_HLS_msn', '_HLS_part', '_HLS_skip']) asked.searchParams.delete(name);
    // By itself hls.js waits for the next segment only if its last look had a new one.
    else if (this.hasRested && next !== null) asked.searchParams.set('_HLS_msn', String(next));
    // After a rest the next segment may have been there for long.
    this.isAwaited = !this.hasRested && asked.searchParams.has('_HLS_msn');
    this.hasRested = this.hasRested && this.audio.paused;
    const force = this.isPlaylistRefused;
    this.isPlaylistRefused = false;
    return this.link.fresh(asked.href, force);
  }
}
