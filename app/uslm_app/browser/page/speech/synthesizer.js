// Zero-shot text to speech in a browser: a text and a voice in, speech out.

import { CodeBlocks, medianPitch, PITCH_ROW, StreamingDecoder, VoiceMemory } from "./acoustic.js";
import { Graphs } from "./graphs.js";
import { SampleJoiner } from "./joiner.js";
import { deriveSeed, uniformNumbers } from "./random.js";
import { speakUnits } from "./semantic.js";
import { stopRule } from "./stopping.js";
import { phonemesOf, planText, Vocab } from "./text.js";
import { createVoice } from "./voice.js";

const SPEAKING = ["text", "step", "pitch", "voice", "block", "decoder"];
const UNITS_PER_TURN = 16; // then whoever else wants the thread has it: a message to stop, say

/** Speaks with an exported model; with one seed and the same phonemes, what Python says. */
export class Synthesizer {
  static async open(address, tell) {
    const graphs = await Graphs.open(address);
    await graphs.load(SPEAKING, tell);
    return new Synthesizer(graphs);
  }

  constructor(graphs) {
    this.graphs = graphs;
    this.vocab = new Vocab(graphs.config.symbols, graphs.settings);
    this.memories = new WeakMap();
  }

  get sampleRate() {
    return this.graphs.config.codec.sample_rate;
  }

  /** Text ids of what is to be said. */
  async read(text) {
    return this.vocab.encode(await phonemesOf(text, this.graphs.config.language));
  }

  /** `{voice, notes}` of a recording at the model's rate; without its words they are recognised. */
  async createVoice(recording, transcript, name) {
    const ids = transcript.trim() ? await this.read(transcript) : null;
    return createVoice(this.graphs, recording, ids, name);
  }

  /** Samples as they are made. `seed` is a whole number; `isStopped` is asked now and then. */
  async* stream(text, voice, seed, isStopped = () => false) {
    const { config, settings } = this.graphs;
    const segments = planText(text, config.language, config.plan, settings.shortest_segment);
    const joiner = new SampleJoiner(config.join, this.sampleRate);
    let lowLatency = true;
    let index = 0;
    for (const segment of segments) {
      const ids = await this.read(segment.text);
      if (ids.some((id) => /\p{L}/u.test(this.vocab.decode([id])))) {
        const own = await deriveSeed(seed, index);
        for await (const samples of this.speak(ids, voice, own, lowLatency, isStopped)) {
          yield joiner.push(samples);
        }
        lowLatency = false;
      }
      if (isStopped()) return;
      yield joiner.endSegment();
      // Between two segments lies their rest, which counts as one more part of the plan.
      if (segment.restSeconds) yield joiner.pause(segment.restSeconds);
      index += 1;
    }
    yield joiner.finish();
    if (!joiner.numSamples) throw new Error("there is nothing to say in this text");
  }

  /** The samples of one segment of text ids, each as early as they can be had. */
  async* speak(ids, voice, seed, lowLatency, isStopped = () => false) {
    const { config, settings } = this.graphs;
    const stop = stopRule(ids.length, config.length, settings.repetition);
    const median = medianPitch(voice.codes[PITCH_ROW]);
    const blocks = new CodeBlocks(this.graphs, await this.memory(voice), median, ids, lowLatency);
    const decoder = new StreamingDecoder(this.graphs);
    const uniform = await uniformNumbers(seed, "semantic");
    for await (const said of speakUnits(this.graphs, ids, stop, config.sampling, uniform)) {
      if (said.units.length % UNITS_PER_TURN === 0) await new Promise((go) => setTimeout(go));
      if (isStopped()) return;
      let isNew = false;
      while (await blocks.fill(said)) isNew = true;
      if (isNew || said.stopReason) {
        const samples = await decoder.push(blocks.codes, said.stopReason !== null);
        yield samples.map((each) => Math.min(1, Math.max(-1, each)));
      }
    }
  }

  async memory(voice) {
    if (!this.memories.has(voice)) {
      this.memories.set(voice, await VoiceMemory.of(this.graphs, voice));
    }
    return this.memories.get(voice);
  }
}
