// `/login?code=`: sends the link's code, once a person looks at the page. A preview or a prefetch uses no link up.

const form = /** @type {HTMLFormElement} */ (document.querySelector('form'));

function send() {
  if (document.visibilityState !== 'visible') return;
  document.removeEventListener('visibilitychange', send);
  // The address is in the history as the place it leads to; the code need not be.
  history.replaceState(null, '', '/login');
  form.requestSubmit();
}

document.addEventListener('visibilitychange', send);
send();
