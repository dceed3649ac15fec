"""How far the lines of live calls are shown from where they are heard: calls in a real room, in real time, with known speech.

    true_times.py [--only TEXT] [--at-once N] [--keep FOLDER]

Each call has its own room: an agent and one or two callers say eight lines by espeak-ng, and the agent sends text streams as the
agents SDK does. Where each line lies in the recording is found in the participant's own track, by cross-correlation with what was
said. That is held against the transcript as it is three seconds after each line's end, and when all is settled. ECHOSPHERE_PROGRAM
names the program; target/release/echosphere by default. Prints a Markdown table, errors in milliseconds.
"""

import argparse
import asyncio
import datetime
import io
import json
import math
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

import av
import numpy as np
from livekit import api, rtc

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("ECHOSPHERE_PROGRAM", str(ROOT / "target/release/echosphere"))
KEY, SECRET = "devkey", "secretsecretsecretsecretsecretsecret"
RATE, ESPEAK_RATE, WAV_HEADER = 48_000, 22_050, 44
FRAME = RATE // 50
QUEUE_MS = 300
# -50 dB of full scale.
AUDIBLE = 10 ** (-50 / 20)
# What is not marked may be this far off, and 19 of 20 exact lines this far, in milliseconds.
UNMARKED, EXACT = 400, 150
# When the transcript of a call that goes on is asked for, after a line's end.
ASKED_AFTER = 3.0
# A line that is less like what was said was held up on its way, by a machine that is too busy: it says nothing about anybody.
ALIKE = 0.6
# A line lies within so many seconds of where it was sent.
NEAR = 6
# A call takes a minute; one that takes longer than this is given up.
LONGEST = 240
VOICES = {"nova": ("en-us", 165, 45, 0.1), "caller": ("en-gb+f3", 155, 60, 0.08), "second": ("en+m3", 175, 35, 0.06)}
LINES = [
    ("nova", "Hello, this is Nova from the travel desk. How can I help you today?"),
    ("caller", "Hi, I would like to book a seat on the night train, if there is one left."),
    ("nova", "Sure, let me look. There are two seats left, one by the window and one by the aisle."),
    ("caller", "Window."),
    ("nova", "I have put it aside for you. Shall I send the ticket by mail?"),
    ("caller", "Yes, please. Oh, and could you also tell me when it gets in?"),
    ("nova", "It arrives at ten past seven in the morning, at the central station."),
    ("caller", "That is perfect, thank you very much, good bye."),
]
BOTH = [("second", "And a second seat for me as well."), ("second", "I will take the aisle then."), ("second", "Is breakfast included on that train?")]


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--keep", type=pathlib.Path)
    return parser.parse_args()


OPTIONS = arguments()


# Speech

def speech(who, text):
    """A line from its first audible sample to its last, -1 to 1."""
    voice, speed, pitch, loudness = VOICES[who]
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", text]
    wav = subprocess.run(command, capture_output=True, check=True).stdout
    samples = np.frombuffer(wav[WAV_HEADER:], dtype=np.int16) / 32768
    places = np.arange(len(samples) * RATE // ESPEAK_RATE) * ESPEAK_RATE / RATE
    sound = np.interp(places, np.arange(len(samples)), samples)
    sound = np.clip(sound * loudness / np.sqrt(np.mean(sound ** 2)), -0.99, 0.99)
    heard = np.nonzero(np.abs(sound) > AUDIBLE)[0]
    return sound[heard[0]:heard[-1] + 1]


def where(track, sound, around):
    """The sample of a track at which a piece of sound begins, near to one, and how alike they are there."""
    begin = max(0, around - NEAR * RATE)
    track = track[begin:around + NEAR * RATE]
    if len(track) < len(sound):
        return around, 0.0
    size = 1 << (len(track) + len(sound) - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(track, size) * np.conj(np.fft.rfft(sound, size)), size)[:len(track)]
    sums = np.concatenate([[0.0], np.cumsum(track.astype(np.float64) ** 2)])
    ends = np.minimum(np.arange(len(track)) + len(sound), len(track))
    energy = sums[ends] - sums[:len(track)]
    likeness = product / np.sqrt(np.maximum(energy, 1e-3) * np.sum(sound ** 2))
    at = int(np.argmax(likeness))
    return begin + at, float(likeness[at])


def extent(track, sound, around):
    """Where a line begins and ends in a track, in milliseconds, and how sure that is. Its beginning and its end are looked for
    apart: a machine that is too busy may have held it up in between."""
    piece = min(len(sound), RATE * 7 // 10)
    first, like_first = where(track, sound[:piece], around)
    last, like_last = where(track, sound[-piece:], first + len(sound) - piece)
    return (first * 1000 / RATE, (last + piece) * 1000 / RATE), min(like_first, like_last)


# The servers

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, url):
    for _ in range(150):
        try:
            return urllib.request.urlopen(url, timeout=2).read()
        except OSError:
            time.sleep(0.1)
    sys.exit(f"true_times: {what} did not start")


class Servers:
    """livekit-server and EchoSphere, on ports and in a folder of their own."""

    def __init__(self, folder):
        port, tcp, udp, own = (free_port() for _ in range(4))
        (folder / "livekit.yaml").write_text(
            f'port: {port}\nbind_addresses: ["127.0.0.1"]\nkeys: {{{KEY}: "{SECRET}"}}\nlogging: {{level: error}}\n'
            f"rtc: {{tcp_port: {tcp}, udp_port: {udp}, node_ip: 127.0.0.1, use_external_ip: false, enable_loopback_candidate: true}}\n")
        server = next((ROOT / ".tools").glob("livekit-server-v*"), None) or sys.exit("livekit-server is missing: scripts/install.sh test")
        self.livekit, self.url = f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{own}"
        environment = {**os.environ, "LIVEKIT_URL": self.livekit, "LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET,
                       "ECHOSPHERE_DATA_DIR": str(folder / "data"), "ECHOSPHERE_LISTEN": f"127.0.0.1:{own}"}
        self.started = []
        self.launch([str(server), "--config", str(folder / "livekit.yaml")], folder / "livekit.log", os.environ)
        wait_for("livekit-server", f"http://127.0.0.1:{port}")
        self.launch([PROGRAM, "serve"], folder / "echosphere.log", environment)
        wait_for("EchoSphere", f"{self.url}/readyz")

    def launch(self, command, log, environment):
        with open(log, "w") as out:
            self.started.append(subprocess.Popen(command, stdout=out, stderr=out, env=environment))

    def stop(self):
        for process in reversed(self.started):
            process.terminate()
            process.wait(timeout=30)

    def ask(self, path, body=None, content_type="application/json", token=None, method=None):
        grants = api.VideoGrants(room_record=True, room_admin=True, room_list=True)
        token = token or api.AccessToken(KEY, SECRET).with_identity("true-times").with_grants(grants).to_jwt()
        url = path if path.startswith("http") else self.url + path
        headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    async def json(self, path, body=None, **more):
        answer = await asyncio.to_thread(self.ask, path, body, **more)
        return json.loads(answer) if answer else None


    async def settled(self, recording):
        """Waits until a recording has its end, and for two seconds no task is open."""
        began = since = time.time()
        while time.time() - began < LONGEST and time.time() - since < 2:
            metrics = await asyncio.to_thread(self.ask, "/metrics")
            open_tasks = re.findall(r'^echosphere_tasks\{[^}]*state="open"[^}]*\} (\d+)', metrics.decode(), re.MULTILINE)
            known = await self.json(f"/v1/recordings/{recording}")
            if any(int(count) for count in open_tasks) or known["status"] not in ("COMPLETED", "FAILED"):
                since = time.time()
            await asyncio.sleep(0.2)


# The people

class Person:
    """Somebody in a room, whose microphone is never interrupted; says lines into it."""

    def __init__(self, call, identity):
        self.call, self.identity, self.queue, self.going = call, identity, [], True

    async def join(self):
        grants = api.VideoGrants(room_join=True, room=self.call.room, can_update_own_metadata=True)
        token = api.AccessToken(KEY, SECRET).with_identity(self.identity).with_grants(grants)
        if self.identity == "nova":
            token = token.with_kind("agent")
        self.room = rtc.Room()
        await self.room.connect(self.call.servers.livekit, token.to_jwt(), rtc.RoomOptions(auto_subscribe=False))
        self.source = rtc.AudioSource(RATE, 1, queue_size_ms=QUEUE_MS)
        track = rtc.LocalAudioTrack.create_audio_track("mic", self.source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        self.track = (await self.room.local_participant.publish_track(track, options)).sid
        self.task = asyncio.create_task(self.talk())
        return self

    async def talk(self):
        noise = np.random.default_rng(1)
        while self.going:
            block = noise.normal(0, 6 if self.identity != "nova" else 0.01, FRAME)
            if self.queue:
                sound, began = self.queue[0]
                if not began.done():
                    began.set_result(time.time() + self.source.queued_duration)
                block[:len(sound[:FRAME])] += sound[:FRAME] * 32767
                self.queue[0] = (sound[FRAME:], began)
                if not len(sound[FRAME:]):
                    self.queue.pop(0)
            await self.source.capture_frame(rtc.AudioFrame(block.astype(np.int16).tobytes(), RATE, 1, FRAME))

    async def say(self, sound):
        """Begins to say it; the Unix time at which it is sent."""
        began = asyncio.get_running_loop().create_future()
        self.queue.append((sound, began))
        return await began

    async def leave(self):
        self.going = False
        for ending in (self.task, self.room.disconnect()):
            try:
                await asyncio.wait_for(ending, 10)
            except TimeoutError:
                print(f"{self.call.name}: {self.identity} does not leave", file=sys.stderr)


class Call:
    """One call of a kind, and what became of its lines."""

    def __init__(self, servers, name, kind):
        self.servers, self.name, self.kind, self.said, self.live = servers, name, kind, [], {}
        self.room = "true-" + re.sub(r"[^a-z0-9]+", "-", name.lower()) + "-" + uuid.uuid4().hex[:6]

    async def stream(self, chunks, segment, sender, final, gap=0.0, trailer=None):
        attributes = {"lk.transcription_final": final, "lk.segment_id": segment, "lk.transcribed_track_id": self.people[sender].track}
        participant = self.people["nova"].room.local_participant
        writer = await participant.stream_text(topic="lk.transcription", attributes=attributes, sender_identity=sender)
        for chunk in chunks:
            await writer.write(chunk)
            await asyncio.sleep(gap)
        await writer.aclose(attributes=trailer)

    async def state(self, state):
        if self.kind.get("state"):
            await self.people["nova"].room.local_participant.set_attributes({"lk.agent.state": state})

    async def agent_says(self, text):
        sound, segment = speech("nova", text), "SG_" + uuid.uuid4().hex[:12]
        words, seconds, final = text.split(" "), len(sound) / RATE, {"lk.transcription_final": "true"}
        deltas = [word + " " for word in words]
        await self.state("thinking")
        if self.kind.get("text") == "before":
            await self.stream([text], segment, "nova", "false", trailer=final)
            await asyncio.sleep(0.4)
        start = await self.people["nova"].say(sound)
        self.note("nova", text, sound, start)
        await asyncio.sleep(max(0, start - time.time()))
        await self.state("speaking")
        if not self.kind.get("text"):
            await self.stream(deltas, segment, "nova", "false", gap=seconds / len(words) * 0.9, trailer=final)
        await asyncio.sleep(max(0, start + seconds - time.time()))
        if self.kind.get("text") == "finals":
            await self.stream([text], segment, "nova", "true")
        await asyncio.sleep(0.05)
        await self.state("listening")

    async def user_says(self, who, text):
        sound, segment = speech(who, text), "SG_" + uuid.uuid4().hex[:12]
        seconds, words = len(sound) / RATE, text.split(" ")
        start = await self.people[who].say(sound)
        self.note(who, text, sound, start)
        if self.kind.get("text") != "finals":
            for count in range(2, len(words), 3):
                await asyncio.sleep(max(0, start + seconds * count / len(words) + 0.3 - time.time()))
                await self.stream([" ".join(words[:count])], segment, who, "false")
        await asyncio.sleep(max(0, start + seconds + 0.4 - time.time()))
        await self.stream([text], segment, who, "true")

    def note(self, who, text, sound, start):
        self.said.append({"who": who, "text": text, "sound": sound, "start": start, "end": start + len(sound) / RATE})
        self.asking.append(asyncio.create_task(self.ask_later(text, start + len(sound) / RATE)))

    async def ask_later(self, text, end):
        await asyncio.sleep(max(0, end + ASKED_AFTER - time.time()))
        transcript = await self.servers.json(f"/v1/recordings/{self.id}/transcript")
        self.live[text] = turns_of(transcript, text)

    async def hold(self):
        self.people, self.asking = {}, []
        for identity in ["nova", "caller"] + (["second"] if self.kind.get("two") else []):
            self.people[identity] = await Person(self, identity).join()
        body = json.dumps({"room_name": self.room}).encode()
        self.id = (await self.servers.json("/v1/recordings", body))["id"]
        for _ in range(100):
            if (await self.servers.json(f"/v1/recordings/{self.id}"))["status"] == "ACTIVE":
                break
            await asyncio.sleep(0.1)
        await self.state("listening")
        self.zero = time.time()
        await asyncio.sleep(1.0)
        seconds = iter(BOTH)
        for number, (who, text) in enumerate(LINES):
            if who == "nova":
                await self.agent_says(text)
            else:
                talking = [asyncio.create_task(self.user_says(who, text))]
                other = next(seconds, None) if self.kind.get("two") else None
                if other:
                    await asyncio.sleep(0.5)
                    talking.append(asyncio.create_task(self.user_says(*other)))
                await asyncio.gather(*talking)
            await asyncio.sleep([0.5, 0.9, 0.3, 1.4][number % 4])
        await asyncio.sleep(2.5)
        await asyncio.gather(*self.asking)
        if "clock" in self.kind or "step" in self.kind:
            await self.upload()
        for person in self.people.values():
            await person.leave()

    async def upload(self):
        """The agent's own session upload, by a clock that is `clock` seconds ahead, or `step` seconds from the middle on."""
        middle = (self.said[0]["start"] + self.said[-1]["end"]) / 2
        length = time.time() - self.zero
        off = lambda at: at + self.kind.get("clock", 0) + (self.kind.get("step", 0) if at > middle else 0)
        sound, items = np.zeros((int(length * RATE), 2)), []
        for number, line in enumerate(self.said):
            is_agent, start, end = line["who"] == "nova", line["start"], line["end"]
            # The agent hears the user by the network.
            heard = start - self.zero + (0.0 if is_agent else 0.06)
            at = int(heard * RATE)
            sound[at:at + len(line["sound"]), 1 if is_agent else 0] += line["sound"]
            late = (-0.01, 0.38) if is_agent else (0.13, 0.18)
            items.append({"id": f"item_{number}", "type": "message", "role": "assistant" if is_agent else "user", "content": [line["text"]],
                          "interrupted": False, "extra": {}, "created_at": off(start - 0.3 if is_agent else end + 0.65),
                          "metrics": {"started_speaking_at": off(start + late[0]), "stopped_speaking_at": off(end + late[1])},
                          **({} if is_agent else {"transcript_confidence": 0.93})})
        items.sort(key=lambda item: item["created_at"])
        recording = await self.servers.json(f"/v1/recordings/{self.id}")
        header = self.header(recording["room_sid"], off(self.zero))
        kind, body = multipart(header, json.dumps({"items": items}).encode(), await asyncio.to_thread(ogg, sound))
        token = upload_token()
        await asyncio.to_thread(self.servers.ask, "/observability/recordings/v0", body, kind, token)
        if OPTIONS.keep:
            OPTIONS.keep.mkdir(parents=True, exist_ok=True)
            (OPTIONS.keep / f"{self.room}.upload").write_bytes(body)

    def header(self, room_sid, start):
        fields = varint(1 << 3) + varint(int(start)) + varint(2 << 3) + varint(int(start % 1 * 1e9))
        return field(1, room_sid.encode()) + field(4, fields) + field(8, f"AJ_{self.room}".encode())

    async def judge(self):
        """Ends the recording, waits until all is settled, and finds each line in the tracks."""
        try:
            await self.servers.json(f"/v1/recordings/{self.id}/stop", b"", method="POST")
        except urllib.error.HTTPError:
            pass  # The room's end was noticed first.
        await self.servers.settled(self.id)
        recording = await self.servers.json(f"/v1/recordings/{self.id}")
        transcript = await self.servers.json(f"/v1/recordings/{self.id}/transcript")
        tracks = {}
        for track in recording["tracks"]:
            if track["kind"].lower() == "audio":
                data = await asyncio.to_thread(self.servers.ask, f"/v1/recordings/{self.id}/tracks/{track['id']}.ogg")
                tracks[track["participant"]] = await asyncio.to_thread(decode, data)
        zero = datetime.datetime.fromisoformat(recording["started_at"].replace("Z", "+00:00")).timestamp()
        for line in self.said:
            around = int((line["start"] - zero) * RATE)
            line["true"], line["likeness"] = await asyncio.to_thread(extent, tracks[line["who"]], line["sound"], around)
            line["settled"], line["live"] = turns_of(transcript, line["text"]), self.live.get(line["text"], [])
        self.alignment = transcript.get("alignment")
        extra = [turn for turn in transcript["turns"] if turn["kind"] == "message" and not any(turn in line["settled"] for line in self.said)]
        self.unexplained = len(extra)


def plain(text):
    return re.sub(r"[^a-z0-9]", "", text.lower())


def turns_of(transcript, text):
    """The turns that show a line, or what is known of it so far."""
    wanted = plain(text)
    turns = [turn for turn in transcript["turns"] if turn["kind"] == "message" and plain(turn["text"])]
    return [turn for turn in turns if plain(turn["text"]) == wanted] or [turn for turn in turns if wanted.startswith(plain(turn["text"]))]


# Uploads

def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def multipart(header, history, sound):
    boundary, body = uuid.uuid4().hex, b""
    parts = [("header", "header.binpb", "application/protobuf", header), ("chat_history", "chat_history.json", "application/json", history),
             ("audio", "recording.ogg", "audio/ogg", sound)]
    for name, file, kind, content in parts:
        body += (f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n"
                 f"Content-Length: {len(content)}\r\n\r\n").encode() + content + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


def upload_token():
    grants = api.ObservabilityGrants(write=True)
    return api.AccessToken(KEY, SECRET).with_observability_grants(grants).to_jwt()


def ogg(sound):
    command = ["ffmpeg", "-v", "error", "-f", "s16le", "-ar", str(RATE), "-ac", "2", "-i", "pipe:0", "-c:a", "libopus", "-b:a", "96k", "-f", "ogg", "pipe:1"]
    data = (np.clip(sound, -1, 1) * 32767).astype(np.int16).tobytes()
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def decode(data):
    """A track's samples, from media time zero."""
    frames = []
    with av.open(io.BytesIO(data)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for frame in container.decode(audio=0):
            frames += [made.to_ndarray().reshape(-1) for made in resampler.resample(frame)]
    return np.concatenate(frames) / 32768


# The table

def rank(values, share):
    return sorted(values)[max(1, math.ceil(len(values) * share)) - 1] if values else None


def row(call, when):
    """One row of the table, and whether it holds."""
    onset, end, about, unmarked, twice, missing, disturbed = [], [], [], 0, 0, 0, 0
    for line in call.said:
        if line["likeness"] < ALIKE:
            disturbed += 1
            continue
        turns = line[when]
        twice += len(turns) > 1
        if not turns or turns[0]["start_ms"] is None:
            missing += 1
            continue
        errors = abs(turns[0]["start_ms"] - line["true"][0]), abs(turns[0]["end_ms"] - line["true"][1])
        if turns[0]["approximate"]:
            about.append(max(errors))
            continue
        onset.append(errors[0])
        end.append(errors[1])
        unmarked += max(errors) > UNMARKED
    show = lambda value: "-" if value is None else str(round(value))
    three = lambda values: " | ".join(show(rank(values, share)) for share in (0.5, 0.95, 1))
    holds = not unmarked and not twice and not missing and all((rank(values, 0.95) or 0) <= EXACT for values in (onset, end))
    name = "settled" if when == "settled" else f"live, {ASKED_AFTER:.0f} s after"
    print(f"| {'yes' if holds else '**no**'} | {call.name} | {name} | {len(call.said)} | {len(onset)} | {three(onset)} | {three(end)} | {len(about)} | {missing} "
          f"| {show(rank(about, 1))} | {unmarked} | {twice} | {disturbed} |", flush=True)
    return holds


def worst(call):
    print(f"{call.name}: {call.alignment}, {call.unexplained} lines more than were said")
    for line in call.said:
        show = lambda turns: ", ".join(f"{turn['start_ms']}-{turn['end_ms']}{' ~' if turn['approximate'] else ''}" for turn in turns) or "nowhere"
        true = f"{line['true'][0]:.0f}-{line['true'][1]:.0f}"
        sure = "" if line["likeness"] >= ALIKE else f" (disturbed: likeness {line['likeness']:.2f})"
        print(f"  {line['who']}: heard {true}{sure}, settled {show(line['settled'])}, live {show(line['live'])}: {line['text'][:40]!r}")


def kinds():
    clocks = {"0": 0, "+2 s": 2, "-2 s": -2, "+5 s": 5, "-5 s": -5, "+1 h": 3600, "-1 h": -3600}
    made = {"room, agent says its state": {"state": True}, "room, no agent state": {}, "room, text before the sound": {"text": "before"},
            "room, finals only": {"text": "finals"}, "room, two users at once": {"state": True, "two": True}}
    made.update({f"room and upload, clock {name}": {"state": True, "clock": clock} for name, clock in clocks.items()})
    made["room and upload, clock stepped +5 s"] = {"state": True, "step": 5}
    made["room and upload, no state, clock +5 s"] = {"clock": 5}
    return {name: kind for name, kind in made.items() if OPTIONS.only in name}


async def main(folder):
    go_first()
    servers = Servers(folder)
    try:
        calls = [Call(servers, name, kind) for name, kind in kinds().items()]
        limit = asyncio.Semaphore(OPTIONS.at_once)

        async def one(call):
            async with limit:
                try:
                    await asyncio.wait_for(call.hold(), LONGEST)
                    print(f"{call.name}: held", file=sys.stderr, flush=True)
                except Exception as error:
                    call.said = []
                    print(f"{call.name}: given up: {error!r}", file=sys.stderr, flush=True)

        await asyncio.gather(*(one(call) for call in calls))
        calls = [call for call in calls if call.said]
        for call in calls:
            await call.judge()
    finally:
        servers.stop()
    print("| holds | call | when | lines | exact | onset p50 | p95 | worst | end p50 | p95 | worst | approximate | nowhere | worst of approximate "
          "| unmarked > 400 ms | twice | disturbed |")
    print("| --- | --- | --- |" + " ---: |" * 14)
    held = [(row(call, "live"), row(call, "settled")) for call in calls]
    print(f"\n{sum(live for live, _ in held)} of {len(held)} hold live, {sum(settled for _, settled in held)} settled\n")
    for call, ok in zip(calls, held):
        if not all(ok):
            worst(call)


def go_first():
    """Real time before anything else that this machine does, the servers with it, where that is allowed."""
    try:
        os.nice(-5)
    except OSError:
        pass


with tempfile.TemporaryDirectory(prefix="true-times-") as place:
    asyncio.run(main(pathlib.Path(place)))
