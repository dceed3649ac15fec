"""Time-coded sound: once a second a short chirp that tells which second of which speaker it is."""

import numpy as np

RATE = 48_000
LENGTH = int(0.3 * RATE)
SWEEP = 40
HARMONICS = (1, 2, 3, 4, 5, 6)


def chirp(speaker: int, second: int) -> np.ndarray:
    """The chirp of one second: eight pitches, rising for even speakers and falling for odd ones.

    It has the pitch and the harmonics of a voice: out of libopus at 24 to 48 kb/s it comes with a match of 0.95 and more, wherever the
    frames fall. A pure tone that sweeps has 0.3 to 1. Two different chirps match by 0.23 at most.
    """
    low = 110 + 30 * ((second * 5 + speaker * 3) % 8)
    t = np.arange(LENGTH) / RATE
    sweep = SWEEP * (1 if speaker % 2 == 0 else -1)
    start = low if sweep > 0 else low + SWEEP
    phase = 2 * np.pi * (start * t + sweep * t * t / (2 * 0.3))
    sound = sum(np.sin(harmonic * phase) for harmonic in HARMONICS)
    fade = np.minimum(1, np.minimum(np.arange(LENGTH), np.arange(LENGTH)[::-1]) / (0.01 * RATE))
    return sound / np.abs(sound).max() * fade


def find(sound: np.ndarray, expected: float, speaker: int, second: int, reach: float = 0.3):
    """Where a chirp lies near an expected time (seconds): its distance from there, and how sure that is (0 to 1)."""
    return match(sound, expected, chirp(speaker, second), reach)


def find_parts(sound: np.ndarray, expected: float, speaker: int, second: int):
    """Where the beginning and the rest of a chirp lie that was moved inside of it by no more than 6 ms, as `find` says it of the whole: those of the
    place in it at which both match best."""
    pattern = chirp(speaker, second)
    best = None
    for at in range(LENGTH // 15, LENGTH, LENGTH // 15):
        parts = [match(sound, expected + begin / RATE, part, 0.006) for begin, part in ((0, pattern[:at]), (at, pattern[at:]))]
        worse = min(score for _, score in parts)
        if best is None or worse > best[0]:
            best = worse, parts
    return best[1]


def match(sound: np.ndarray, expected: float, pattern: np.ndarray, reach: float):
    """Where a pattern lies near an expected time (seconds): its distance from there, and how sure that is (0 to 1)."""
    length = len(pattern)
    begin = int((expected - reach) * RATE)
    window = np.zeros(int(2 * reach * RATE) + length)
    from_, to = max(0, begin), min(len(sound), begin + len(window))
    if to <= from_:
        return None, 0.0
    window[from_ - begin:to - begin] = sound[from_:to]
    size = 1 << (len(window) + length).bit_length()
    product = np.fft.irfft(np.fft.rfft(window, size) * np.conj(np.fft.rfft(pattern, size)), size)[:len(window) - length + 1]
    energy = np.cumsum(np.concatenate([[0], window ** 2]))
    norm = np.sqrt((energy[length:] - energy[:-length]) * np.sum(pattern ** 2)) + 1e-9
    # Where there is next to nothing, everything looks like a chirp.
    loud = np.sqrt((energy[length:] - energy[:-length]) / length) > 200
    score = np.where(loud, product / norm, 0)
    best = int(np.argmax(score))
    return best / RATE - reach, float(score[best])


def main():
    """codes.py SOUND(s16le stereo 48 kHz) ZERO(Unix seconds of its first sample) < lines of speakers.py: one JSON a code."""
    import json
    import sys

    sound = np.fromfile(sys.argv[1], dtype=np.int16).reshape(-1, 2).astype(np.float64)
    zero = float(sys.argv[2])
    agents = set(sys.argv[3].split(",")) if len(sys.argv) > 3 else set()
    for line in sys.stdin:
        event = json.loads(line)
        if event.get("kind") != "code":
            continue
        channel = 0 if event["identity"] in agents else 1
        at = event["sent"] - zero
        off, score = find(sound[:, channel], at, event["number"], event["second"])
        _, other = find(sound[:, 1 - channel], at, event["number"], event["second"])
        parts = []
        if 0.3 < score < 0.8:
            parts = [[round((off + part) * 1000, 1), round(sure, 3)]
                     for part, sure in find_parts(sound[:, channel], at + off, event["number"], event["second"])]
        print(json.dumps({**event, "at": at, "channel": channel, "off_ms": None if off is None else round(off * 1000, 1),
                          "score": round(score, 3), "other": round(other, 3), "parts": parts}))


if __name__ == "__main__":
    main()
