// From segments of speech to one: silence trimmed, pauses set, joins without a click; as
// uslm/output/sample_joiner.py.

const WINDOW_SECONDS = 0.02; // loudness is judged over this long

function concatenated(...parts) {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}

const silence = (count) => new Float32Array(Math.max(0, count));

/** Takes the samples of one segment after another; what comes back, joined, is the whole. */
export class SampleJoiner {
  constructor(config, sampleRate) {
    this.config = config;
    this.rate = sampleRate;
    this.numSamples = 0;
    const count = Math.round(config.fade_seconds * sampleRate);
    const angle = (i) => (count > 1 ? (i * Math.PI) / 2 / (count - 1) : 0);
    this.fadeIn = Float32Array.from({ length: count }, (_, i) => Math.sin(angle(i)));
    this.fadeOut = Float32Array.from({ length: count }, (_, i) => Math.cos(angle(i)));
    this.tail = silence(0); // the faded end of the segment before
    this.begin();
  }

  begin() {
    this.trimmer = new Trimmer(this.config, this.rate);
    this.pending = silence(0); // what may yet turn out to be the end
    this.position = 0; // samples of this segment that have come
  }

  /** More samples of the current segment. */
  push(samples) {
    return samples.length ? this.count(this.blend(this.trimmer.push(samples))) : samples;
  }

  /** The current segment is over. Its very end is kept back until it is known what follows. */
  endSegment() {
    let out = this.blend(this.trimmer.end());
    if (this.position) {
      out = concatenated(out, this.blend(silence(this.fadeIn.length - this.position)));
      this.tail = this.pending.map((each, i) => each * this.fadeOut[i]);
    }
    this.begin();
    return this.count(out);
  }

  /** Silence between two segments; nothing if it is 0. */
  pause(seconds) {
    const rest = silence(Math.round(seconds * this.rate));
    return this.count(rest.length ? concatenated(this.takeTail(), rest) : rest);
  }

  /** All segments are over: the end that was kept back. */
  finish() {
    return this.count(this.takeTail());
  }

  blend(samples) {
    const mixed = samples.slice();
    const rising = Math.max(0, Math.min(mixed.length, this.fadeIn.length - this.position));
    for (let i = 0; i < rising; i++) mixed[i] *= this.fadeIn[this.position + i];
    const falling = Math.max(0, Math.min(mixed.length, this.tail.length - this.position));
    for (let i = 0; i < falling; i++) mixed[i] += this.tail[this.position + i];
    this.position += mixed.length;
    if (this.position >= this.tail.length) this.tail = silence(0);
    const joined = concatenated(this.pending, mixed);
    const ready = Math.max(0, joined.length - this.fadeOut.length);
    this.pending = joined.slice(ready);
    return joined.slice(0, ready);
  }

  takeTail() {
    const { tail } = this;
    this.tail = silence(0);
    return tail;
  }

  count(samples) {
    this.numSamples += samples.length;
    return samples;
  }
}

/** Shortens the silence of one segment, in windows counted from its start. */
class Trimmer {
  constructor(config, sampleRate) {
    this.trims = config.trim_silence;
    this.window = Math.round(WINDOW_SECONDS * sampleRate);
    this.threshold = 10 ** (config.silence_dbfs / 20);
    this.edge = Math.round(config.edge_seconds * sampleRate);
    this.longest = Math.round(config.max_silence_seconds * sampleRate);
    this.rest = silence(0); // less than a window
    this.held = silence(0); // silence, until sound follows
    this.speaking = false;
  }

  push(samples) {
    if (!this.trims) return samples;
    const all = concatenated(this.rest, samples);
    const end = Math.floor(all.length / this.window) * this.window;
    this.rest = all.slice(end);
    const out = [];
    for (let start = 0; start < end; start += this.window) {
      const window = all.slice(start, start + this.window);
      const power = window.reduce((sum, each) => sum + each * each, 0) / window.length;
      if (Math.sqrt(power) > this.threshold) {
        out.push(this.shortened(), window);
        this.held = silence(0);
        this.speaking = true;
      } else {
        this.held = concatenated(this.held, window);
      }
    }
    return concatenated(...out);
  }

  /** The silence kept at the end; nothing of a segment without any sound. */
  end() {
    return this.speaking ? concatenated(this.held, this.rest).slice(0, this.edge) : silence(0);
  }

  /** The held silence, now that sound follows. */
  shortened() {
    const { held } = this;
    if (!this.speaking) return held.slice(Math.max(0, held.length - this.edge));
    const half = Math.floor(this.longest / 2);
    if (held.length <= this.longest) return held;
    return concatenated(held.slice(0, half), held.slice(held.length - half));
  }
}
