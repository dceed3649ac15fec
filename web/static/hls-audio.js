// Plays a recording's sound: an <audio> element fed by hls.js, or by the browser's own HLS where hls.js cannot run.

import Hls from './vendor/hls.js/hls.light.min.mjs';
import { recording } from './api.js';
import { codec, inCodec, isOnlyOpus, opusFailed } from './codec.js';
import { Requests } from './hls-requests.js';
import { linked } from './link.js';

/**
 * @typedef {object} Source
 * @property {string} id the recording
 * @property {string} playlist its multivariant playlist
 * @property {() => number} spoken seconds since the call began; 0 when no call is going on
 */
/** @typedef {import('./codec.js').Codec} Codec */
/**
 * @typedef {object} Start where a player begins
 * @property {string} playlist the multivariant playlist
 * @property {Codec} wanted the codec that is asked for
 * @property {number} at seconds; -1 for wherever a player begins by itself
 */
/**
 * @callback Again begins anew with the newest playlist. The listener stays where they are, or goes to its end if that is earlier, and continues
 * listening
 * @param {{ end?: number, wanted?: Codec }} [change] the end in seconds; the codec from now on
 * @returns {Promise<void>}
 */
/**
 * @typedef {object} Sound
 * @property {() => void} stop stops everything
 * @property {() => number} now the live position: the second at which a live listener is now; infinite when the playlist has ended
 * @property {(follows: boolean) => void} followLive sets whether a listener who lags behind the live position is brought back
 * @property {() => void} forgetStalls restores the first live latency: hls.js raises it each time the buffer runs empty
 */

/** How far the live position is before the end of the playlist, in segments: until the next one is available, and a little. */
const RESERVE = 1.25;
/** The live latency, in seconds: segments last 4 s, and are available some 1.3 s after their end. */
const BEHIND = RESERVE * 4 + 1.3;
/** What hls.js does for a listener who follows: it makes up for a small lag unnoticeably, and jumps over a large one. */
const FOLLOWS = { liveMaxLatencyDurationCount: 5, maxLiveSyncPlaybackRate: 1.1 };
/** And for one who chose position and speed: nothing. With another rate here hls.js would also reset the listener's speed to 1. */
const STAYS = { liveMaxLatencyDurationCount: Infinity, maxLiveSyncPlaybackRate: 1 };
/** How long to wait before the next attempt after the connection was lost, in milliseconds. */
const RETRY = 2000;
/** Ends of a playlist this close are the same, in seconds: the sound's lengths differ a little from the playlist's. */
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

/** @param {Source} source @returns {number} the live position by the clock, in seconds */
function begin(source) {
  return Math.max(0, source.spoken() - BEHIND);
}

/**
 * Recovers a segment that is gone from storage. Our own route renders it again from the kept master; if that is gone too, the
 * playlist now lists a gap, which is skipped.
 * @param {Hls} hls @param {HTMLAudioElement} audio @param {string} id @param {number | 'initSegment'} segment @param {Again} again
 */
async function restore(hls, audio, id, segment, again) {
  const made = await fetch(linked(`/v1/recordings/${id}/renditions/audio/segments/${segment}.ts`)).catch(() => null);
  if (made?.ok) {
    hls.startLoad(audio.currentTime);
    return;
  }
  await again();
}

/** @param {Hls} hls @returns {number | null} the next segment's number; null when none will come, or none can be waited for */
function next(hls) {
  const details = hls.latestLevelDetails;
  return details?.live && details.canBlockReload ? details.endSN + 1 : null;
}

/** @type {typeof attach} */
function withHls(audio, source, report) {
  const { id } = source;
  /** @type {Start} */
  let start = { playlist: source.playlist, wanted: isOnlyOpus(source.playlist) ? 'opus' : codec(), at: source.spoken() > 0 ? begin(source) : -1 };
  let follows = false;
  let isStopped = false;
  /** @type {Again} */
  const again = async ({ end = Infinity, wanted = start.wanted } = {}) => {
    const { playlist_url: playlist } = await recording(id);
    if (!playlist || isStopped) return;
    const { paused, currentTime } = audio;
    start = { playlist, wanted, at: currentTime > 0 ? Math.min(currentTime, end) : start.at };
    // An audio element with another source is paused, and has this speed.
    audio.defaultPlaybackRate = audio.playbackRate;
    // A player that goes from one codec to another breaks (hls.js 1.7.4): each has one of its own.
    sound.stop();
    sound = play(audio, source, start, report, again);
    sound.followLive(follows);
    if (!paused) audio.play().catch(() => {});
  };
  let sound = play(audio, source, start, report, again);
  return {
    stop: () => { isStopped = true; sound.stop(); },
    now: () => sound.now(),
    followLive: (wanted) => { follows = wanted; sound.followLive(wanted); },
    forgetStalls: () => sound.forgetStalls(),
  };
}

/**
 * @param {HTMLAudioElement} audio @param {Source} source @param {Start} start
 * @param {(message: string | null) => void} report @param {Again} again @returns {Sound}
 */
function play(audio, source, start, report, again) {
  const { id } = source;
  const requests = new Requests(audio, id, () => next(hls), start.wanted);
  const hls = new Hls({
    enableWorker: false,
    startFragPrefetch: true,
    testBandwidth: false,
    maxBufferLength: 60,
    backBufferLength: 120,
    liveSyncDurationCount: RESERVE,
    startPosition: start.at,
    // When a call ends, its segments may get other addresses. hls.js takes that for an error, and would stop for good.
    ignorePlaylistParsingErrors: true,
    ...STAYS,
    xhrSetup: async (xhr, url, context) => {
      const isPlaylist = 'type' in context && context.type === 'level';
      xhr.open('GET', await (isPlaylist ? requests.playlist(url) : requests.segment(url)), true);
    },
  });
  const stop = recover({ hls, audio, id, requests, start }, report, again);
  /** Whether the newest playlist arrived at the moment when its last segment became available. */
  let isNew = false;
  /** The end of the newest playlist, in seconds. */
  let end = 0;
  hls.on(Hls.Events.LEVEL_LOADED, (_, { details }) => requests.segments.learn(details.fragments.map((fragment) => fragment.url)));
  hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => {
    if (details.advanced) isNew = requests.isAwaited;
    const isShorter = !details.live && details.edge < end - SAME;
    end = details.edge;
    // hls.js would play what it has already loaded beyond the end.
    if (isShorter) void again({ end: end - SAME }).catch(() => {});
  });
  hls.loadSource(inCodec(start.playlist, start.wanted));
  hls.attachMedia(audio);
  const now = () => {
    const details = hls.latestLevelDetails;
    if (!details) return begin(source);
    if (!details.live) return Infinity;
    // If the playlist was not waited for, it is not known how long ago its last segment became available.
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

/** What hls.js says of Opus that the browser cannot play after all, or that is broken. */
const UNPLAYABLE = new Set([
  Hls.ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR,
  Hls.ErrorDetails.BUFFER_ADD_CODEC_ERROR,
  Hls.ErrorDetails.BUFFER_INCOMPATIBLE_CODECS_ERROR,
  Hls.ErrorDetails.BUFFER_APPEND_ERROR,
  Hls.ErrorDetails.BUFFER_APPENDING_ERROR,
  Hls.ErrorDetails.FRAG_PARSING_ERROR,
]);

/**
 * Recovers from errors, and reports one for as long as it lasts.
 * @param {{ hls: Hls, audio: HTMLAudioElement, id: string, requests: Requests, start: Start }} playing
 * @param {(message: string | null) => void} report @param {Again} again @returns {() => void} stops recovering
 */
function recover({ hls, audio, id, requests, start }, report, again) {
  /** Whether Opus is played; before the playlist has come, whether it is asked for. */
  let isOpus = start.wanted === 'opus';
  const hasAac = !isOnlyOpus(start.playlist);
  hls.on(Hls.Events.MANIFEST_PARSED, (_, { levels }) => { isOpus = levels[0]?.audioCodec?.toLowerCase() === 'opus'; });
  /** @type {Set<string>} segments that recovery was tried for already; loading one removes it */
  const tried = new Set();
  let isSegmentLost = false;
  let isStopped = false;
  const well = () => { isSegmentLost = false; report(null); };
  /** @param {boolean} anew whether the playlist that hls.js has is useless */
  const retry = async (anew) => {
    if (isStopped) return;
    if (!anew && hls.levels.length > 0) hls.startLoad(audio.currentTime);
    else await again().catch(() => setTimeout(retry, RETRY, true));
  };
  hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag }) => { tried.delete(frag.url); well(); });
  hls.on(Hls.Events.LEVEL_UPDATED, () => { if (!isSegmentLost) well(); });
  hls.on(Hls.Events.ERROR, (_, data) => {
    const code = data.response?.code ?? 0;
    const url = data.frag?.url ?? '';
    const isUnplayable = UNPLAYABLE.has(data.details) || (data.fatal && data.type === Hls.ErrorTypes.MEDIA_ERROR);
    if (isOpus && !hasAac && isUnplayable && data.fatal) {
      isStopped = true;
      report('This browser cannot play Opus, and this server has nothing else. Chrome, Edge and Firefox can.');
      return;
    }
    if (isOpus && hasAac && !isStopped && (isUnplayable || (data.frag && code === 404))) {
      isStopped = true;
      // What one recording lacks says nothing about the browser.
      if (isUnplayable) opusFailed();
      const fallBack = () => { again({ wanted: 'aac' }).catch(() => setTimeout(fallBack, RETRY)); };
      fallBack();
      return;
    }
    if (data.frag && [401, 403, 404].includes(code) && !tried.has(url)) {
      tried.add(url);
      if (code === 404) restore(hls, audio, id, data.frag.sn, again).catch(() => setTimeout(retry, RETRY, true));
      else {
        // hls.js never retries a 403 by itself; with a fresh address the same segment plays.
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
