// Makes DOM elements without innerHTML, so that no text of a call can become markup.

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name @param {Record<string, string | boolean | null | undefined>} attributes @param {(Node | string | null)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, '');
    else if (typeof value === 'string') made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/**
 * Text that somebody else chose: whatever its writing direction, the text around it keeps its own.
 * @param {string} text @param {Record<string, string>} attributes
 */
export function foreign(text, attributes = {}) {
  return element('bdi', attributes, text);
}

/**
 * Replaces the contents of an element. Nodes that are equal stay, because they may have the focus or be selected.
 * @param {Element} place @param {(Node | string)[]} children
 */
export function renew(place, ...children) {
  const before = [...place.childNodes];
  const after = [...element('div', {}, ...children).childNodes];
  after.forEach((child, n) => {
    const old = before[n];
    if (!old) place.append(child);
    else if (!old.isEqualNode(child)) old.replaceWith(child);
  });
  before.slice(after.length).forEach((old) => old.remove());
}
