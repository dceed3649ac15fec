// Renews signed addresses before they expire: a player that was paused over lunch needs fresh ones for the same segments.

/** An address that expires sooner than this is renewed before it is used, in milliseconds. */
const MARGIN = 30_000;

/**
 * When an address expires, in Unix milliseconds: from a presigned URL's date and lifetime, or from a link's own signature.
 * @param {string} url @returns {number} Infinity for an address that does not say
 */
export function expiry(url) {
  const query = new URL(url, 'http://localhost').searchParams;
  const date = query.get('X-Amz-Date')?.match(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/);
  const life = Number(query.get('X-Amz-Expires'));
  if (date && life > 0) {
    const [year, month, day, hour, minute, second] = date.slice(1).map(Number);
    return Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second) + life * 1000;
  }
  const link = query.get('sig')?.match(/^(\d+)\./);
  return link ? Number(link[1]) * 1000 : Infinity;
}

/**
 * Whether an address is about to expire: within the margin, or within the last quarter of its lifetime if that is shorter.
 * @param {string} url @param {number} now
 */
export function isStale(url, now) {
  const life = Number(new URL(url, 'http://localhost').searchParams.get('X-Amz-Expires') ?? Infinity) * 1000;
  return expiry(url) - now < Math.min(MARGIN, life / 4);
}

/** @param {string} playlist @param {string} base @returns {string[]} the addresses of a playlist, absolute, in order */
export function addresses(playlist, base) {
  const lines = playlist.split('\n').map((line) => line.trim());
  return lines.filter((line) => line && !line.startsWith('#')).map((line) => new URL(line, base).href);
}

/** @param {string} url @param {string} from @returns {string} the address, with the signature of another */
export function signedLike(url, from) {
  const signed = new URL(url);
  const signature = new URL(from).searchParams.get('sig');
  if (signature !== null) signed.searchParams.set('sig', signature);
  return signed.href;
}

/** Keeps the address of a playlist valid: a call may outlast its signature, but a player requests the same address all the time. */
export class Link {
  /** @param {() => Promise<string>} refetch fetches the playlist's current address @param {() => number} now */
  constructor(refetch, now = Date.now) {
    this.refetch = refetch;
    this.now = now;
    /** @type {string | null} */
    this.latest = null;
  }

  /** @param {string} url an address as the player has it @param {boolean} force @returns {Promise<string>} one that works */
  async fresh(url, force = false) {
    const known = this.latest === null ? url : signedLike(url, this.latest);
    if (!force && !isStale(known, this.now())) return known;
    try {
      this.latest = await this.refetch();
      return signedLike(url, this.latest);
    } catch {
      // As with a segment: the old address may still work.
      return known;
    }
  }
}

/** Finds a segment's current address by an earlier one. A segment's path may change; its place in the playlist does not. */
export class Renewal {
  /** @param {() => Promise<string[]>} refetch fetches the current addresses of all segments @param {() => number} now */
  constructor(refetch, now = Date.now) {
    this.refetch = refetch;
    this.now = now;
    /** @type {Map<string, number>} */
    this.places = new Map();
    /** @type {string[]} */
    this.current = [];
    /** @type {Promise<void> | null} */
    this.running = null;
  }

  /** @param {string[]} list the addresses as the player has them */
  learn(list) {
    this.current = list;
    list.forEach((url, place) => this.places.set(url, place));
  }

  /** @param {string} url @returns {boolean} whether it is a segment's */
  knows(url) {
    return this.places.has(url);
  }

  /** @param {string} url an address as the player has it @param {boolean} force @returns {Promise<string>} one that works */
  async fresh(url, force = false) {
    const place = this.places.get(url);
    if (place === undefined) return url;
    const known = this.current[place] ?? url;
    if (!force && !isStale(known, this.now())) return known;
    this.running ??= this.renew().finally(() => { this.running = null; });
    await this.running;
    return this.current[place] ?? url;
  }

  async renew() {
    try {
      this.learn(await this.refetch());
    } catch {
      // The old address may still work; if it does not, the player says so and tries again.
    }
  }
}
