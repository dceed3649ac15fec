"""The caller: joins a room, waits for the agent, says its lines, hears the answer to each and says goodbye.

    python caller.py ROOM AGENT_NAME

E2E_SCRIPT names another script than script.json. With E2E_GATES, a folder, it waits before each line, and before the goodbye, until
a file with the line's number is there. E2E_ATTRIBUTES, as JSON, are the caller's attributes.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time

# Real time before anything else that this machine does, where that is allowed. The SDK's own threads begin when it is loaded.
with contextlib.suppress(OSError):
    os.nice(-10)

import numpy
from livekit import api, rtc

SCRIPT = json.loads(pathlib.Path(__file__).with_name(os.environ.get("E2E_SCRIPT", "script.json")).read_text())["caller"]
RATE, ESPEAK_RATE, WAV_HEADER = 48000, 22050, 44
FRAME = RATE // 50


def speech(text):
    command = ["espeak-ng", "-v", SCRIPT["voice"], "-s", "150", "--stdout", text]
    wav = subprocess.run(command, capture_output=True, check=True).stdout
    samples = numpy.frombuffer(wav[WAV_HEADER:], dtype=numpy.int16).astype(numpy.float32)
    count = int(len(samples) * RATE / ESPEAK_RATE)
    return numpy.interp(numpy.linspace(0, len(samples) - 1, count), numpy.arange(len(samples)), samples).astype(numpy.int16)


async def until(what, check, seconds=40):
    end = time.time() + seconds
    while time.time() < end:
        if check():
            return
        await asyncio.sleep(0.05)
    sys.exit(f"waited {seconds} s for {what}")


async def gate(number):
    if "E2E_GATES" in os.environ:
        await until(f"gate {number}", (pathlib.Path(os.environ["E2E_GATES"]) / str(number)).exists, 60)


async def main(room_name, agent_name):
    key, secret = os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"]
    dispatch = api.RoomConfiguration(agents=[api.RoomAgentDispatch(agent_name=agent_name)])
    grants = api.VideoGrants(room_join=True, room=room_name)
    token = api.AccessToken(key, secret).with_identity("caller").with_grants(grants).with_room_config(dispatch)
    token = token.with_attributes(json.loads(os.environ.get("E2E_ATTRIBUTES", "{}"))).to_jwt()
    room, source, queue = rtc.Room(), rtc.AudioSource(RATE, 1, queue_size_ms=200), []
    await room.connect(os.environ["LIVEKIT_URL"], token)
    track = rtc.LocalAudioTrack.create_audio_track("mic", source)
    await room.local_participant.publish_track(track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))

    async def microphone():
        noise = numpy.random.default_rng(0)
        while True:
            frame = noise.normal(0, 6, FRAME).astype(numpy.int16)
            begins = len(queue) > 0 and len(begun) == len(said)
            if queue:
                chunk, rest = queue[0][:FRAME], queue[0][FRAME:]
                frame[: len(chunk)] += chunk
                queue[:] = [rest] if len(rest) else []
            if begins:
                # On a busy machine a line is sent later than it was meant to be.
                begun.append(time.time() + source.queued_duration)
            await source.capture_frame(rtc.AudioFrame(frame.tobytes(), RATE, 1, FRAME))

    def agent_is(state):
        kind = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        agents = [p for p in room.remote_participants.values() if p.kind == kind]
        return bool(agents) and agents[0].attributes.get("lk.agent.state") == state

    said, begun = [], []
    task = asyncio.create_task(microphone())
    await until("the greeting", lambda: agent_is("speaking"))
    await until("its end", lambda: agent_is("listening"))
    await asyncio.sleep(1)
    for number, line in enumerate(SCRIPT["lines"]):
        await gate(number)
        sound = speech(line)
        await room.local_participant.publish_data(line.encode(), reliable=True, topic="said")
        queue.append(sound)
        await until("the line to begin", lambda: len(begun) > number)
        await until("the answer", lambda: agent_is("speaking"))
        await until("its end", lambda: agent_is("listening"))
        said.append({"said": line, "at": begun[number], "until": time.time()})
        print(json.dumps(said[-1]), flush=True)
    await gate(len(said))
    await asyncio.sleep(0.5)
    await room.local_participant.publish_data(b"bye", reliable=True, topic="bye")
    await until("the agent to leave", lambda: not room.remote_participants, 90)
    print(json.dumps({"left": "the agent"}), flush=True)
    task.cancel()
    await room.disconnect()


asyncio.run(main(*sys.argv[1:3]))
# Not by way of the SDK's own end: where a frame is still being captured, its library aborts the process then.
sys.stdout.flush()
os._exit(0)
