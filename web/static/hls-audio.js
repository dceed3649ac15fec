// Sound: an <audio> element fed by hls.js, or by the browser's own HLS where hls.js cannot run.

import Hls from './vendor/hls.js/hls.light.min.mjs';
import { recording } from './api.js';
import { Requests } from './hls-requests.js';
import { linked } from './link.js';

/**
 * @typedef {object} Source
 * @property {string} id the recording
 * @property {string} playlist its multivariant playlist
 * @property {() => number} spoken how many seconds of the call have been spoken; 0 where no call goes on
 */
/**
 * @typedef {object} Sound
 * @property {() => void} stop stops everything
 * @property {() => number} now the second at which what is spoken now is heard; infinite where the playlist has its end
 * @property {(follows: boolean) => void} followLive whether a listener who falls behind a call that goes on is brought back to it
 * @property {() => void} forgetStalls as near to what is spoken as at first: hls.js stays behind by more each time the sound runs dry
 */

/** How far behind the end of what is there the sound of now is heard, in segments: until the next one is there, and a little. */
const RESERVE = 1.25;
/** How far behind what is spoken, in seconds: segments have 4 s, and are there some 1.3 s after their end. */
const BEHIND = RESERVE * 4 + 1.3;
/** What hls.js does for a listener who follows: a little behind is caught up with unheard, far behind is jumped over. */
const FOLLOWS = { liveMaxLatencyDurationCount: 5, maxLiveSyncPlaybackRate: 1.1 };
/** And for one who chose where to listen, and how fast: nothing. At any rate but 1 hls.js would also set the listener's back to 1. */
const STAYS = { liveMaxLatencyDurationCount: Infinity, maxLiveSyncPlaybackRate: 1 };
/** How long nothing is tried after the connection was lost, in milliseconds. */
const RETRY = 2000;
/** Ends of a playlist that are no further apart are one end, in seconds: the sound has other lengths than the playlist says, a little. */
const SAME = 0.5;

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
  return { stop: () => audio.removeAttribute('src'), now: () => begin(source), followLive: () => {}, forgetStalls: () => {} };
}

/** @param {Source} source @returns {number} the second at which what is spoken now is heard, by the clock */
function begin(source) {
  return Math.max(0, source.spoken() - BEHIND);
}

/**
 * Loads the recording anew. The listener stays where they are, or comes to its end where that lies before, and goes on listening.
 * @param {Hls} hls @param {HTMLAudioElement} audio @param {string} id @param {number} end in seconds
 */
async function reload(hls, audio, id, end = Infinity) {
  const { playlist_url: playlist } = await recording(id);
  if (!playlist) return;
  const { paused, currentTime } = audio;
  if (currentTime > 0) hls.config.startPosition = Math.min(currentTime, end);
  // An audio element that is loaded anew stands still, at this speed.
  audio.defaultPlaybackRate = audio.playbackRate;
  hls.once(Hls.Events.FRAG_BUFFERED, () => { if (!paused) audio.play().catch(() => {}); });
  hls.loadSource(playlist);
}

/**
 * A segment is gone from storage. Our own route makes it again from the kept master; where that is gone too the playlist now
 * lists a gap, which is stepped over.
 * @param {Hls} hls @param {HTMLAudioElement} audio @param {string} id @param {number | 'initSegment'} segment
 */
async function restore(hls, audio, id, segment) {
  const made = await fetch(linked(`/v1/recordings/${id}/renditions/audio/segments/${segment}.ts`)).catch(() => null);
  if (made?.ok) {
    hls.startLoad(audio.currentTime);
    return;
  }
  await reload(hls, audio, id);
}

/** @param {Hls} hls @returns {number | null} the number of the segment that comes next; null where none does, or none is waited for */
function next(hls) {
  const details = hls.latestLevelDetails;
  return details?.live && details.canBlockReload ? details.endSN + 1 : null;
}

/** @type {typeof attach} */
function withHls(audio, source, report) {
  const { id, playlist } = source;
  const requests = new Requests(audio, id, () => next(hls));
  const hls = new Hls({
    enableWorker: false,
    startFragPrefetch: true,
    testBandwidth: false,
    maxBufferLength: 60,
    backBufferLength: 120,
    liveSyncDurationCount: RESERVE,
    startPosition: source.spoken() > 0 ? begin(source) : -1,
    // When a call ends its segments may get other addresses. hls.js takes that for a mistake, and would stop for good.
    ignorePlaylistParsingErrors: true,
    ...STAYS,
    xhrSetup: async (xhr, url, context) => {
      const isPlaylist = 'type' in context && context.type === 'level';
      xhr.open('GET', await (isPlaylist ? requests.playlist(url) : requests.segment(url)), true);
    },
  });
  const stop = recover(hls, audio, id, requests, report);
  /** Whether the end of the newest playlist was there in the moment in which the playlist came. */
  let isNew = false;
  /** Where the playlist ended, in seconds. */
  let end = 0;
  hls.on(Hls.Events.LEVEL_LOADED, (_, { details }) => requests.segments.learn(details.fragments.map((fragment) => fragment.url)));
  hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => {
    if (details.advanced) isNew = requests.isAwaited;
    const isShorter = !details.live && details.edge < end - SAME;
    end = details.edge;
    // What hls.js has of it already it would play beyond the end.
    if (isShorter) void reload(hls, audio, id, end - SAME).catch(() => {});
  });
  hls.loadSource(playlist);
  hls.attachMedia(audio);
  const now = () => {
    const details = hls.latestLevelDetails;
    if (!details) return begin(source);
    if (!details.live) return Infinity;
    // How old the end is of a playlist that nobody waited for, nobody has said.
    const wanted = isNew ? details.edge + details.age - (hls.targetLatency ?? 0) : begin(source);
    return Math.max(0, Math.min(wanted, details.edge - 0.5));
  };
  return {
    stop: () => { stop(); hls.destroy(); },
    now,
    followLive: (follows) => { Object.assign(hls.config, follows ? FOLLOWS : STAYS); },
    forgetStalls: () => {
      const details = hls.latestLevelDetails;
      if (details) hls.targetLatency = RESERVE * details.targetduration;
    },
  };
}

/**
 * Goes on after an error, and says so while it can't.
 * @param {Hls} hls @param {HTMLAudioElement} audio @param {string} id @param {Requests} requests
 * @param {(message: string | null) => void} report @returns {() => void} ends it
 */
function recover(hls, audio, id, requests, report) {
  /** @type {Set<string>} segments for which something was tried already; playing one clears it */
  const tried = new Set();
  let isSegmentLost = false;
  let isStopped = false;
  const well = () => { isSegmentLost = false; report(null); };
  /** @param {boolean} anew whether the playlist that hls.js has is of no use */
  const retry = async (anew) => {
    if (isStopped) return;
    if (!anew && hls.levels.length > 0) hls.startLoad(audio.currentTime);
    else await reload(hls, audio, id).catch(() => setTimeout(retry, RETRY, true));
  };
  hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag }) => { tried.delete(frag.url); well(); });
  hls.on(Hls.Events.LEVEL_UPDATED, () => { if (!isSegmentLost) well(); });
  hls.on(Hls.Events.ERROR, (_, data) => {
    const code = data.response?.code ?? 0;
    const url = data.frag?.url ?? '';
    if (data.frag && [401, 403, 404].includes(code) && !tried.has(url)) {
      tried.add(url);
      if (code === 404) restore(hls, audio, id, data.frag.sn).catch(() => setTimeout(retry, RETRY, true));
      else {
        // hls.js never tries a 403 again by itself; with a fresh address the same segment plays.
        requests.refused.add(url);
        hls.startLoad(audio.currentTime);
      }
      return;
    }
    if (data.context?.type === 'level' && [401, 403].includes(code)) requests.isPlaylistRefused = true;
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
    else {
      isSegmentLost = data.frag !== undefined;
      report('The connection is lost; trying again…');
      setTimeout(retry, RETRY, code === 404);
    }
  });
  return () => { isStopped = true; };
}
