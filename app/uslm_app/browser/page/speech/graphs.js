// The graphs of an exported model on ONNX Runtime, opened when they are first needed.

import * as ort from "../vendor/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("../vendor/", import.meta.url).href;
// More than one needs memory that threads share, which a page has only with special headers.
ort.env.wasm.numThreads = globalThis.crossOriginIsolated
  ? Math.min(4, navigator.hardwareConcurrency)
  : 1;

/** Whole numbers as a graph takes them. */
export function whole(values, dims) {
  return new ort.Tensor("int64", BigInt64Array.from(values, BigInt), dims);
}

/** Real numbers as a graph takes them. */
export function real(values, dims) {
  return new ort.Tensor("float32", Float32Array.from(values), dims);
}

/** A folder of `uslm export --format browser`: model/ with its graphs, and settings.json. */
export class Graphs {
  static async open(address) {
    const [model, settings] = await Promise.all([
      fetchJson(new URL("model/model.json", address)),
      fetchJson(new URL("settings.json", address)),
    ]);
    return new Graphs(address, model, settings);
  }

  constructor(address, config, settings) {
    this.address = address;
    this.config = config;
    this.settings = settings;
    this.sessions = new Map();
  }

  /** Fetch what is named; `tell` is called with the name of each that is there. */
  async load(names, tell = () => {}) {
    for (const name of names) {
      await this.session(name);
      tell(name);
    }
  }

  /** Outputs, by the order of inputs and outputs. */
  async run(name, ...inputs) {
    const session = await this.session(name);
    const feeds = Object.fromEntries(session.inputNames.map((each, i) => [each, inputs[i]]));
    const outputs = await session.run(feeds);
    return session.outputNames.map((each) => outputs[each]);
  }

  session(name) {
    if (!this.sessions.has(name)) {
      const opened = this.openSession(name);
      this.sessions.set(name, opened);
      opened.catch(() => this.sessions.delete(name)); // the next one may try again
    }
    return this.sessions.get(name);
  }

  async openSession(name) {
    const answer = await fetchChecked(new URL(`model/${name}.onnx`, this.address));
    const bytes = new Uint8Array(await answer.arrayBuffer());
    return ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  }
}

/** Contents of a JSON file. */
export async function fetchJson(address) {
  return (await fetchChecked(address)).json();
}

/** What lies at an address; raises where nothing does. */
export async function fetchChecked(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address} cannot be fetched: ${answer.status}`);
  return answer;
}
