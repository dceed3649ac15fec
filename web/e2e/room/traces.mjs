// Looking for what was said in everything that EchoSphere wrote.

import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

/** Every file of a server and every object in its bucket: the path, and the bytes. A file that goes meanwhile has none. */
export async function kept(server) {
  const read = (path) => { try { return readFileSync(path); } catch { return Buffer.alloc(0); } };
  return (await server.files()).map((path) => ({ path: relative(server.dir, path), bytes: read(path) }));
}

/** Where a word is found, as it is spelled or in any other case. */
export function find(files, word) {
  return files.filter(({ bytes }) => bytes.toString('latin1').toLowerCase().includes(word.toLowerCase())).map(({ path }) => path);
}

/** The packets of an Ogg Opus file, without its two headers (RFC 3533, section 6). */
export function packets(ogg) {
  const found = [];
  let parts = [];
  for (let at = 0; at + 27 <= ogg.length;) {
    const table = ogg.subarray(at + 27, at + 27 + ogg[at + 26]);
    at += 27 + table.length;
    for (const length of table) {
      parts.push(ogg.subarray(at, at + length));
      at += length;
      if (length < 255) {
        found.push(Buffer.concat(parts));
        parts = [];
      }
    }
  }
  return found.slice(2);
}

const MARK = 16;

/** 16 bytes out of the middle of each packet that has something to say: what two silent ones, or padding, have in common tells nothing. */
export function marks(ogg) {
  const middle = (packet) => packet.subarray((packet.length - MARK) >> 1, ((packet.length - MARK) >> 1) + MARK);
  return packets(ogg).filter((packet) => packet.length >= 40).map(middle).filter((mark) => new Set(mark).size >= 12);
}

/** Which of these marks are found (as hex), how many that is, and in which files. */
export function findMarks(files, wanted) {
  const byStart = new Map();
  for (const mark of wanted) {
    const start = mark.readUInt32LE();
    byStart.set(start, [...byStart.get(start) ?? [], mark]);
  }
  const found = new Set();
  const paths = new Set();
  for (const { path, bytes } of files) {
    for (let at = 0; at + MARK <= bytes.length; at += 1) {
      for (const mark of byStart.get(bytes.readUInt32LE(at)) ?? []) {
        if (bytes.compare(mark, 0, MARK, at, at + MARK) === 0) {
          found.add(mark.toString('hex'));
          paths.add(path);
        }
      }
    }
  }
  return { found, count: found.size, paths: [...paths] };
}
