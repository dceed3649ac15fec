// Sound: an <audio> element fed by hls.js, or by the browser's own HLS where hls.js cannot run.

import Hls from './vendor/hls.js/hls.light.min.mjs';
import { recording } from './api.js';
import { Renewal, addresses } from './renewal.js';

/**
 * @typedef {object} Source
 * @property {string} id the recording
 * @property {string} playlist its multivariant playlist
 * @property {() => number} spoken how many seconds of the call have been spoken; 0 where no call goes on
 */
/**
 * @typedef {object} Sound
 * @property {() => void} stop stops everything
 * @property {() => number} now the second at which what is spoken now is heard
 * @property {(follows: boolean) => void} followLive whether a listener who falls behind a call that goes on is brought back to it
 */

/** How far behind the end of what is there the sound of now is heard, in segments: until the next one is there, and a little. */
const RESERVE = 1.25;
/** How far behind what is spoken, in seconds: segments have 4 s, and are there some 1.3 s after their end. */
const BEHIND = RESERVE * 4 + 1.3;
/** What hls.js does for a listener who follows: a little behind is caught up with unheard, far behind is jumped over. */
const FOLLOWS = { liveMaxLatencyDurationCount: 5, maxLiveSyncPlaybackRate: 1.1 };
/** And for one who chose where to listen, and how fast: nothing. At any rate but 1 hls.js would also set the listener's back to 1. */
const STAYS = { liveMaxLatencyDurationCount: Infinity, maxLiveSyncPlaybackRate: 1 };

/**
 * @param {HTMLAudioElement} audio @param {Source} source
 * @param {(message: string | null) => void} report what is wrong, or null when all is well again
 * @returns {Sound}
 */
export function attach(audio, source, report) {
  audio.disableRemotePlayback = true;
  if (Hls.isSupported()) return withHls(audio, source, report);
  audio.src = source.playlist;
  audio.addEventListener('error', () => report('This browser cannot play the recording.'));
  return { stop: () => audio.removeAttribute('src'), now: () => begin(source), followLive: () => {} };
}

/** @param {Source} source @returns {number} the second at which what is spoken now is heard, by the clock */
function begin(source) {
  return Math.max(0, source.spoken() - BEHIND);
}

/** @param {string} id @returns {Promise<string[]>} the present addresses of all segments */
async function segments(id) {
  const { playlist_url: url } = await recording(id);
  if (!url) throw new Error('the recording has no sound');
  const multivariant = addresses(await text(url), url)[0] ?? url;
  return addresses(await text(multivariant), multivariant);
}

/** @param {string} url */
async function text(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${response.status}`);
  return response.text();
}

/**
 * A segment is gone from storage. Our own route makes it again from the kept master; where that is gone too the playlist now
 * lists a gap, which is stepped over.
 * @param {Hls} hls @param {HTMLAudioElement} audio @param {string} id @param {number | 'initSegment'} segment
 */
async function restore(hls, audio, id, segment) {
  const made = await fetch(`/v1/recordings/${id}/renditions/audio/segments/${segment}.ts`).catch(() => null);
  if (made?.ok) {
    hls.startLoad(audio.currentTime);
    return;
  }
  const { playlist_url: playlist } = await recording(id);
  if (!playlist) return;
  const paused = audio.paused;
  hls.config.startPosition = audio.currentTime;
  hls.once(Hls.Events.FRAG_BUFFERED, () => { if (!paused) void audio.play(); });
  hls.loadSource(playlist);
}

/** @type {typeof attach} */
function withHls(audio, source, report) {
  const { id, playlist } = source;
  const renewal = new Renewal(() => segments(id));
  const refused = new Set();
  /** @type {Set<string>} segments for which something was tried already; playing one clears it */
  const tried = new Set();
  const hls = new Hls({
    enableWorker: false,
    startFragPrefetch: true,
    testBandwidth: false,
    maxBufferLength: 60,
    backBufferLength: 120,
    liveSyncDurationCount: RESERVE,
    startPosition: source.spoken() > 0 ? begin(source) : -1,
    ...STAYS,
    xhrSetup: async (xhr, url) => {
      const fresh = await renewal.fresh(url, refused.delete(url));
      xhr.open('GET', fresh, true);
    },
  });
  hls.on(Hls.Events.LEVEL_LOADED, (_, { details }) => renewal.learn(details.fragments.map((fragment) => fragment.url)));
  hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag }) => { tried.delete(frag.url); report(null); });
  hls.on(Hls.Events.ERROR, (_, data) => {
    const code = data.response?.code ?? 0;
    const url = data.frag?.url ?? '';
    if (data.frag && [401, 403, 404].includes(code) && !tried.has(url)) {
      tried.add(url);
      if (code === 404) void restore(hls, audio, id, data.frag.sn);
      else {
        // hls.js never tries a 403 again by itself; with a fresh address the same segment plays.
        refused.add(url);
        hls.startLoad(audio.currentTime);
      }
      return;
    }
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
    else {
      report('The connection is lost; trying again…');
      setTimeout(() => hls.startLoad(audio.currentTime), 2000);
    }
  });
  hls.loadSource(playlist);
  hls.attachMedia(audio);
  let playlists = 0;
  hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => { if (details.advanced) playlists += 1; });
  const now = () => {
    const details = hls.latestLevelDetails;
    if (!details) return begin(source);
    // How old the end of the first playlist is, nobody has said; those after it come when they are new.
    const wanted = playlists > 1 ? details.edge + details.age - (hls.targetLatency ?? 0) : begin(source);
    return Math.max(0, Math.min(wanted, details.edge - 0.5));
  };
  return {
    stop: () => hls.destroy(),
    now,
    followLive: (follows) => { Object.assign(hls.config, follows ? FOLLOWS : STAYS); },
  };
}
