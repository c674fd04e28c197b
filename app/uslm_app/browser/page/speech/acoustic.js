// Stage 2 and the decoder at work: units and pitches become codes, and codes samples.

import { real, whole } from "./graphs.js";

export const UNIT_ROW = 0;
export const PITCH_ROW = 1;
const USUAL_PITCH = 32; // of a voice that was never voiced, in the codec's steps: some 150 Hz

/** Rows of codes as one tensor [k, t]. */
function tensorOf(rows) {
  return whole(rows.flatMap((row) => Array.from(row)), [rows.length, rows[0].length]);
}

/** Outputs of stage 2 for a voice, made once. */
export class VoiceMemory {
  static async of(graphs, voice) {
    const { acoustic, acoustic_prompt_frames: most } = graphs.config;
    const codes = voice.codes.map((row) => row.slice(0, most));
    const frames = codes[0].length;
    const spoken = voice.spoken ? voice.spoken.slice(0, frames) : new Array(frames).fill(-1);
    const pooled = voice.pooled ?? new Float32Array(acoustic.dim);
    const output = voice.output ?? new Float32Array(acoustic.latent_dim);
    const memory = new VoiceMemory();
    memory.outputShift = real(output, [output.length]);
    memory.tensors = await graphs.run(
      "voice", tensorOf(codes), whole(spoken, [frames]), real(pooled, [pooled.length]),
    );
    return memory;
  }
}

/** Sizes of the blocks that stage 2 fills; as uslm/generate/block_schedule.py. */
export function nextBlock(schedule, index, done, known, isFinal, lowLatency, lag) {
  let size = schedule.max_frames;
  if (lowLatency && index === 0) size = schedule.first_frames + lag;
  else if (lowLatency) {
    size = Math.min(size, Math.round(schedule.first_frames * schedule.growth ** index));
  }
  const waiting = known - done;
  if (waiting < size + schedule.lookahead_frames) {
    if (!isFinal || waiting <= 0) return null;
    size = waiting;
  }
  return {
    first: done - Math.min(schedule.context_frames, done),
    start: done,
    stop: done + size,
    last: Math.min(known, done + size + schedule.lookahead_frames),
  };
}

/** The codes of one segment, growing as its units become known. */
export class CodeBlocks {
  constructor(graphs, memory, median, textIds, lowLatency) {
    this.graphs = graphs;
    this.memory = memory;
    this.median = median;
    this.textIds = textIds;
    this.lowLatency = lowLatency;
    this.index = 0;
    /** All that is made: a row for each codebook. */
    this.codes = Array.from({ length: graphs.config.codec.num_codebooks }, () => []);
  }

  /** Fill the next block of the units so far; false before there are enough of them. */
  async fill(said) {
    const { blocks, codec } = this.graphs.config;
    const block = nextBlock(
      blocks, this.index, this.codes[0].length, said.units.length, said.stopReason !== null,
      this.lowLatency, codec.context_frames,
    );
    if (block === null) return false;
    const frames = block.last - block.first;
    const context = block.start - block.first;
    const rows = this.codes.map((row) => [
      ...row.slice(block.first, block.start), ...new Array(frames - context).fill(0),
    ]);
    for (let t = context; t < frames; t++) {
      rows[UNIT_ROW][t] = said.units[block.first + t];
      rows[PITCH_ROW][t] = this.absolutePitch(said.pitches[block.first + t]);
    }
    const lastSymbol = this.textIds.length - 1; // after it comes stage 1's end symbol
    const spoken = said.textPositions
      .slice(block.first, block.last)
      .map((place) => this.textIds[Math.min(Math.max(place, 0), lastSymbol)]);
    const [filled] = await this.graphs.run(
      "block", tensorOf(rows), whole(spoken, [frames]), whole([context], [1]),
      this.memory.outputShift, ...this.memory.tensors,
    );
    this.codes.forEach((row, k) => {
      for (let t = context; t < block.stop - block.first; t++) {
        row.push(Number(filled.data[k * frames + t]));
      }
    });
    this.index += 1;
    return true;
  }

  absolutePitch(relative) {
    if (!relative) return 0;
    const { codec, semantic } = this.graphs.config;
    const pitch = Math.max(1, this.median + relative - semantic.pitch_reach - 1);
    return Math.min(pitch, codec.num_pitches - 1);
  }
}

/** Codes to samples, as they come; the same samples as all at once. */
export class StreamingDecoder {
  constructor(graphs) {
    this.graphs = graphs;
    this.emitted = 0; // frames that have become samples
  }

  /** Samples of the frames that are settled by now, of all codes so far; at the end, of all. */
  async push(codes, isFinal) {
    const { context_frames: context, hop_length: hop } = this.graphs.config.codec;
    const frames = codes[0].length;
    const start = this.emitted;
    const stop = isFinal ? frames : frames - context;
    if (stop <= start) return new Float32Array(0);
    const first = Math.max(0, start - context);
    const last = Math.min(frames, stop + context);
    const pitches = codes[PITCH_ROW].slice(0, last);
    const [samples] = await this.graphs.run(
      "decoder", tensorOf(codes.map((row) => row.slice(first, last))),
      whole(pitches, [pitches.length]), whole([first], [1]),
    );
    this.emitted = stop;
    return samples.data.slice((start - first) * hop, (stop - first) * hop);
  }
}

/** The median of the voiced frames, in the codec's steps; the lower of two in the middle. */
export function medianPitch(pitches) {
  const voiced = Array.from(pitches).filter((pitch) => pitch > 0).sort((a, b) => a - b);
  return voiced.length ? voiced[Math.floor((voiced.length - 1) / 2)] : USUAL_PITCH;
}
