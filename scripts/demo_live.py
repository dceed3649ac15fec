"""make demo-live: a LiveKit server, EchoSphere, and a call between two people in a real room, recorded while it goes on.

The two people say what a caller and an agent said in a recorded session (testdata/agent-sessions/order): each channel of that
recording is one participant. Everything runs on this machine, on ports of its own, and ends with Ctrl-C.
"""

import asyncio
import io
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import av
import numpy as np
from livekit import api, rtc

ROOT = pathlib.Path(__file__).resolve().parent.parent
SESSION = ROOT / "testdata/agent-sessions/order"
FOLDER = ROOT / ".demo/live"
KEY, SECRET = "devkey", "secretsecretsecretsecretsecretsecret"
RATE, ROOM = 48_000, "demo-call"
started = []


def port(wanted=0):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def launch(name, command, **environment):
    FOLDER.mkdir(parents=True, exist_ok=True)
    log = open(FOLDER / f"{name}.log", "w")
    started.append(subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log))
    print(f"  {name}: started, its log is {(FOLDER / f'{name}.log').relative_to(ROOT)}", flush=True)


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()


def wait_for(what, url):
    for _ in range(100):
        try:
            return get(url)
        except OSError:
            if any(process.poll() is not None for process in started):
                break
            time.sleep(0.2)
    sys.exit(f"demo-live: {what} did not start; look into {FOLDER.relative_to(ROOT)}")


def parts():
    """The recorded upload: its sound (stereo, the user on the left) and its chat history."""
    body = (SESSION / "body.bin").read_bytes()
    boundary = body[:body.index(b"\r\n")]
    sound, history = None, {"items": []}
    for part in body.split(boundary):
        head, _, content = part.partition(b"\r\n\r\n")
        if b"OggS" in content[:64]:
            sound = content[content.index(b"OggS"):]
        elif b"chat_history" in head and content.lstrip()[:1] in (b"{", b"["):
            history = json.loads(content.rstrip(b"\r\n-"))
    frames = []
    with av.open(io.BytesIO(sound)) as container:
        resampler = av.AudioResampler(format="s16", layout="stereo", rate=RATE)
        for frame in container.decode(audio=0):
            frames += [made.to_ndarray().reshape(-1, 2) for made in resampler.resample(frame)]
    return np.concatenate(frames), history


def lines(history, role):
    """What was said, and how many seconds after the first line it began."""
    items = history["items"] if isinstance(history, dict) else history
    said = []
    for item in items:
        metrics = item.get("metrics") or {}
        text = " ".join(text for text in item.get("content") or [] if isinstance(text, str))
        if item.get("type") == "message" and text and metrics.get("started_speaking_at"):
            said.append((item["role"], metrics["started_speaking_at"], text))
    first = min((at for _, at, _ in said), default=0)
    return [(at - first, text) for who, at, text in said if who == role]


async def person(url, identity, sound, texts, lead, agent):
    grants = api.VideoGrants(room_join=True, room=ROOM)
    token = api.AccessToken(KEY, SECRET).with_identity(identity).with_grants(grants)
    if agent:
        token = token.with_kind("agent")
    room = rtc.Room()
    await room.connect(url, token.to_jwt(), rtc.RoomOptions(auto_subscribe=False))
    source = rtc.AudioSource(RATE, 1, queue_size_ms=200)
    track = rtc.LocalAudioTrack.create_audio_track("mic", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    publication = await room.local_participant.publish_track(track, options)
    began = time.time()

    async def write():
        for number, (at, text) in enumerate(texts):
            await asyncio.sleep(max(0, began + lead + at - time.time()))
            attributes = {"lk.segment_id": f"SG_{identity}_{number}", "lk.transcribed_track_id": publication.sid,
                          "lk.transcription_final": "true"}
            await room.local_participant.send_text(text, topic="lk.transcription", attributes=attributes)

    writing = asyncio.create_task(write())
    block = RATE // 100
    for at in range(0, len(sound) - block, block):
        frame = rtc.AudioFrame.create(RATE, 1, block)
        np.frombuffer(frame.data, dtype=np.int16)[:] = sound[at:at + block]
        await source.capture_frame(frame)
    await writing
    await asyncio.sleep(0.3)
    await room.disconnect()


async def call(url):
    sound, history = parts()
    loud = np.abs(sound[:, 1].astype(np.int32)) > 600
    lead = int(np.argmax(loud)) / RATE
    await asyncio.gather(
        person(url, "caller", sound[:, 0], lines(history, "user"), lead, False),
        person(url, "assistant", sound[:, 1], lines(history, "assistant"), lead, True))


def main():
    once = "--once" in sys.argv
    server, tcp, udp, page = port(7880), port(7881), port(7882), port(8080)
    livekit, echosphere = f"http://127.0.0.1:{server}", f"http://127.0.0.1:{page}"
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "livekit.yaml").write_text(f"""port: {server}
bind_addresses: ["127.0.0.1"]
rtc: {{tcp_port: {tcp}, udp_port: {udp}, node_ip: 127.0.0.1, use_external_ip: false, enable_loopback_candidate: true}}
keys: {{{KEY}: "{SECRET}"}}
room: {{departure_timeout: 2}}
webhook: {{api_key: {KEY}, urls: ["{echosphere}/livekit/webhook"]}}
""")
    program = next((ROOT / ".tools").glob("livekit-server-v*"))
    launch("livekit", [str(program), "--config", str(FOLDER / "livekit.yaml")])
    wait_for("LiveKit", livekit)
    launch("echosphere", [str(ROOT / "target/release/echosphere"), "serve", "--no-auth"], LIVEKIT_URL=livekit.replace("http", "ws"),
           LIVEKIT_API_KEY=KEY, LIVEKIT_API_SECRET=SECRET, ECHOSPHERE_DATA_DIR=str(FOLDER / "data"),
           ECHOSPHERE_LISTEN=f"127.0.0.1:{page}", ECHOSPHERE_RECORDER_AUTO_RECORD="demo-*", ECHOSPHERE_LOG_FORMAT="text")
    wait_for("EchoSphere", f"{echosphere}/healthz")
    print(f"\nA caller and an agent talk in the room {ROOM}. Listen in:  {echosphere}/", flush=True)

    async def talk():
        talking = asyncio.create_task(call(livekit.replace("http", "ws")))
        shown = False
        while not talking.done():
            await asyncio.sleep(0.5)
            items = json.loads(get(f"{echosphere}/v1/recordings"))["items"]
            if not shown and items and items[0]["status"] == "ACTIVE":
                print(f"It is live:  {items[0]['page_url']}", flush=True)
                shown = True
        await talking

    asyncio.run(talk())
    print("They have hung up.", flush=True)
    for _ in range(120):
        newest = json.loads(get(f"{echosphere}/v1/recordings"))["items"][0]
        if newest["status"] in ("COMPLETED", "FAILED"):
            break
        time.sleep(0.5)
    print(f"{newest['status']}, {newest['duration_ms'] / 1000:.1f} s, partial: {newest['partial']}\nThe replay:  {newest['page_url']}", flush=True)
    if newest["status"] != "COMPLETED":
        sys.exit(1)
    if not once:
        print("Ctrl-C stops.", flush=True)
        signal.pause()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    finally:
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            process.wait(timeout=10)
