// What was really sent of a code: its packets as they came, out of the participant's track, decoded by ffmpeg alone.

import { packets } from './traces.mjs';

const RATE = 48_000;
/** Packets that stand for what did not come are smaller than any with a voice in it. */
const VOICED = 10;

/** The length of an Opus packet in samples (RFC 6716, section 3.1). */
function samples(packet) {
  const config = packet[0] >> 3;
  const frame = config < 12 ? [480, 960, 1920, 2880][config & 3] : config < 16 ? [480, 960][config & 1] : [120, 240, 480, 960][config & 3];
  const count = [1, 2, 2, packet[1] & 63][packet[0] & 3];
  return frame * count;
}

/** Whether all packets of some seconds of an Ogg Opus file came, rather than silence in their place. */
export function isComplete(ogg, from, to) {
  // The identification header begins 28 bytes into the file; its pre-skip is at its byte 10 (RFC 7845, section 5.1).
  let at = -ogg.readUInt16LE(28 + 10);
  const inside = packets(ogg).filter((packet) => {
    const begin = at / RATE;
    at += samples(packet);
    return at / RATE > from && begin < to;
  });
  return inside.length > 0 && inside.every((packet) => packet.length >= VOICED);
}
