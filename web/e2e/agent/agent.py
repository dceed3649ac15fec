"""A real livekit-agents worker with speech from espeak-ng, a recogniser that is told what is said, and a scripted model.

    python agent.py start

LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET and LIVEKIT_OBSERVABILITY_URL come from the environment; nothing else differs
from an agent in production. E2E_SCRIPT names another script than script.json.
"""

import asyncio
import json
import os
import pathlib

from livekit import rtc
from livekit.agents import Agent, AgentServer, AgentSession, APIConnectOptions, JobContext, cli, inference, llm, stt, tts, utils

SCRIPT = json.loads(pathlib.Path(__file__).with_name(os.environ.get("E2E_SCRIPT", "script.json")).read_text())["agent"]
TTS_RATE = 22050
WAV_HEADER = 44


class Espeak(tts.TTS):
    def __init__(self):
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=TTS_RATE, num_channels=1)

    def synthesize(self, text, *, conn_options=APIConnectOptions()):
        return EspeakStream(tts=self, input_text=text, conn_options=conn_options)


class EspeakStream(tts.ChunkedStream):
    async def _run(self, emitter):
        command = ("espeak-ng", "-v", SCRIPT["voice"], "-s", "165", "--stdout", self.input_text)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        wav, _ = await process.communicate()
        emitter.initialize(request_id=utils.shortuuid(), sample_rate=TTS_RATE, num_channels=1, mime_type="audio/pcm")
        emitter.push(wav[WAV_HEADER:])
        emitter.flush()


class ToldRecogniser(stt.STT):
    """Knows what is said because the caller announces it."""

    def __init__(self, told):
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self.told = told

    async def _recognize_impl(self, buffer, *, language=None, conn_options=None):
        text = self.told.pop(0) if self.told else ""
        alternative = stt.SpeechData(language="en", text=text, confidence=0.93)
        return stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, request_id=utils.shortuuid(), alternatives=[alternative])


class ScriptedModel(llm.LLM):
    def chat(self, *, chat_ctx, tools=None, conn_options=APIConnectOptions(), **_):
        return ScriptedStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class ScriptedStream(llm.LLMStream):
    async def _run(self):
        said = [item.text_content or "" for item in self._chat_ctx.items if item.type == "message" and item.role == "user"][-1]
        reply = next((reply for word, reply in SCRIPT["replies"].items() if word in said.lower()), "Pardon?")
        request = utils.shortuuid()
        for word in reply.split(" "):
            self._event_ch.send_nowait(llm.ChatChunk(id=request, delta=llm.ChoiceDelta(role="assistant", content=word + " ")))


server = AgentServer(port=0, num_idle_processes=1, load_fnc=lambda *_: 0.0, load_threshold=1.0, shutdown_process_timeout=60)


@server.rtc_session(agent_name="e2e")
async def session(ctx: JobContext):
    told = []

    @ctx.room.on("data_received")
    def _(packet: rtc.DataPacket):
        if packet.topic == "said":
            told.append(packet.data.decode())
        elif packet.topic == "bye":
            ctx.shutdown(reason="the caller said goodbye")

    agent_session = AgentSession(
        vad=inference.VAD(min_silence_duration=0.5),
        stt=stt.StreamAdapter(stt=ToldRecogniser(told), vad=inference.VAD(min_silence_duration=0.4)),
        llm=ScriptedModel(),
        tts=Espeak(),
        aec_warmup_duration=None,
        turn_handling={"turn_detection": "vad", "preemptive_generation": {"enabled": False}},
    )
    await agent_session.start(Agent(instructions="Tell the opening hours."), room=ctx.room, record=True)
    await agent_session.say(SCRIPT["greeting"])


if __name__ == "__main__":
    cli.run_app(server)
