// Keyboard shortcuts of the player; they work only while the focus is in it (WCAG 2.1.4).

/** @typedef {{toggle(): void, skip(ms: number): void, step(direction: 1 | -1): void, faster(direction: 1 | -1): void, mute(): void, follow(): void, help(): void}} Actions */

/** What the keys do, for the help. */
export const KEYS = [
  ['Space or K', 'play or pause'],
  ['← → or J L', '5 seconds back or on'],
  ['↑ ↓', 'turn before or after'],
  ['< >', 'slower or faster'],
  ['M', 'mute'],
  ['F', 'follow the sound'],
  ['?', 'this help'],
];

/** @param {HTMLElement} region @param {Actions} actions */
export function listen(region, actions) {
  /** @type {Record<string, () => void>} */
  const keys = {
    k: actions.toggle,
    ' ': actions.toggle,
    j: () => actions.skip(-5000),
    l: () => actions.skip(5000),
    ArrowLeft: () => actions.skip(-5000),
    ArrowRight: () => actions.skip(5000),
    ArrowUp: () => actions.step(-1),
    ArrowDown: () => actions.step(1),
    '<': () => actions.faster(-1),
    '>': () => actions.faster(1),
    m: actions.mute,
    f: actions.follow,
    '?': actions.help,
  };
  region.addEventListener('keydown', (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest('select, summary, input:not([type=range])')) return;
    // A button handles the space bar itself.
    if (event.key === ' ' && target.closest('button')) return;
    const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
