// The thread that the model runs in: messages in, samples and news out.

import { readVoice } from "./speech/voice.js";
import { fetchChecked, fetchJson } from "./speech/graphs.js";
import { Synthesizer } from "./speech/synthesizer.js";

const ADDRESS = new URL("./", import.meta.url);
const voices = new Map();
let synthesizer = null;
let speaking = 0; // number of the text that is being spoken

const tell = (message, transfer = []) => postMessage(message, transfer);

const TASKS = {
  async load() {
    synthesizer = await Synthesizer.open(ADDRESS, (graph) => tell({ kind: "loaded", graph }));
    const stock = await fetchJson(new URL("voices/voices.json", ADDRESS));
    tell({ kind: "ready", sampleRate: synthesizer.sampleRate, stock });
  },

  async create({ name, samples, transcript }) {
    const { voice, notes } = await synthesizer.createVoice(samples, transcript, name);
    voices.set(name, voice);
    tell({ kind: "created", name, notes });
  },

  async speak({ number, text, voice, seed }) {
    speaking = number;
    const isStopped = () => speaking !== number;
    for await (const samples of synthesizer.stream(text, await voiceOf(voice), seed, isStopped)) {
      if (samples.length) tell({ kind: "samples", number, samples }, [samples.buffer]);
    }
    tell({ kind: "spoken", number });
  },

  async stop() {
    speaking = 0;
  },
};

/** A voice that was made here, or a stock voice. */
async function voiceOf(name) {
  if (!voices.has(name)) {
    const file = await fetchChecked(new URL(`voices/${name}.safetensors`, ADDRESS));
    voices.set(name, readVoice(await file.arrayBuffer(), synthesizer.graphs.config));
  }
  return voices.get(name);
}

addEventListener("message", async ({ data }) => {
  try {
    await TASKS[data.task](data);
  } catch (problem) {
    tell({ kind: "problem", task: data.task, number: data.number, message: problem.message });
  }
});
