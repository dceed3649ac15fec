// Debian's Firefox, with a sound card that plays to nobody: without one its audio graph stands still.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import puppeteer from 'puppeteer-core';

import { program, start, stopsAfterwards, until } from './harness.mjs';

/** Starts PulseAudio with a card that takes sound in time and plays none; where it is reached. */
async function soundCard() {
  const home = mkdtempSync(join(tmpdir(), 'echosphere-pulse-'));
  const socket = join(home, 'native');
  const server = start(program('pulseaudio'), [
    '-n', '--daemonize=no', '--use-pid-file=no', '--exit-idle-time=-1', '--disallow-exit', '--log-level=info',
    '-L', 'module-null-sink sink_name=nobody rate=48000', '-L', `module-native-protocol-unix auth-anonymous=1 socket=${socket}`,
  ], { env: { HOME: home, XDG_RUNTIME_DIR: home } });
  await until('pulseaudio', () => /Daemon startup complete/.test(server.output()), 20).catch((error) => {
    throw new Error(`${error.message}\n${server.output()}`);
  });
  const stop = async () => {
    await server.stop();
    rmSync(home, { recursive: true, force: true });
  };
  return { address: `unix:${socket}`, stop };
}

/** Opens an empty page in a server's place: its own policy would let nothing in that is not the server's. */
async function goWithoutPolicy(page, go, url) {
  await page.setRequestInterception(true);
  const answer = (request) => (request.url() === url ? request.respond({ contentType: 'text/html', body: '<!doctype html>' }) : request.continue());
  page.on('request', answer);
  await go(url);
  page.off('request', answer);
  await page.setRequestInterception(false);
}

/** Firefox; with `bypassCSP` its page has nothing of the server's but the address. */
export async function firefox() {
  const card = await soundCard();
  const opened = await puppeteer.launch({
    browser: 'firefox',
    executablePath: program('firefox-esr'),
    env: { ...process.env, PULSE_SERVER: card.address },
    extraPrefsFirefox: {
      'media.autoplay.default': 0,
      'media.autoplay.blocking_policy': 0,
    },
  });
  return stopsAfterwards({
    newPage: async ({ bypassCSP = false } = {}) => {
      const page = await opened.newPage();
      const go = page.goto.bind(page);
      if (bypassCSP) page.goto = (url) => goWithoutPolicy(page, go, url);
      return page;
    },
    stop: async () => {
      await opened.close();
      await card.stop();
    },
  });
}
