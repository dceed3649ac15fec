"""A voice that never rests and says time codes: voice.py NUMBER SECONDS OFFSET prints its sound (s16le mono 48 kHz). A chirp begins each second, `offset`
later; below it hums the speaker's own vowel, so that there is something to be heard at each moment."""

import sys

import numpy as np

from codes import HARMONICS, RATE, chirp

HUM = 0.2
# The sum of two voices on one side stays below full scale.
LOUD = 10_000


def hum(number: int, length: int) -> np.ndarray:
    """A vowel whose pitch goes up and down by a tenth, so that it is like itself at no other time nearby."""
    t = np.arange(length) / RATE
    low = 97 + 23 * number
    phase = 2 * np.pi * low * (t - 0.1 * np.cos(2 * np.pi * 0.7 * t) / (2 * np.pi * 0.7))
    sound = sum(np.sin(harmonic * phase) / harmonic for harmonic in HARMONICS)
    return sound / np.abs(sound).max()


def main():
    number, seconds, offset = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    sound = HUM * hum(number, seconds * RATE)
    for second in range(seconds):
        code = chirp(number, second)
        at = int((second + offset) * RATE)
        sound[at:at + len(code)] += code[:len(sound) - at]
    sys.stdout.buffer.write((sound * LOUD).astype(np.int16).tobytes())


if __name__ == "__main__":
    main()
