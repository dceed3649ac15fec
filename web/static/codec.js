// Which codec a page plays: Opus as it was sent where the browser takes it, else AAC. `?codec=opus` or `?codec=aac` in a page's address sets
// it for this browser, `?codec=auto` leaves it to the page again.

/** @typedef {'opus' | 'aac'} Codec */

/** Where the browser keeps what was set. */
const CHOSEN = 'echosphere.codec';
/** Where it keeps until when Opus is not tried again, in Unix milliseconds. */
const FAILED = 'echosphere.opus-failed-until';
/** How long AAC is played after Opus has failed, in milliseconds (a day). */
const REST = 86_400_000;

/** @param {string} key @returns {string | null} null where the browser keeps nothing for pages */
function kept(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** @param {string} key @param {string | null} value */
function keep(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // The page plays all the same.
  }
}

/** Takes over what a page's address sets. @param {string} search */
function set(search) {
  const asked = new URLSearchParams(search).get('codec');
  if (asked === null) return;
  keep(CHOSEN, asked === 'opus' || asked === 'aac' ? asked : null);
  keep(FAILED, null);
}

/** @returns {boolean} whether the browser takes Opus in fragmented MP4 */
function takesOpus() {
  const { ManagedMediaSource, MediaSource } = /** @type {{ ManagedMediaSource?: typeof globalThis.MediaSource, MediaSource?: typeof globalThis.MediaSource }} */ (globalThis);
  const source = ManagedMediaSource ?? MediaSource;
  return ['opus', 'Opus'].some((name) => source?.isTypeSupported(`audio/mp4; codecs="${name}"`));
}

/** @returns {boolean} whether it is Safari, or another browser of Apple's: nobody has tried Opus there yet */
const isApples = () => navigator.vendor.startsWith('Apple');

/** @returns {Codec} what to ask for */
export function codec() {
  set(location.search);
  const chosen = kept(CHOSEN);
  if (chosen === 'aac' || !takesOpus()) return 'aac';
  if (chosen === 'opus') return 'opus';
  return isApples() || Number(kept(FAILED)) > Date.now() ? 'aac' : 'opus';
}

/** Opus could not be played: this browser plays AAC for a day. */
export function opusFailed() {
  keep(FAILED, String(Date.now() + REST));
}

/** @param {string} playlist a multivariant playlist @returns {boolean} whether the server has it in Opus only */
export function isOnlyOpus(playlist) {
  return new URL(playlist, location.href).searchParams.get('codec') === 'opus';
}

/** @param {string} playlist a multivariant playlist @param {Codec} wanted @returns {string} its address in that codec, if there is one */
export function inCodec(playlist, wanted) {
  if (wanted === 'aac') return playlist;
  const url = new URL(playlist, location.href);
  url.searchParams.set('codec', wanted);
  return url.href;
}
