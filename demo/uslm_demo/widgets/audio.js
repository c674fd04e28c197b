// Sound out of `server.take`, and its way to the loudspeaker. Gradio gives `server`.

/** One AudioContext serves the whole page: browsers allow few. */
function audioContext() {
  window.uslmAudio ??= new AudioContext();
  return window.uslmAudio;
}

/** Samples that come bit by bit. */
class Recording {
  constructor({ id, rate }) {
    this.id = id;
    this.rate = rate;
    this.samples = new Float32Array(rate * 8);
    this.length = 0;
    this.done = false;
    this.abandoned = false;
  }

  get seconds() {
    return this.length / this.rate;
  }

  /** Fetch until all is there; `onNews` is called after each part. */
  async fetch(onNews) {
    while (!this.done && !this.abandoned) {
      const part = await server.take({ id: this.id, start: this.length });
      if (this.abandoned) return;
      this.append(Uint8Array.from(atob(part.samples), (char) => char.charCodeAt(0)));
      this.done = part.done;
      onNews();
    }
  }

  append(bytes) {
    const view = new DataView(bytes.buffer);
    const count = bytes.length / 2;
    while (this.length + count > this.samples.length) {
      const larger = new Float32Array(2 * this.samples.length);
      larger.set(this.samples);
      this.samples = larger;
    }
    for (let i = 0; i < count; i++) {
      this.samples[this.length + i] = view.getInt16(2 * i, true) / 32768;
    }
    this.length += count;
  }

  /** Play a stretch at a time of the context; the node can be stopped. */
  sound(from, to, when) {
    const context = audioContext();
    const buffer = context.createBuffer(1, Math.max(1, to - from), this.rate);
    buffer.copyToChannel(this.samples.subarray(from, to), 0);
    const node = context.createBufferSource();
    node.buffer = buffer;
    node.connect(context.destination);
    node.start(when);
    return node;
  }
}

/** Highest and lowest sample for each of `columns` columns. */
function peaks(recording, from, to, columns) {
  const result = [];
  for (let column = 0; column < columns; column++) {
    const begin = Math.floor(from + ((to - from) * column) / columns);
    const end = Math.max(begin + 1, Math.floor(from + ((to - from) * (column + 1)) / columns));
    let low = 0;
    let high = 0;
    for (let i = begin; i < Math.min(end, recording.length); i++) {
      const sample = recording.samples[i];
      if (sample < low) low = sample;
      if (sample > high) high = sample;
    }
    result.push([low, high]);
  }
  return result;
}

/** A canvas's context, in CSS pixels, as sharp as the screen. */
function sharpContext(canvas) {
  const scale = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return { context, width, height };
}

/** A colour of the theme, as it is now: light or dark. */
function themeColor(node, name) {
  return getComputedStyle(node).getPropertyValue(name).trim();
}

/** Call `draw` whenever the canvas gets another size, or the theme changes. */
function redrawOnChange(canvas, draw) {
  new ResizeObserver(draw).observe(canvas);
  new MutationObserver(draw).observe(document.body, { attributeFilter: ["class"] });
}
