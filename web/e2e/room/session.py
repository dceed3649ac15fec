"""What an agent would have recorded of a call: the user's codes on the left and the agent's on the right, s16le on standard output.

session.py ZERO(Unix seconds of its first sample) SECONDS DELAYS(JSON: identity to seconds that its sound takes to the agent)
AGENTS(identities, comma) < lines of speakers.py
"""

import json
import sys

import numpy as np

from codes import RATE, chirp

zero, seconds, delays, agents = float(sys.argv[1]), float(sys.argv[2]), json.loads(sys.argv[3]), set(sys.argv[4].split(","))
sound = np.zeros((int(seconds * RATE), 2))
for line in sys.stdin:
    event = json.loads(line)
    if event.get("kind") != "code" or event["identity"] not in delays:
        continue
    said = chirp(event["number"], event["second"])
    at = int((event["sent"] + delays[event["identity"]] - zero) * RATE)
    part = said[max(0, -at):max(0, len(sound) - at)]
    at = max(0, at)
    sound[at:at + len(part), 1 if event["identity"] in agents else 0] += part
sys.stdout.buffer.write((sound * 11_000).astype(np.int16).tobytes())
