// The player, a custom element (<echosphere-player>): sound, waveform and transcript of one recording.

import { serverNow, waveform as fetchWaveform } from './api.js';
import { element, foreign, renew } from './dom.js';
import { clock, spoken } from './format.js';
import { attach } from './hls-audio.js';
import { KEYS, listen } from './shortcuts.js';
import { TranscriptView } from './transcript-view.js';
import { neighbour } from './turns.js';
import { WaveformView } from './waveform.js';

/** @typedef {import('./api.js').Recording} Recording */
/** @typedef {import('./api.js').Transcript} Transcript */

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3];
const WAVEFORM_PIXELS = 1600;

/** The player. */
export class Player extends HTMLElement {
  constructor() {
    super();
    this.audio = new Audio();
    this.audio.preload = 'auto';
    /** @type {import('./hls-audio.js').Sound | null} */
    this.sound = null;
    /** Whether the listener follows a live call: until they go back, pause or choose a speed. */
    this.follows = false;
    /** The speed that the listener chose. */
    this.rate = 1;
    /** Whether the waveform of a live call is being fetched. */
    this.growing = false;
    /** @type {Recording | null} */
    this.recording = null;
    /** @type {Transcript | null} */
    this.transcript = null;
    this.frame = 0;
  }

  /** @param {Recording} recording @param {Promise<Transcript>} transcript */
  open(recording, transcript) {
    this.recording = recording;
    this.tabIndex = -1;
    this.className = 'player';
    // The sound is loading while the rest is drawn.
    if (recording.playlist_url) {
      const source = { id: recording.id, playlist: recording.playlist_url, spoken: () => this.spoken };
      this.sound = attach(this.audio, source, (message) => { if (this.problem) this.problem.textContent = message ?? ''; });
    }
    this.build();
    if (this.isLive) this.follow(true);
    if (recording.playlist_url) void this.loadWaveform();
    transcript.then((loaded) => this.showTranscript(loaded), (error) => { if (this.alignment) this.alignment.textContent = String(error.message); });
    this.startAtHash();
    this.tick();
  }

  /**
   * The recording has grown, or has ended; the sound keeps playing.
   * @param {Recording} recording @param {Promise<Transcript>} transcript
   */
  update(recording, transcript) {
    const ended = this.recording?.status !== recording.status && recording.status === 'COMPLETED';
    this.recording = recording;
    this.showLength();
    this.showGaps();
    this.showTracks();
    if (!this.isLive) this.follow(false);
    this.wave?.set(this.wave.waveform, this.duration, recording.gaps);
    if (ended) void this.loadWaveform();
    else if (recording.status === 'ACTIVE') void this.growWaveform();
    transcript.then((loaded) => this.showTranscript(loaded), () => { /* the next update has it */ });
  }

  /** Goes to the live position. */
  goLive() {
    this.sound?.forgetStalls();
    this.choose(1);
    this.seek(Infinity);
    void this.audio.play();
    this.view?.follow(true);
  }

  /** A listener at a higher speed who reaches the live position follows it from there; where they read stays as it is. */
  catchUp() {
    if (this.rate <= 1 || this.audio.paused || this.position < this.now) return;
    this.choose(1);
    this.seek(Infinity);
  }

  /** @param {boolean} follows */
  follow(follows) {
    if (this.follows === follows) return;
    this.follows = follows;
    this.sound?.followLive(follows);
    this.liveButton?.setAttribute('aria-pressed', String(follows));
    // hls.js may have left another speed when it caught up.
    if (!follows) this.audio.playbackRate = this.rate;
  }

  showLength() {
    if (this.slider) this.slider.max = String(this.duration);
    this.liveButton?.toggleAttribute('hidden', !this.isLive);
  }

  /** Links to each participant's track. */
  showTracks() {
    const { tracks } = this.recording ?? { tracks: [] };
    const links = tracks.flatMap((track, n) => {
      const { pathname, search } = new URL(track.url);
      const facts = ` (${track.source.replaceAll('_', ' ') || track.kind}, ${clock(track.duration_ms)})`;
      return [n === 0 ? 'Tracks as Ogg Opus: ' : ' · ', element('a', { href: pathname + search, download: true, 'data-testid': 'track' }, foreign(track.participant || track.id), facts)];
    });
    if (this.tracks) renew(this.tracks, ...links);
  }

  /** Lists the gaps; a live call may get more. */
  showGaps() {
    const gaps = this.recording?.gaps ?? [];
    this.missing?.toggleAttribute('hidden', gaps.length === 0);
    const items = gaps.map((gap) => element('li', {}, `${clock(gap.start_ms)}, ${spoken(gap.duration_ms)}: ${gap.reason.replaceAll('_', ' ')}`));
    if (this.gapList) renew(this.gapList, ...items);
  }

  disconnectedCallback() {
    cancelAnimationFrame(this.frame);
    this.sound?.stop();
    this.audio.pause();
  }

  get duration() {
    return this.recording?.duration_ms ?? 0;
  }

  get position() {
    return this.audio.currentTime * 1000;
  }

  get isLive() {
    return this.recording?.status === 'ACTIVE';
  }

  /** Seconds since a live call began; 0 when no call is going on. */
  get spoken() {
    return this.isLive && this.recording?.started_at ? (serverNow() - Date.parse(this.recording.started_at)) / 1000 : 0;
  }

  /** The live position, in milliseconds; infinite when no call is going on. */
  get now() {
    return this.isLive && this.sound ? this.sound.now() * 1000 : Infinity;
  }

  build() {
    const hasSound = this.recording?.playlist_url !== null;
    this.problem = element('p', { class: 'problem', role: 'status' });
    this.alignment = element('p', { class: 'quiet' });
    this.list = element('ol', { class: 'turns', 'data-testid': 'transcript' });
    this.followButton = element('button', { type: 'button', class: 'follow', hidden: true, 'data-testid': 'follow' }, 'Follow the sound');
    this.view = new TranscriptView(this.list, (ms) => { this.seek(ms); void this.audio.play(); }, (following) => {
      this.followButton?.toggleAttribute('hidden', following);
    });
    this.followButton.addEventListener('click', () => this.view?.follow(true));
    const parts = hasSound ? [this.buildControls()] : [];
    this.replaceChildren(...parts, this.problem, this.list, this.followButton, this.buildFooter());
    if (hasSound) {
      listen(this, {
        toggle: () => this.toggle(),
        skip: (ms) => this.seek(this.position + ms),
        step: (direction) => this.step(direction),
        faster: (direction) => this.faster(direction),
        mute: () => { this.audio.muted = !this.audio.muted; },
        follow: () => this.view?.follow(!this.view.following),
        help: () => this.help?.showModal(),
      });
    }
  }

  buildControls() {
    this.playButton = element('button', { type: 'button', class: 'play', 'aria-label': 'Play', 'data-testid': 'play' }, '▶');
    const back = element('button', { type: 'button', title: '5 seconds back' }, '−5 s');
    const on = element('button', { type: 'button', title: '5 seconds on' }, '+5 s');
    this.time = element('span', { class: 'times', 'data-testid': 'time' }, `0:00 / ${clock(this.duration)}`);
    this.slider = element('input', { type: 'range', min: '0', max: String(this.duration), value: '0', step: '100', 'aria-label': 'Position', 'data-testid': 'slider' });
    this.speed = element('select', { 'aria-label': 'Speed', 'data-testid': 'speed' },
      ...SPEEDS.map((speed) => element('option', { value: String(speed), selected: speed === 1 }, `${speed}×`)));
    this.muteButton = element('button', { type: 'button', 'aria-label': 'Mute', 'aria-pressed': 'false' }, 'Mute');
    this.liveButton = element('button', { type: 'button', class: 'live', hidden: !this.isLive, 'data-testid': 'live' }, 'Live');
    this.liveButton.addEventListener('click', () => this.goLive());
    const link = element('button', { type: 'button', title: 'Copy a link to this moment' }, 'Link');
    const keys = element('button', { type: 'button', 'aria-label': 'Keyboard shortcuts' }, '?');
    const canvas = element('canvas', { class: 'waveform', 'aria-hidden': 'true', 'data-testid': 'waveform' });
    this.wave = new WaveformView(canvas);
    this.wave.set(null, this.duration, this.recording?.gaps ?? []);
    this.help = this.buildHelp();
    this.playButton.addEventListener('click', () => this.toggle());
    back.addEventListener('click', () => this.seek(this.position - 5000));
    on.addEventListener('click', () => this.seek(this.position + 5000));
    this.slider.addEventListener('input', () => this.seek(Number(this.slider?.value)));
    this.speed.addEventListener('change', () => { this.choose(Number(this.speed?.value)); });
    this.muteButton.addEventListener('click', () => { this.audio.muted = !this.audio.muted; });
    link.addEventListener('click', () => void this.copyLink(link));
    keys.addEventListener('click', () => this.help?.showModal());
    canvas.addEventListener('pointerdown', (event) => this.drag(canvas, event));
    for (const event of ['play', 'pause', 'ended', 'volumechange']) this.audio.addEventListener(event, () => this.showState());
    this.audio.addEventListener('pause', () => this.follow(false));
    // Time may have passed since the page was opened.
    this.audio.addEventListener('play', () => { if (this.follows && this.now < Infinity && Math.abs(this.now - this.position) > 1000) this.seek(this.now); });
    // Not in `tick`, which does not run in a hidden tab.
    this.audio.addEventListener('timeupdate', () => this.catchUp());
    const lanes = element('div', { class: 'lanes', 'aria-hidden': 'true' }, element('span', { class: 'agent' }, 'Agent'), element('span', { class: 'user' }, 'User'));
    return element('div', { class: 'controls' },
      element('div', { class: 'wave' }, lanes, canvas), this.slider,
      element('div', { class: 'buttons' }, this.playButton, back, on, this.time, this.liveButton, element('span', { class: 'space' }), this.speed, this.muteButton, link, keys),
      this.help);
  }

  buildHelp() {
    const close = element('button', { type: 'button' }, 'Close');
    const rows = KEYS.map(([key, meaning]) => element('li', {}, element('kbd', {}, key ?? ''), ` ${meaning}`));
    const dialog = element('dialog', { 'aria-label': 'Keyboard shortcuts' }, element('h2', {}, 'Keyboard'), element('ul', {}, ...rows), close);
    close.addEventListener('click', () => dialog.close());
    return dialog;
  }

  buildFooter() {
    const base = `/v1/recordings/${this.recording?.id}/transcript`;
    const link = (/** @type {string} */ href, /** @type {string} */ name) => element('a', { href, download: true }, name);
    this.gapList = element('ul');
    this.missing = element('details', { open: true, 'data-testid': 'gaps' }, element('summary', {}, 'What is missing'), this.gapList);
    this.showGaps();
    this.tracks = element('p', { 'data-testid': 'tracks' });
    this.showTracks();
    return element('footer', { class: 'more' },
      this.missing,
      element('p', {}, 'Transcript as ', link(`${base}.vtt`, 'VTT'), ' · ', link(`${base}.srt`, 'SRT'), ' · ', link(`${base}.txt`, 'text'), ' · ', link(base, 'JSON')),
      this.tracks,
      this.alignment ?? null);
  }

  /** @param {Transcript} transcript */
  showTranscript(transcript) {
    this.transcript = transcript;
    this.view?.set(transcript.turns, this.recording?.playlist_url !== null);
    const { method, offset_ms: offset, confidence } = transcript.alignment;
    const how = { voice_activity: 'heard in the sound', reported: 'as the agent reported them', none: 'not known' }[method] ?? method;
    const shift = offset === 0 ? '' : `, shifted by ${offset} ms`;
    if (this.alignment) this.alignment.textContent = transcript.turns.length === 0
      ? 'No transcript came with this session.'
      : `Times of the turns: ${how}${shift} (confidence ${Math.round(confidence * 100)} %).`;
  }

  /** During a live call: the waveform of what can be played so far. */
  async growWaveform() {
    const { recording } = this;
    if (!recording?.playlist_url || this.growing) return;
    this.growing = true;
    const { waveform } = await fetchWaveform(recording.id, WAVEFORM_PIXELS).catch(() => ({ waveform: null }));
    this.growing = false;
    if (waveform && this.isLive) this.wave?.set(waveform, this.duration, this.recording?.gaps ?? []);
  }

  async loadWaveform() {
    const { recording } = this;
    if (!recording) return;
    if (recording.status === 'ACTIVE') { await this.growWaveform(); return; }
    for (let tries = 0; this.isConnected && tries < 600; tries += 1) {
      const { waveform, progress } = await fetchWaveform(recording.id, WAVEFORM_PIXELS).catch(() => ({ waveform: null, progress: 0 }));
      if (waveform) {
        this.wave?.set(waveform, this.duration, recording.gaps);
        if (this.problem?.dataset.waiting) { this.problem.textContent = ''; delete this.problem.dataset.waiting; }
        return;
      }
      if (tries > 0 && this.problem) {
        this.problem.dataset.waiting = 'true';
        this.problem.textContent = `The waveform is being drawn: ${Math.round(progress * 100)} %`;
      }
      await new Promise((resolve) => { setTimeout(resolve, tries < 10 ? 300 : 1500); });
    }
  }

  tick() {
    const ms = this.position;
    if (ms > 0 && !this.started) {
      this.started = true;
      performance.mark('echosphere:first-audio');
    }
    this.wave?.moveTo(ms);
    this.view?.moveTo(ms);
    const text = `${clock(ms)} / ${clock(this.duration)}`;
    if (this.time && this.slider && this.time.textContent !== text) {
      this.time.textContent = text;
      this.slider.value = String(Math.round(ms));
      this.slider.setAttribute('aria-valuetext', `${spoken(ms)} of ${spoken(this.duration)}`);
    }
    this.frame = requestAnimationFrame(() => this.tick());
  }

  showState() {
    const paused = this.audio.paused;
    if (this.playButton) {
      this.playButton.textContent = paused ? '▶' : '❚❚';
      this.playButton.setAttribute('aria-label', paused ? 'Play' : 'Pause');
    }
    this.muteButton?.setAttribute('aria-pressed', String(this.audio.muted));
  }

  toggle() {
    if (this.audio.paused) void this.audio.play();
    else this.audio.pause();
  }

  /** @param {number} ms */
  seek(ms) {
    const now = this.now;
    this.follow(ms >= now);
    this.audio.currentTime = Math.min(Math.max(0, ms), now === Infinity ? this.duration : now) / 1000;
  }

  /** @param {1 | -1} direction */
  step(direction) {
    const turn = neighbour(this.transcript?.turns ?? [], this.position, direction);
    if (turn && turn.start_ms !== null) { this.seek(turn.start_ms); this.view?.follow(true); }
  }

  /** @param {1 | -1} direction */
  faster(direction) {
    const at = SPEEDS.indexOf(this.rate) + direction;
    this.choose(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at))] ?? 1);
  }

  /** @param {number} rate */
  choose(rate) {
    this.rate = rate;
    this.audio.playbackRate = rate;
    if (this.speed) this.speed.value = String(rate);
    if (rate !== 1) this.follow(false);
  }

  /** @param {HTMLCanvasElement} canvas @param {PointerEvent} event */
  drag(canvas, event) {
    const move = (/** @type {PointerEvent} */ moved) => { if (this.wave) this.seek(this.wave.timeAt(moved)); };
    move(event);
    canvas.setPointerCapture(event.pointerId);
    canvas.addEventListener('pointermove', move);
    canvas.addEventListener('pointerup', () => canvas.removeEventListener('pointermove', move), { once: true });
  }

  /** @param {HTMLButtonElement} button */
  async copyLink(button) {
    history.replaceState(null, '', `#t=${(this.position / 1000).toFixed(1)}`);
    await navigator.clipboard?.writeText(location.href).catch(() => {});
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Link'; }, 1500);
  }

  startAtHash() {
    const moment = location.hash.match(/^#t=(\d+(?:\.\d+)?)$/);
    window.addEventListener('hashchange', () => {
      const later = location.hash.match(/^#t=(\d+(?:\.\d+)?)$/);
      if (later) this.seek(Number(later[1]) * 1000);
    });
    if (moment) this.audio.addEventListener('loadedmetadata', () => this.seek(Number(moment[1]) * 1000), { once: true });
  }
}

customElements.define('echosphere-player', Player);
