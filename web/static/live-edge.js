// Whether a listener keeps up with a call that goes on.

/** Seconds between the end of what can be played and what is heard live: closer to it the sound would run dry. */
const BEHIND = 3;

/** A listener hears what is spoken now until they go back, pause or choose a speed; "Live" brings them there again. */
export class LiveEdge {
  /** @param {HTMLAudioElement} audio @param {(follows: boolean) => void} changed is told each time it is another */
  constructor(audio, changed) {
    this.audio = audio;
    this.changed = changed;
    /** False too where no call goes on. */
    this.follows = false;
  }

  /** @returns {number} seconds at which what is spoken now is heard; infinite until something can be played */
  get position() {
    const { seekable } = this.audio;
    return seekable.length > 0 ? Math.max(0, seekable.end(seekable.length - 1) - BEHIND) : Infinity;
  }

  /** @param {boolean} follows */
  follow(follows) {
    if (this.follows === follows) return;
    this.follows = follows;
    this.changed(follows);
  }
}
