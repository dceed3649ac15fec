// The addresses that hls.js requests: each is valid when it is requested, and a paused listener holds no connection.

import { recording, serverNow } from './api.js';
import { inCodec } from './codec.js';
import { Link, Renewal, addresses } from './renewal.js';

/**
 * How long no playlist is requested while a call goes on and its listener has paused, in milliseconds. A playlist request that
 * waits holds a connection: with three pages, and the events of each, a browser has none left (six to a server, HTTP/1.1).
 */
const PAUSE = 4000;

/** @param {string} url */
async function text(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${response.status}`);
  return response.text();
}

/** @typedef {import('./codec.js').Codec} Codec */

/** @param {string} id @param {Codec} wanted @returns {Promise<string>} the current address of the media playlist */
async function playlist(id, wanted) {
  const { playlist_url: known } = await recording(id);
  if (!known) throw new Error('the recording has no sound');
  const url = inCodec(known, wanted);
  return addresses(await text(url), url)[0] ?? url;
}

/** @param {string} id @param {Codec} wanted @returns {Promise<string[]>} the current addresses of all segments */
async function segments(id, wanted) {
  const url = await playlist(id, wanted);
  return addresses(await text(url), url);
}

/** @param {HTMLMediaElement} audio @param {number} ms @returns {Promise<void>} resolves when the audio is played, or after `ms` */
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

/** Supplies the addresses that hls.js requests. */
export class Requests {
  /**
   * @param {HTMLMediaElement} audio @param {string} id the recording
   * @param {() => number | null} next the next segment's number; null when none will come, or none can be waited for
   * @param {Codec} wanted the codec that is asked for
   */
  constructor(audio, id, next, wanted = 'aac') {
    this.audio = audio;
    this.next = next;
    this.segments = new Renewal(() => segments(id, wanted), serverNow);
    this.link = new Link(() => playlist(id, wanted), serverNow);
    this.pause = PAUSE;
    /** @type {Set<string>} segments whose address was refused */
    this.refused = new Set();
    this.isPlaylistRefused = false;
    /** Whether no segment has been waited for since the listener paused. */
    this.hasRested = false;
    /** Whether the playlist that was requested last is answered at the moment when its last segment becomes available. */
    this.isAwaited = false;
  }

  /** @param {string} url a segment, an init section, or a multivariant playlist @returns {Promise<string>} */
  segment(url) {
    const force = this.refused.delete(url);
    // An init section has the signature of the playlist that names it.
    return this.segments.knows(url) ? this.segments.fresh(url, force) : this.link.fresh(url, force);
  }

  /** @param {string} url a media playlist as hls.js would request it @returns {Promise<string>} */
  async playlist(url) {
    const asked = new URL(url);
    if (this.audio.paused && this.next() !== null) {
      this.hasRested = true;
      await played(this.audio, this.pause);
    }
    const next = this.next();
    if (this.audio.paused) for (const name of ['_HLS_msn', '_HLS_part', '_HLS_skip']) asked.searchParams.delete(name);
    // By itself hls.js waits for the next segment only if its previous playlist had a new one.
    else if (this.hasRested && next !== null) asked.searchParams.set('_HLS_msn', String(next));
    // After a rest the next segment may have been available for a long time.
    this.isAwaited = !this.hasRested && asked.searchParams.has('_HLS_msn');
    this.hasRested = this.hasRested && this.audio.paused;
    const force = this.isPlaylistRefused;
    this.isPlaylistRefused = false;
    return this.link.fresh(asked.href, force);
  }
}
