// Signed links: a page that was opened by one adds the link's signature to its requests.

/** The signature in the page's address; null when there is none, and its reader needs credentials. */
export const signature = new URLSearchParams(globalThis.location?.search ?? '').get('sig');

/** @param {string} path @returns {string} the path, with the signature of the page's link if there is one */
export function linked(path) {
  if (signature === null) return path;
  return `${path}${path.includes('?') ? '&' : '?'}sig=${encodeURIComponent(signature)}`;
}

/** @returns {number} when the page's link expires, in Unix milliseconds; Infinity if there is none */
export function linkExpiry() {
  const seconds = Number(signature?.match(/^(\d+)\./)?.[1] ?? Infinity);
  return seconds * 1000;
}

/** The path where a person signs in and then returns to this page; with credentials the link is no longer needed. */
export function signInPath() {
  return `/login?next=${encodeURIComponent(location.pathname + (signature === null ? location.search : '') + location.hash)}`;
}
