// Formats times, lengths and JSON for people to read.

/** @param {number} ms media time @returns {string} `m:ss`, or `h:mm:ss` from an hour on */
export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** @param {number} ms @returns {string} a length as a screen reader should say it */
export function spoken(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [m, s] = [Math.floor(seconds / 60), seconds % 60];
  const unit = (/** @type {number} */ n, /** @type {string} */ word) => `${n} ${word}${n === 1 ? '' : 's'}`;
  return m > 0 ? `${unit(m, 'minute')} ${unit(s, 'second')}` : unit(s, 'second');
}

/** @param {string | null} iso @returns {string} date and time in the reader's time zone */
export function dateTime(iso) {
  if (!iso) return '–';
  return new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

/** @param {string | null} iso @returns {string} the time of day, to the second */
export function timeOfDay(iso) {
  if (!iso) return '';
  return new Date(iso).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
}

/** @param {string} text @returns {string} JSON with line breaks, other text as it is */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
