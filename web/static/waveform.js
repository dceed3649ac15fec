// Draws the waveform (agent above, user below) and the gaps, and finds the time under a pointer.

/** @typedef {import('./api.js').Waveform} Waveform */
/** @typedef {import('./api.js').Gap} Gap */

const PEAK = 128;

/** Draws on a canvas, and finds the media time under a pointer. */
export class WaveformView {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    /** @type {Waveform | null} */
    this.waveform = null;
    /** @type {Gap[]} */
    this.gaps = [];
    this.duration = 0;
    this.position = 0;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** @param {Waveform | null} waveform @param {number} duration in ms @param {Gap[]} gaps */
  set(waveform, duration, gaps) {
    Object.assign(this, { waveform, duration, gaps });
    this.draw();
  }

  /** @param {number} ms */
  moveTo(ms) {
    const width = this.canvas.clientWidth;
    const pixel = (/** @type {number} */ t) => Math.round((t / Math.max(1, this.duration)) * width);
    const moved = pixel(ms) !== pixel(this.position);
    this.position = ms;
    if (moved) this.draw();
  }

  /** @param {MouseEvent} event @returns {number} media time in ms */
  timeAt(event) {
    const box = this.canvas.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * this.duration;
  }

  draw() {
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (width === 0) return;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const context = this.canvas.getContext('2d');
    if (!context) return;
    context.scale(scale, scale);
    const style = getComputedStyle(this.canvas);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    this.drawGaps(context, width, height, colour('--gap'));
    this.lane(context, 0, width, height / 4, colour('--agent'), colour('--rest'));
    this.lane(context, 1, width, (height * 3) / 4, colour('--user'), colour('--rest'));
    context.fillStyle = colour('--text');
    context.fillRect((this.position / Math.max(1, this.duration)) * width - 0.75, 0, 1.5, height);
  }

  /** @param {CanvasRenderingContext2D} context @param {number} width @param {number} height @param {string} colour */
  drawGaps(context, width, height, colour) {
    context.fillStyle = colour;
    for (const gap of this.gaps) {
      const left = (gap.start_ms / Math.max(1, this.duration)) * width;
      const size = (gap.duration_ms / Math.max(1, this.duration)) * width;
      context.fillRect(Math.min(left, width - 3), 0, Math.max(3, size), height);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context @param {number} channel @param {number} width @param {number} middle
   * @param {string} played @param {string} rest
   */
  lane(context, channel, width, middle, played, rest) {
    const half = middle === 0 ? 1 : Math.min(middle, this.canvas.clientHeight - middle) - 2;
    const now = (this.position / Math.max(1, this.duration)) * width;
    const data = this.waveform?.data ?? [];
    const length = this.waveform?.length ?? 0;
    const pixelMs = this.waveform ? (this.waveform.samples_per_pixel / this.waveform.sample_rate) * 1000 : 1;
    for (let x = 0; x < width; x += 1) {
      const from = Math.floor(((x / width) * this.duration) / pixelMs);
      const to = Math.max(from + 1, Math.floor((((x + 1) / width) * this.duration) / pixelMs));
      let peak = 0;
      for (let n = from; n < Math.min(to, length); n += 1) {
        peak = Math.max(peak, -(data[n * 4 + channel * 2] ?? 0), data[n * 4 + channel * 2 + 1] ?? 0);
      }
      const size = Math.max(0.5, Math.sqrt(Math.max(0, peak - 1) / PEAK) * half);
      context.fillStyle = x < now ? played : rest;
      context.fillRect(x, middle - size, 1, size * 2);
    }
  }
}
