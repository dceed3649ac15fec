// The same agent with the Node SDK.   node agent.mjs start

import { AudioFrame } from '@livekit/rtc-node';
import { ServerOptions, cli, defineAgent, inference, llm, stt, tts, voice } from '@livekit/agents';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SCRIPT = JSON.parse(readFileSync(new URL('./script.json', import.meta.url), 'utf8')).agent;
const RATE = 22050;
const WAV_HEADER = 44;
const id = (prefix) => prefix + Math.random().toString(36).slice(2);

class Espeak extends tts.TTS {
  label = 'e2e.Espeak';
  constructor() { super(RATE, 1, { streaming: false }); }
  synthesize(text, options, signal) { return new EspeakStream(text, this, options, signal); }
  stream() { throw new Error('not streaming'); }
}

class EspeakStream extends tts.ChunkedStream {
  label = 'e2e.EspeakStream';
  async run() {
    const wav = await new Promise((resolve, reject) => {
      execFile('espeak-ng', ['-v', SCRIPT.voice, '-s', '165', '--stdout', this.inputText], { encoding: 'buffer', maxBuffer: 1 << 26 },
        (error, out) => (error ? reject(error) : resolve(out)));
    });
    const samples = new Int16Array((wav.length - WAV_HEADER) >> 1).map((_, n) => wav.readInt16LE(WAV_HEADER + 2 * n));
    const [requestId, segmentId, step] = [id('r_'), id('s_'), RATE / 10];
    for (let at = 0; at < samples.length; at += step) {
      const part = samples.slice(at, at + step);
      this.queue.put({ requestId, segmentId, final: at + step >= samples.length, frame: new AudioFrame(part, RATE, 1, part.length) });
    }
    this.queue.close();
  }
}

class ToldRecogniser extends stt.STT {
  label = 'e2e.ToldRecogniser';
  constructor(told) { super({ streaming: false, interimResults: false }); this.told = told; }
  async _recognize() {
    const alternatives = [{ language: 'en', text: this.told.shift() ?? '', startTime: 0, endTime: 0, confidence: 0.93 }];
    return { type: stt.SpeechEventType.FINAL_TRANSCRIPT, requestId: id('r_'), alternatives };
  }
  stream() { throw new Error('not streaming'); }
}

class ScriptedModel extends llm.LLM {
  label() { return 'e2e.ScriptedModel'; }
  chat({ chatCtx, toolCtx, connOptions }) {
    return new ScriptedStream(this, { chatCtx, toolCtx, connOptions: connOptions ?? { maxRetry: 0, retryIntervalMs: 100, timeoutMs: 10000 } });
  }
}

class ScriptedStream extends llm.LLMStream {
  constructor(model, options) { super(model, options); this.context = options.chatCtx; }
  async run() {
    const said = this.context.items.findLast((item) => item.type === 'message' && item.role === 'user')?.textContent ?? '';
    const reply = Object.entries(SCRIPT.replies).find(([word]) => said.toLowerCase().includes(word))?.[1] ?? 'Pardon?';
    const request = id('r_');
    for (const word of reply.split(' ')) {
      if (!this.abortController.signal.aborted) this.queue.put({ id: request, delta: { role: 'assistant', content: `${word} ` } });
    }
  }
}

export default defineAgent({
  entry: async (ctx) => {
    const told = [];
    const session = new voice.AgentSession({
      vad: new inference.VAD({ minSilenceDuration: 500 }),
      stt: new stt.StreamAdapter(new ToldRecogniser(told), new inference.VAD({ minSilenceDuration: 400 })),
      llm: new ScriptedModel(),
      tts: new Espeak(),
      aecWarmupDuration: null,
      turnHandling: { turnDetection: 'vad', preemptiveGeneration: { enabled: false } },
    });
    ctx.room.on('dataReceived', (data, participant, kind, topic) => {
      if (topic === 'said') told.push(new TextDecoder().decode(data));
      else if (topic === 'bye') ctx.shutdown('the caller said goodbye');
    });
    await session.start({ agent: new voice.Agent({ instructions: 'Tell the opening hours.' }), room: ctx.room, record: true });
    await ctx.connect();
    await session.say(SCRIPT.greeting);
  },
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  cli.runApp(new ServerOptions({ agent: fileURLToPath(import.meta.url), agentName: 'e2e-node', numIdleProcesses: 1,
    port: Number(process.env.E2E_PORT), loadFunc: async () => 0, loadThreshold: 1 }));
}
