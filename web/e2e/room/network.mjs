// What may stand between EchoSphere and LiveKit's TCP port: a connection that is cut, and one that speaks TLS.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';

/** Joins two sockets; `sockets` has them for as long as they live. What comes back to the near one may be changed. */
function relay(near, far, sockets, change = (data) => data) {
  for (const [from, to] of [[near, far], [far, near]]) {
    sockets.add(from);
    from.on('data', (data) => to.write(from === far ? change(data) : data));
    from.on('close', () => { sockets.delete(from); to.destroy(); });
    from.on('error', () => to.destroy());
  }
}

/** Node 20 never ends after it has reset a socket that was about to close by itself. */
function reset(socket) {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

const listening = (server) => new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(server.address().port)); });

/** A proxy for TCP that can be cut: every connection is reset, and new ones are refused for a while. `change` may alter what comes back. */
export async function cuttable(target, change = undefined) {
  const sockets = new Set();
  let downUntil = 0;
  const proxy = createServer((near) => {
    if (Date.now() < downUntil) { near.destroy(); return; }
    relay(near, connect(target, '127.0.0.1'), sockets, change);
  });
  const port = await listening(proxy);
  return {
    url: `ws://127.0.0.1:${port}`,
    cut: (ms) => { downUntil = Date.now() + ms; sockets.forEach(reset); },
    close: () => { for (const socket of sockets) socket.destroy(); proxy.close(); },
  };
}

/** A certificate authority of its own making, and a certificate for `localhost` that it signed; the files' paths. */
export function authority(folder) {
  const path = (name) => join(folder, name);
  const openssl = (...args) => execFileSync('openssl', args, { stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', path('ca.key'), '-out', path('ca.pem'), '-days', '2', '-subj', '/CN=Authority of a test',
    '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign');
  openssl('req', ...key, '-keyout', path('server.key'), '-out', path('server.csr'), '-subj', '/CN=localhost');
  writeFileSync(path('server.ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n');
  openssl('x509', '-req', '-in', path('server.csr'), '-CA', path('ca.pem'), '-CAkey', path('ca.key'), '-CAcreateserial',
    '-out', path('server.pem'), '-days', '2', '-extfile', path('server.ext'));
  return { ca: path('ca.pem'), cert: path('server.pem'), key: path('server.key') };
}

/** A proxy that speaks TLS in front of a TCP port; `requests` are the first lines that clients sent, `refused` counts handshakes that failed. */
export async function tlsFront(target, files) {
  const sockets = new Set();
  const seen = { requests: [], refused: 0 };
  const proxy = createTlsServer({ cert: readFileSync(files.cert), key: readFileSync(files.key) }, (near) => {
    near.once('data', (data) => seen.requests.push(data.toString('latin1').split('\r\n', 1)[0].split('?', 1)[0]));
    relay(near, connect(target, '127.0.0.1'), sockets);
  });
  proxy.on('tlsClientError', () => { seen.refused += 1; });
  const port = await listening(proxy);
  return { seen, port, close: () => { for (const socket of sockets) socket.destroy(); proxy.close(); } };
}
