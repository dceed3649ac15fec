// The page `/login?code=`: submits the link's code once a person looks at the page, so that no preview or prefetch uses it up.

const form = /** @type {HTMLFormElement} */ (document.querySelector('form'));

function send() {
  if (document.visibilityState !== 'visible') return;
  document.removeEventListener('visibilitychange', send);
  // The page stays in the history; the code need not be in its address there.
  history.replaceState(null, '', '/login');
  form.requestSubmit();
}

document.addEventListener('visibilitychange', send);
send();
