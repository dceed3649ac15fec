// A LiveKit server, and a server that records its rooms, for all tests of a file that imports them: started before the first one, stopped
// after the last one.

import { after, before } from 'node:test';

import { EchoSphere, LiveKit } from '../harness.mjs';

/** @type {LiveKit} */
export let livekit;
/** @type {EchoSphere} */
export let server;

before(async () => {
  livekit = await LiveKit.start();
  server = await EchoSphere.start(livekit.env);
});

after(async () => {
  await server?.stop();
  await livekit?.stop();
});
