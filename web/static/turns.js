// Finds turns by time: those that are being heard, the next or previous one, and how long the agent took to answer.

/** @typedef {import('./api.js').Turn} Turn */

/** The shortest time that a turn counts as heard, in milliseconds. */
const SHORTEST = 300;

/** @param {Turn} turn @returns {boolean} whether the turn is something that can be heard */
export function isSpoken(turn) {
  return turn.kind === 'message' && !turn.typed && turn.role !== 'system' && turn.start_ms !== null;
}

/**
 * @param {Turn[]} turns @param {number} ms media time
 * @returns {Turn[]} the turns that are heard at that time, the one that began last at the end
 */
export function activeTurns(turns, ms) {
  const heard = turns.filter((turn) => {
    if (!isSpoken(turn)) return false;
    const start = turn.start_ms ?? 0;
    return start <= ms && ms < Math.max(turn.end_ms ?? start, start + SHORTEST);
  });
  return heard.sort((a, b) => (a.start_ms ?? 0) - (b.start_ms ?? 0));
}

/**
 * @param {Turn[]} turns @param {number} ms @param {1 | -1} direction
 * @returns {Turn | undefined} the spoken turn to step to
 */
export function neighbour(turns, ms, direction) {
  const spoken = turns.filter(isSpoken).sort((a, b) => (a.start_ms ?? 0) - (b.start_ms ?? 0));
  if (direction > 0) return spoken.find((turn) => (turn.start_ms ?? 0) > ms + 50);
  // Going back within the first second of a turn means the one before it.
  return spoken.filter((turn) => (turn.start_ms ?? 0) < ms - 1000).at(-1) ?? spoken[0];
}

/** @param {Turn[]} turns @returns {Map<string, number>} for each agent turn that answers a user: how long the user waited, in ms */
export function responseTimes(turns) {
  const times = new Map();
  let userEnd = null;
  for (const turn of turns.filter(isSpoken)) {
    if (turn.role === 'user') userEnd = turn.end_ms;
    else if (userEnd !== null && turn.start_ms !== null && turn.start_ms >= userEnd) {
      times.set(turn.id, turn.start_ms - userEnd);
      userEnd = null;
    }
  }
  return times;
}
