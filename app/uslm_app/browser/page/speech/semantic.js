// Stage 1 at work: the graphs text, step and pitch, and what lies between two steps.

import { real, whole } from "./graphs.js";
import { sample, samplePitch } from "./sampling.js";
import { advance, forbid } from "./stopping.js";

const MAY_NOT_END = -1e9;

/** The symbol that is being spoken: a place in the text that only goes forward. */
export class TextPosition {
  /** `last` is the place of the end symbol. */
  constructor(last, threshold) {
    this.place = 0;
    this.spoken = 0;
    this.last = last;
    this.threshold = threshold;
    this.accumulated = 0;
  }

  /** A unit was read; `shares` are the probabilities of moving by 0, 1, 2, ... symbols. */
  move(shares) {
    this.spoken = this.place;
    this.accumulated += 1 - shares[0];
    if (this.accumulated < this.threshold) return;
    this.accumulated = 0;
    let distance = 1;
    for (let i = 2; i < shares.length; i++) if (shares[i] > shares[distance]) distance = i;
    this.place = Math.min(this.place + distance, this.last);
  }

  get mayEnd() {
    return this.spoken >= this.last;
  }
}

/** One text on its way through stage 1. */
class Row {
  static async of(graphs, textIds) {
    const ids = [...textIds, graphs.config.semantic.text_eos_id];
    const [symbols] = await graphs.run("text", whole(ids, [1, ids.length]));
    return new Row(graphs, textIds, symbols);
  }

  constructor(graphs, textIds, symbols) {
    const facts = graphs.config.semantic;
    this.graphs = graphs;
    this.symbols = symbols;
    this.position = new TextPosition(textIds.length, facts.advance_threshold);
    this.history = new Array(facts.pitch_history).fill(0);
    const empty = () => real([], [1, facts.num_heads, 0, facts.head_dim]);
    this.cache = Array.from({ length: 2 * facts.num_layers }, empty);
    this.length = 0;
  }

  /** Read a unit; logits of the next. */
  async read(unit) {
    const dim = this.symbols.dims[1];
    const start = this.position.place * dim;
    const symbol = real(this.symbols.data.subarray(start, start + dim), [1, dim]);
    const state = [whole([unit], [1]), symbol, whole([this.length], [1])];
    const [logits, shares, hidden, ...cache] = await this.graphs.run("step", ...state, ...this.cache);
    this.hidden = hidden;
    this.cache = cache;
    this.length += 1;
    this.position.move(shares.data);
    const found = Float32Array.from(logits.data);
    if (!this.position.mayEnd) found[found.length - 1] = MAY_NOT_END;
    return found;
  }

  /** Logits of the pitch of a unit that was just drawn. */
  async scorePitch(unit) {
    const history = whole(this.history, [1, this.history.length]);
    const [logits] = await this.graphs.run("pitch", this.hidden, whole([unit], [1]), history);
    return logits.data;
  }

  /** Keep the pitch that was drawn for the next step. */
  takePitch(pitch) {
    this.history = [...this.history.slice(1), pitch];
  }
}

/** What was said after each step, the same object each time; ends when it has stopped. */
export async function* speakUnits(graphs, textIds, stop, sampling, uniform) {
  const end = graphs.config.codec.codebook_size;
  const row = await Row.of(graphs, textIds);
  const said = { units: [], textPositions: [], pitches: [], stopReason: null };
  row.takePitch(0);
  let logits = await row.read(graphs.config.semantic.bos_id);
  const window = sampling.repetition_window;
  for (;;) {
    forbid(logits, said.units, stop, end);
    const chosen = sample(logits, sampling, uniform, window ? said.units.slice(-window) : []);
    const position = row.position.spoken;
    const pitch = samplePitch(await row.scorePitch(chosen), sampling, uniform);
    row.takePitch(pitch);
    advance(said, chosen, stop, end, position, pitch);
    yield said;
    if (said.stopReason) return;
    logits = await row.read(Math.min(chosen, end - 1));
  }
}
