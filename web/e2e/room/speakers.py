"""People in a real room who say time codes. Reads a plan from the first argument and prints, one JSON object a line, what was
sent when.

plan: {"room", "seconds", "start" (Unix time), "key" (end-to-end encrypts), "people": [{"identity", "number", "join", "leave", "back", "mute": [from, to],
"agent", "offset", "tone", "bursts": [speaks, rests], "red", "dtx", "video", "attributes", "sets": {"at", "attributes"}, "texts": [{"at", "topic", "text", "attributes"}]}]};
times in seconds from the start. Who speaks in bursts gives nothing to LiveKit while they rest, as an agent does between its
turns. From the second "tone" on it is a tone instead, which goes on until the connection is closed.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import sys
import threading
import time

# Real time before anything else that this machine does, where that is allowed. The SDK's own threads begin when it is loaded.
with contextlib.suppress(OSError):
    os.nice(-10)

import numpy as np
from livekit import api, rtc

from codes import RATE, chirp

PLAN = json.loads(sys.argv[1])
URL, KEY, SECRET = (os.environ[name] for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"))
START = PLAN.get("start") or time.time() + 0.5
# Each frame costs the SDK as much, however long it is (40 ms).
FRAME = RATE // 25
# What is queued lasts this long. A speaker who gets no processor for longer has nothing to send meanwhile, says so, and goes on later
# than before: how far the SDK's own queue is from what it says of it is another constant from then on.
QUEUE_MS = 200
# From this silence on it is said (two packets).
DRY = 0.02
# The SDK's own threads that give sound to the encoder every 10 ms, and for how long they may wait for a processor (s). Python knows nothing
# of it: its frames are queued before them.
GIVES_SOUND = ("livekit-audio", "AudioSource")
HELD = 0.02
# A second of 440 Hz: a whole number of waves, so that it goes on in the next second's.
TONE = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE) / 2
# Who speaks now.
SPEAKING = set()


def say(**what):
    # Threads say something too: a line is one write.
    os.write(1, f"{json.dumps(what)}\n".encode())


def token(person):
    grants = api.VideoGrants(room_join=True, room=PLAN["room"])
    made = api.AccessToken(KEY, SECRET).with_identity(person["identity"]).with_name(person["identity"].title()).with_grants(grants)
    if person.get("agent"):
        made = made.with_kind("agent")
    if person.get("sets"):
        made = made.with_grants(api.VideoGrants(room_join=True, room=PLAN["room"], can_update_own_metadata=True))
    return made.with_attributes(person.get("attributes", {})).to_jwt()


async def until(second):
    await asyncio.sleep(max(0, START + second - time.time()))


def waited():
    """For how long each thread that gives sound to the encoder has waited for a processor (s), as Linux counts it."""
    threads = {}
    for thread in os.listdir("/proc/self/task"):
        # It may end meanwhile.
        with contextlib.suppress(OSError):
            place = pathlib.Path("/proc/self/task", thread)
            if place.joinpath("comm").read_text().startswith(GIVES_SOUND):
                threads[thread] = int(place.joinpath("schedstat").read_text().split()[1]) / 1e9
    return threads


def watch_threads():
    """Says of all who speak when the SDK was held up."""
    before = waited()
    while True:
        # Waits of a moment add up in a longer time.
        time.sleep(0.03)
        after = waited()
        by = max((seconds - before.get(thread, 0) for thread, seconds in after.items()), default=0)
        before = after
        if by > HELD:
            for identity in list(SPEAKING):
                say(kind="late", identity=identity, at=time.time(), by=by)


async def is_sent(track):
    """Waits until packets of a track leave for LiveKit."""
    for _ in range(200):
        stats = await track.get_stats()
        if any(one.WhichOneof("stats") == "outbound_rtp" and one.outbound_rtp.sent.packets_sent > 0 for one in stats):
            return
        await asyncio.sleep(0.05)
    raise RuntimeError("no packet was sent in 10 s")


async def speak(person, source, stop, begins):
    """Real-time sound: a chirp at the beginning of each second (`offset` later), silence between, and before it `begins`."""
    second, sound = None, np.zeros(0)
    position, expected = 0, None
    while not stop.is_set():
        sent = time.time() + source.queued_duration
        if expected is not None and sent - expected > DRY:
            say(kind="late", identity=person["identity"], at=sent, by=sent - expected)
        expected = sent + FRAME / RATE
        now = int(sent - START - person.get("offset", 0))
        speaks, rests = person.get("bursts", (1, 0))
        if begins.is_set() and now != second and now % (speaks + rests) >= speaks:
            await until(now - now % (speaks + rests) + speaks + rests + person.get("offset", 0))
            expected = None
            continue
        if "tone" in person and now >= person["tone"] and begins.is_set():
            sound, position = TONE, position % RATE
        elif now != second and begins.is_set():
            second, sound, position = now, chirp(person["number"], now), 0
            say(kind="code", identity=person["identity"], number=person["number"], second=second, sent=sent)
        block = np.zeros(FRAME)
        piece = sound[position:position + FRAME]
        block[:len(piece)] = piece
        position += FRAME
        frame = rtc.AudioFrame.create(RATE, 1, FRAME)
        np.frombuffer(frame.data, dtype=np.int16)[:] = (block * 14_000).astype(np.int16)
        await source.capture_frame(frame)


async def camera(room):
    source = rtc.VideoSource(320, 240)
    track = rtc.LocalVideoTrack.create_video_track("cam", source)
    await room.local_participant.publish_track(track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA))
    shade = 0
    while True:
        shade = (shade + 5) % 255
        source.capture_frame(rtc.VideoFrame(320, 240, rtc.VideoBufferType.RGBA, bytes([shade]) * (320 * 240 * 4)))
        await asyncio.sleep(0.1)


async def texts(person, room, sid):
    for text in person.get("texts", []):
        await until(text["at"])
        attributes = {"lk.transcribed_track_id": sid, **text.get("attributes", {})}
        writer = await room.local_participant.stream_text(topic=text["topic"], attributes=attributes)
        for word in text["text"].split(" "):
            await writer.write(word + " ")
            await asyncio.sleep(text.get("pause", 0.02))
        await writer.aclose()


async def sets(person, room):
    if person.get("sets"):
        await until(person["sets"]["at"])
        await room.local_participant.set_attributes(person["sets"]["attributes"])
        say(kind="attributes", identity=person["identity"], at=time.time())


async def stay(person, join, leave):
    await until(join)
    room = rtc.Room()
    room.on("disconnected", lambda reason: say(kind="disconnected", identity=person["identity"], reason=str(reason)))
    encryption = None
    if PLAN.get("key"):
        encryption = rtc.E2EEOptions(key_provider_options=rtc.KeyProviderOptions(shared_key=PLAN["key"].encode()))
    await room.connect(URL, token(person), rtc.RoomOptions(auto_subscribe=False, encryption=encryption))
    source = rtc.AudioSource(RATE, 1, queue_size_ms=QUEUE_MS)
    track = rtc.LocalAudioTrack.create_audio_track("mic", source)
    options = rtc.TrackPublishOptions(
        source=rtc.TrackSource.SOURCE_MICROPHONE, red=bool(person.get("red")), dtx=bool(person.get("dtx")))
    publication = await room.local_participant.publish_track(track, options)
    stop, begins = asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(speak(person, source, stop, begins)), asyncio.create_task(texts(person, room, publication.sid)),
             asyncio.create_task(sets(person, room))]
    await is_sent(track)
    begins.set()
    SPEAKING.add(person["identity"])
    say(kind="joined", identity=person["identity"], at=time.time(), track=publication.sid)
    if person.get("video"):
        tasks.append(asyncio.create_task(camera(room)))
    if person.get("mute") and join <= person["mute"][0] < leave:
        await until(person["mute"][0])
        track.mute()
        say(kind="mute", identity=person["identity"], at=time.time())
        await until(person["mute"][1])
        track.unmute()
        say(kind="unmute", identity=person["identity"], at=time.time())
    await until(leave)
    SPEAKING.discard(person["identity"])
    say(kind="left", identity=person["identity"], at=time.time())
    if "tone" not in person:
        stop.set()
        await tasks[0]
    for task in tasks[1:]:
        task.cancel()
    await room.disconnect()
    say(kind="gone", identity=person["identity"], at=time.time())
    tasks[0].cancel()


async def person(about):
    end = PLAN["seconds"]
    await stay(about, about.get("join", 0), about.get("leave", end))
    if "back" in about:
        await stay(about, about["back"], end)


async def main():
    say(kind="sdk", version=rtc.__version__)
    say(kind="start", at=START)
    threading.Thread(target=watch_threads, daemon=True).start()
    await asyncio.gather(*(person(about) for about in PLAN["people"]))


asyncio.run(main())
# Not by way of the SDK's own end: where a frame is still being captured, its library aborts the process then.
os._exit(0)
