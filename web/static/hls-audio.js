// Sound: an <audio> element fed by hls.js, or by the browser's own HLS where hls.js cannot run.

import Hls from './vendor/hls.js/hls.light.min.mjs';
import { recording } from './api.js';
import { Renewal, addresses } from './renewal.js';

/**
 * @param {HTMLAudioElement} audio @param {string} id the recording @param {string} playlist its multivariant playlist
 * @param {(message: string | null) => void} report what is wrong, or null when all is well again
 * @returns {() => void} stops everything
 */
export function attach(audio, id, playlist, report) {
  audio.disableRemotePlayback = true;
  if (Hls.isSupported()) return withHls(audio, id, playlist, report);
  audio.src = playlist;
  audio.addEventListener('error', () => report('This browser cannot play the recording.'));
  return () => audio.removeAttribute('src');
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

/** @type {typeof attach} */
function withHls(audio, id, playlist, report) {
  const renewal = new Renewal(() => segments(id));
  const refused = new Set();
  const hls = new Hls({
    enableWorker: false,
    maxBufferLength: 60,
    backBufferLength: 120,
    xhrSetup: async (xhr, url) => {
      const fresh = await renewal.fresh(url, refused.delete(url));
      xhr.open('GET', fresh, true);
    },
  });
  hls.on(Hls.Events.LEVEL_LOADED, (_, { details }) => renewal.learn(details.fragments.map((fragment) => fragment.url)));
  hls.on(Hls.Events.FRAG_BUFFERED, () => report(null));
  hls.on(Hls.Events.ERROR, (_, data) => {
    // hls.js never tries a 403 again by itself; with a fresh address the same segment plays.
    const denied = data.response?.code === 403 || data.response?.code === 401;
    if (denied && data.frag && !refused.has(data.frag.url)) {
      refused.add(data.frag.url);
      hls.startLoad(audio.currentTime);
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
  return () => hls.destroy();
}
