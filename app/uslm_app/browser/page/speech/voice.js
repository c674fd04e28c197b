// A voice: read from a voice file, or made of a recording; as uslm/onnx/voice.py and
// voice_creation.py.

import { bestCtcPath } from "./ctc_path.js";
import { f0Of } from "./f0.js";
import { real, whole } from "./graphs.js";
import { preparePrompt } from "./prompt_audio.js";
import { indexOfLargest } from "./sampling.js";

const READERS = {
  I16: Int16Array, I32: Int32Array, I64: BigInt64Array, F32: Float32Array,
};

/** The voice of a file of `uslm voice create` (safetensors), its bytes being given. */
export function readVoice(buffer, config) {
  const headerLength = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, headerLength)));
  const facts = JSON.parse(header.__metadata__.voice);
  if (facts.tokenizer_hash !== config.tokenizer_hash) {
    throw new Error(`the voice ${facts.name} was made with another model's tokenizer`);
  }
  const read = (name) => {
    if (!header[name]) return null;
    const { dtype, data_offsets: [from, to] } = header[name];
    const bytes = buffer.slice(8 + headerLength + from, 8 + headerLength + to);
    return Array.from(new READERS[dtype](bytes), Number);
  };
  const flat = read("codes");
  const frames = header.codes.shape[1];
  return {
    name: facts.name,
    codes: Array.from({ length: header.codes.shape[0] }, (_, k) => (
      flat.slice(k * frames, (k + 1) * frames)
    )),
    spoken: read("extras.spoken"),
    pooled: read("extras.fit.pooled"),
    output: read("extras.fit.output"),
  };
}

/** `{voice, notes}` of a recording at the model's rate; `textIds` are of what is said in it, and
 * recognised unless given. Nothing is fitted to it. */
export async function createVoice(graphs, recording, textIds, name) {
  const { config, settings } = graphs;
  const most = Math.max(config.semantic_prompt_frames, config.acoustic_prompt_frames);
  const prompt = preparePrompt(recording, config.codec.sample_rate, settings.prompt);
  const { codes, scores } = await encode(graphs, prompt.samples, most);
  const known = prompt.isCut ? null : textIds;
  if (textIds && !known) prompt.notes.push("the transcript is not used: only a part of the recording is");
  const ids = known ?? recognize(scores);
  const starts = ids.length ? bestCtcPath(scores, ids) : null;
  const spoken = starts && symbolOfFrames(ids, starts, codes[0].length);
  return { voice: { name, codes, spoken, pooled: null, output: null }, notes: prompt.notes };
}

/** Codes of a waveform, a row for each codebook, and log-probabilities of the recogniser's symbols,
 * a row for each frame; at most so many frames. */
export async function encode(graphs, samples, most) {
  const { codec } = graphs.config;
  const frames = Math.ceil(samples.length / codec.hop_length);
  const padded = new Float32Array((frames + (frames % 2)) * codec.hop_length);
  padded.set(samples);
  const [units, levels, scores] = await graphs.run(
    "encoder", real(padded, [padded.length]), whole([frames], [1]),
  );
  const kept = Math.min(frames, most);
  const row = (tensor, index) => {
    const width = tensor.dims[tensor.dims.length - 1];
    return Array.from(tensor.data.subarray(index * width, index * width + width), Number);
  };
  const f0 = f0Of(samples, codec, graphs.settings.f0);
  const rows = [row(units, 0), f0.map((each) => pitchOf(each, codec))];
  for (let k = 0; k < levels.dims[0]; k++) rows.push(row(levels, k));
  return {
    codes: rows.map((each) => each.slice(0, kept)),
    scores: Array.from({ length: kept }, (_, frame) => row(scores, frame)),
  };
}

/** The phoneme ids that are recognised: best class per frame, repeats and blanks removed. */
export function recognize(scores) {
  const best = scores.map(indexOfLargest);
  return best.filter((id, frame) => id && id !== best[frame - 1]);
}

/** The nearest code of an F0; 0 where it is 0. */
function pitchOf(f0, codec) {
  if (!(f0 > 0)) return 0;
  const octaves = Math.log2(Math.max(f0, codec.lowest_f0) / codec.lowest_f0);
  return 1 + Math.min(Math.round(octaves * codec.steps_per_octave), codec.num_pitches - 2);
}

/** The symbol of each frame; what lies before the first belongs to it. */
function symbolOfFrames(ids, starts, frames) {
  let place = 0;
  return Array.from({ length: frames }, (_, frame) => {
    while (place + 1 < starts.length && starts[place + 1] <= frame) place += 1;
    return ids[place];
  });
}
