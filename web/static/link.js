// A page that was opened by a signed link asks for everything with that link, and for nothing else.

/** The signature in the page's address; null where its reader has credentials. */
export const signature = new URLSearchParams(globalThis.location?.search ?? '').get('sig');

/** @param {string} path @returns {string} the path, with the page's link if there is one */
export function linked(path) {
  if (signature === null) return path;
  return `${path}${path.includes('?') ? '&' : '?'}sig=${encodeURIComponent(signature)}`;
}

/** @returns {number} when the page's link expires, in Unix milliseconds; Infinity where there is none */
export function linkExpiry() {
  const seconds = Number(signature?.match(/^(\d+)\./)?.[1] ?? Infinity);
  return seconds * 1000;
}

/** Where a person signs in, and comes back to this page; with credentials the link is needed no more. */
export function signInPath() {
  return `/login?next=${encodeURIComponent(location.pathname + (signature === null ? location.search : '') + location.hash)}`;
}
