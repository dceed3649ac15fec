// A call with a real agent that goes on when it is told to, line by line.

import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { freePort, python, root, start, until } from '../harness.mjs';

const agent = join(root, 'web/e2e/agent');

/** A call that is held at gates: before each of the caller's lines and before the goodbye. */
export async function call({ livekit, server, folder, room, attributes = {} }) {
  const gates = mkdtempSync(join(folder, 'gates-'));
  const env = {
    ...livekit.env, LIVEKIT_OBSERVABILITY_URL: server.url, E2E_PORT: String(await freePort()), E2E_SCRIPT: 'script-redaction.json',
    E2E_GATES: gates, E2E_ATTRIBUTES: JSON.stringify(attributes),
  };
  const worker = start(python, ['agent.py', 'start'], { env, cwd: agent, elsewhere: true });
  await until('the worker', () => /registered worker/.test(worker.output()), 60);
  const caller = start(python, ['caller.py', room, 'e2e'], { env, cwd: agent, elsewhere: true });
  const said = () => caller.output().split('\n').filter((line) => line.startsWith('{"said"')).map((line) => JSON.parse(line));
  return {
    said,
    /** Lets the caller go on, and waits until the line was said and answered. */
    line: async (number) => {
      writeFileSync(join(gates, String(number)), '');
      return until(`line ${number}`, () => said()[number], 60);
    },
    bye: async () => {
      writeFileSync(join(gates, '3'), '');
      await caller.ended;
      // How the client library goes down is not what is tested; the agent leaves when its upload is done.
      assert.match(caller.output(), /"left"/, `${caller.output()}\n${worker.output().slice(-6000)}`);
      await livekit.api('DeleteRoom', { room });
    },
    stop: async () => { await caller.stop(); await worker.stop(); },
  };
}
