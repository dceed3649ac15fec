// An MP4 file as GPAC's parser sees it: whether it is well-formed, and its samples follow one another.

import assert from 'node:assert/strict';

import { Log, MP4BoxBuffer, createFile } from 'mp4box';

/** Appends an init section and segments one after the other; what the parser says against them. */
function parse(parts) {
  const complaints = [];
  const complain = (module, message) => complaints.push(`${module}: ${message}`);
  const { warn, error } = Log;
  Object.assign(Log, { warn: complain, error: complain });
  try {
    const file = createFile();
    file.onError = complain;
    let at = 0;
    for (const part of parts) {
      file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(new Uint8Array(part).buffer, at));
      at += part.length;
    }
    file.flush();
    return { file, complaints, length: at };
  } finally {
    Object.assign(Log, { warn, error });
  }
}

/** All boxes of a file, those inside of others too. */
function boxesOf(boxes) {
  return (boxes ?? []).flatMap((box) => [box, ...boxesOf(box.boxes)]);
}

/** Checks an init section of Opus in fragmented MP4 and the segments that follow it. */
export function assertMp4(parts) {
  const { file, complaints, length } = parse(parts);
  assert.deepEqual(complaints, []);
  const boxes = boxesOf(file.boxes);
  for (const box of boxes) assert.ok(!box.has_unparsed_data, `${box.type} has bytes that are in no field`);
  assert.equal(file.boxes.reduce((sum, box) => sum + box.size, 0), length, 'every byte is in a box');
  const info = file.getInfo();
  assert.ok(info.isFragmented && info.brands.includes('Opus'), JSON.stringify(info.brands));
  const [track, ...others] = info.tracks;
  assert.deepEqual([track.codec, track.timescale, track.audio.sample_rate, track.audio.channel_count, others], ['Opus', 48_000, 48_000, 2, []]);
  const moofs = file.boxes.filter((box) => box.type === 'moof');
  assert.equal(moofs.length, parts.length - 1);
  const samples = file.getTrackSamplesInfo(track.id);
  let end = samples[0]?.dts ?? 0;
  for (const sample of samples) {
    assert.deepEqual([sample.dts, sample.cts, sample.is_sync], [end, end, true]);
    assert.ok(sample.size > 0 && sample.duration > 0 && sample.offset + sample.size <= length, JSON.stringify(sample));
    end += sample.duration;
  }
  assert.ok(samples.length > 0, 'there are samples');
}
