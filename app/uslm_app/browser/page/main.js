// The page: what is typed and recorded goes to the worker, what it makes is played and kept.

import { wavOf } from "./speech/wav.js";

const byId = (id) => document.getElementById(id);
const NUM_GRAPHS = 6; // that are fetched before it can speak
const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });

let sampleRate = 0;
let speech = null; // {number, parts, context, time}
let number = 0;
let recorder = null;
let recording = null; // samples of the voice to be made
let numVoices = 0;

const say = (message) => { byId("status").textContent = message; };
const sayOfVoice = (message) => { byId("voice-status").textContent = message; };

const NEWS = {
  loaded: () => { byId("progress").value += 1; },

  ready(news) {
    sampleRate = news.sampleRate;
    for (const { name, description } of news.stock) {
      byId("voice").add(new Option(`${name} (${description})`, name));
    }
    byId("progress").hidden = true;
    for (const id of ["speak", "file", "record"]) byId(id).disabled = false;
    say("Ready.");
  },

  created({ name, notes }) {
    const voice = byId("voice");
    voice.add(new Option(name, name), 0);
    voice.selectedIndex = 0;
    sayOfVoice([`${name} is ready to speak.`, ...notes].join(" "));
    setMakeable();
  },

  samples(news) {
    if (speech?.number !== news.number) return;
    if (!speech.parts.length) say("Speaking …");
    speech.parts.push(news.samples);
    play(news.samples);
  },

  spoken(news) {
    if (speech?.number === news.number) finish("Done.");
  },

  problem({ task, number: of, message }) {
    if (task === "create") {
      sayOfVoice(`No voice was made. The recording is ${message}.`);
      setMakeable();
    } else if (task === "load") say(`The model could not be loaded: ${message}`);
    else if (speech?.number === of) finish(`It did not work: ${message}.`);
  },
};

worker.addEventListener("message", ({ data }) => NEWS[data.kind](data));
worker.addEventListener("error", ({ message }) => say(`The page does not work here: ${message}`));
byId("progress").max = NUM_GRAPHS;
worker.postMessage({ task: "load" });

function play(samples) {
  const { context } = speech;
  const buffer = context.createBuffer(1, samples.length, sampleRate);
  buffer.copyToChannel(samples, 0);
  const source = context.createBufferSource();
  source.buffer = buffer;
  source.connect(context.destination);
  speech.time = Math.max(speech.time, context.currentTime + 0.02);
  source.start(speech.time);
  speech.time += buffer.duration;
}

function speak() {
  const text = byId("text").value.trim();
  if (!text) return say("There is no text to say.");
  stop();
  number += 1;
  byId("player").hidden = true;
  byId("download").hidden = true;
  speech = { number, parts: [], context: new AudioContext({ sampleRate }), time: 0 };
  byId("stop").disabled = false;
  say("Reading …");
  const seed = byId("seed").valueAsNumber;
  worker.postMessage({ task: "speak", number, text, voice: byId("voice").value, seed });
  return undefined;
}

/** End what is spoken; what was made of it is kept. */
function stop() {
  if (!speech) return;
  worker.postMessage({ task: "stop" });
  speech.context.close();
  finish("Stopped.");
}

function finish(message) {
  const { parts, number: done } = speech;
  const samples = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    samples.set(part, place);
    place += part.length;
  }
  speech = null;
  byId("stop").disabled = true;
  say(message);
  if (!samples.length) return;
  const player = byId("player");
  URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(wavOf(samples, sampleRate));
  player.hidden = false;
  byId("download").href = player.src;
  byId("download").download = `speech-${done}.wav`;
  byId("download").hidden = false;
}

/** Samples of any sound file that the browser reads, mono, at the model's rate. */
async function decode(bytes) {
  const context = new OfflineAudioContext(1, 1, sampleRate);
  const sound = await context.decodeAudioData(bytes);
  const mono = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    const samples = sound.getChannelData(channel);
    for (let i = 0; i < mono.length; i++) mono[i] += samples[i] / sound.numberOfChannels;
  }
  return mono;
}

async function take(bytes, name) {
  try {
    recording = { samples: await decode(bytes), name };
    sayOfVoice(`${(recording.samples.length / sampleRate).toFixed(1)} s of ${name}.`);
  } catch {
    recording = null;
    sayOfVoice(`${name} is no sound that this browser can read.`);
  }
  setMakeable();
}

function setMakeable() {
  byId("make").disabled = !(recording && byId("consent").checked);
}

async function record() {
  if (recorder) {
    recorder.stop();
    return;
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (problem) {
    sayOfVoice(`The microphone cannot be used: ${problem.message}.`);
    return;
  }
  const parts = [];
  recorder = new MediaRecorder(stream);
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  recorder.addEventListener("stop", async () => {
    recorder = null;
    stream.getTracks().forEach((track) => track.stop());
    byId("record").textContent = "Record";
    await take(await new Blob(parts).arrayBuffer(), "the recording");
  });
  recorder.start();
  byId("record").textContent = "Stop recording";
  sayOfVoice("Recording … five seconds or so are best.");
}

function makeVoice() {
  numVoices += 1;
  byId("make").disabled = true;
  sayOfVoice("Listening to the recording …");
  worker.postMessage({
    task: "create",
    name: byId("name").value.trim() || `voice ${numVoices}`,
    samples: recording.samples,
    transcript: byId("transcript").value,
  });
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!byId("speak").disabled) speak();
});
byId("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("form").requestSubmit();
});
byId("stop").addEventListener("click", stop);
byId("record").addEventListener("click", record);
byId("make").addEventListener("click", makeVoice);
byId("consent").addEventListener("change", setMakeable);
byId("file").addEventListener("change", async () => {
  const [file] = byId("file").files;
  if (file) await take(await file.arrayBuffer(), file.name);
});
