// Programs that tests start, and waiting for what they do.

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));
export const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Whether a server, of net or dgram, gets what it asks for. */
function gets(server, ask) {
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    ask(() => server.close(() => resolve(true)));
  });
}

/**
 * A port that nobody has, for TCP and UDP. It lies below the range that the kernel takes the ports of connections from: none of
 * those may take it before the server does, or while the server is away.
 */
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const tcp = createServer();
    const udp = createSocket('udp4');
    if (await gets(tcp, (then) => tcp.listen(port, '0.0.0.0', then)) && await gets(udp, (then) => udp.bind(port, '0.0.0.0', then))) return port;
  }
}

/** What was started and goes on: each can be stopped. */
export const running = new Set();

/**
 * Gives what this process starts the processors before all else, where that is allowed: sessions share them evenly (autogroup, sched(7)),
 * whatever the niceness inside of each. In reality it runs on other machines.
 */
function putFirst({ pid }) {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, '-5');
  } catch { /* not root, or another kernel */ }
}

/**
 * Starts a program in a process group of its own, before all else if it is one that runs `elsewhere` in reality, with a pipe as its input if it
 * `reads`; `stop` ends all of it.
 */
export function start(program, args, { env = {}, cwd = root, log = null, elsewhere = false, reads = false } = {}) {
  const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, detached: true, stdio: [reads ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
  if (elsewhere) putFirst(child);
  let output = '';
  const take = (data) => { output += data; if (log) process.stderr.write(`[${log}] ${data}`); };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const ended = new Promise((resolve) => { child.on('exit', resolve); });
  child.on('error', (error) => take(`${program}: ${error.message}`));
  const stop = async (signal = 'SIGKILL') => {
    try { process.kill(-child.pid, signal); } catch { /* it is gone already */ }
    await Promise.race([ended, sleep(5000)]);
  };
  const started = { child, stop, ended, output: () => output };
  running.add(started);
  void ended.then(() => running.delete(started));
  return started;
}

/** Waits until `check` returns something, or says what was waited for. */
export async function until(what, check, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  let last;
  while (Date.now() < end) {
    try {
      const value = await check();
      if (value) return value;
    } catch (error) { last = error; }
    await sleep(100);
  }
  throw new Error(`waited ${seconds} s for ${what}${last ? `: ${last.message}` : ''}`);
}
