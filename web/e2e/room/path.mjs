// The UDP path between a LiveKit server and everybody else: a proxy on 127.0.0.2 that can lose packets and go away.
//
// The server names 127.0.0.2 as its address and speaks ICE lite, so nobody is reached but by the packets he sends there first:
// all media pass here. Publishers of these tests subscribe to nothing; a flow on which RTP comes down is the recorder's.

import { createSocket } from 'node:dgram';

import { EchoSphere, LiveKit } from '../harness.mjs';
import { cuttable } from './network.mjs';

/** The address that the server names, where the proxy is; and where the server really is. */
const NAMED = '127.0.0.2';
const SERVER = '127.0.0.1';

/** RTP (RFC 7983) that is not RTCP (RFC 5761). */
const isRtp = (bytes) => bytes.length >= 12 && bytes[0] >= 128 && bytes[0] <= 191 && ((bytes[1] & 127) < 64 || (bytes[1] & 127) > 95);
const packetId = (bytes) => `${bytes.readUInt32BE(8)}/${bytes.readUInt16BE(2)}`;

function bound(address, port) {
  const socket = createSocket('udp4');
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, address, () => {
      socket.off('error', reject);
      socket.on('error', () => {});
      try { socket.setRecvBufferSize(1 << 20); } catch { /* the system's own size does as well */ }
      resolve(socket);
    });
  });
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export class UdpPath {
  /** Takes the place of a server's UDP port. */
  static async start(port) {
    const made = new UdpPath();
    Object.assign(made, { port, flows: new Map(), rate: 0, random: null, isAway: false, isBlocked: false });
    made.dropped = new Map();
    made.passed = 0;
    made.lastSpoken = 0;
    made.socket = await bound(NAMED, port);
    made.socket.on('message', (bytes, from) => made.up(bytes, from));
    return made;
  }

  up(bytes, from) {
    const name = `${from.address}:${from.port}`;
    let flow = this.flows.get(name);
    if (!flow) {
      flow = { client: from, isRecorder: false, isNew: this.isAway || this.isBlocked, waiting: [] };
      this.flows.set(name, flow);
      bound(SERVER, 0).then((socket) => {
        flow.socket = socket;
        socket.on('message', (back) => this.down(back, flow));
        for (const packet of flow.waiting.splice(0)) socket.send(packet, this.port, SERVER);
        if (this.isClosed) socket.close();
      });
    }
    if (this.isCut(flow)) return;
    if (isRtp(bytes)) this.lastSpoken = Date.now() / 1000;
    if (flow.socket) flow.socket.send(bytes, this.port, SERVER);
    else flow.waiting.push(bytes);
  }

  down(bytes, flow) {
    if (isRtp(bytes)) flow.isRecorder = true;
    if (this.isCut(flow)) return;
    if (isRtp(bytes) && this.isLost(bytes)) return;
    this.socket.send(bytes, flow.client.port, flow.client.address);
  }

  isLost(bytes) {
    const id = packetId(bytes);
    if (this.rate > 0 && this.random() < this.rate) {
      if (!this.dropped.has(id)) this.dropped.set(id, false);
      return true;
    }
    if (this.dropped.has(id)) this.dropped.set(id, true);
    else if (this.rate > 0) this.passed += 1;
    return false;
  }

  /** While the path is away nothing passes to or from the recorder, nor anybody new; while it is blocked, nobody new. */
  isCut(flow) {
    return (this.isAway && (flow.isRecorder || flow.isNew)) || (this.isBlocked && flow.isNew);
  }

  /** Whether a recorder hears something on this path. */
  get isHeard() {
    return [...this.flows.values()].some((flow) => flow.isRecorder);
  }

  /** Loses this share of all RTP packets that come down, chosen by a seed; 0 ends it. */
  lose(rate, seed = 1) {
    this.rate = rate;
    this.random = seeded(seed);
  }

  /** How many packets were lost at first, and how many of them came again. */
  get losses() {
    return { passed: this.passed, lost: this.dropped.size, recovered: [...this.dropped.values()].filter(Boolean).length };
  }

  /** Takes the path away from the recorder, and gives it back. */
  away(isAway) {
    this.isAway = isAway;
    if (!isAway) for (const flow of this.flows.values()) flow.isNew = false;
  }

  /** Lets nobody new pass. */
  block() {
    this.isBlocked = true;
  }

  close() {
    this.isClosed = true;
    this.socket.close();
    for (const flow of this.flows.values()) flow.socket?.close();
  }
}

/** Names the path in the server's UDP candidates, and leaves those of TCP; both have the same length, so that no frame changes its. */
export const redirected = (data) => Buffer.from(data.toString('latin1').replaceAll(/( udp \d+ )127\.0\.0\.1( \d+ typ host)/gi, `$1${NAMED}$2`), 'latin1');

/** A LiveKit server behind a UDP path, and an EchoSphere (with these variables) that records its rooms; signalling goes through `proxy`. */
export async function behindPath(rtc = {}, change = undefined, variables = {}) {
  const made = [];
  const stop = async () => { for (const one of made.reverse()) await one(); };
  const begun = (part, end) => { made.push(() => end(part)); return part; };
  try {
    const own = { node_ip: NAMED, use_ice_lite: true, ips: { includes: [`${SERVER}/32`] }, ...rtc };
    const livekit = begun(await LiveKit.start('', own), (part) => part.stop());
    const path = begun(await UdpPath.start(livekit.udp), (part) => part.close());
    const proxy = begun(await cuttable(livekit.port, change), (part) => part.close());
    const server = begun(await EchoSphere.start({ ...livekit.env, LIVEKIT_URL: proxy.url, ...variables }), (part) => part.stop());
    return { livekit, path, proxy, server, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
