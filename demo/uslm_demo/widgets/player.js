// The player. `element`, `props` and `watch` are Gradio's; audio.js comes before this.

const PLAY = "M8 5v14l11-7z";
const PAUSE = "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z";
const AHEAD_SECONDS = 0.4; // so much must be there before the sound (re)starts

const root = element.querySelector(".player");
const button = root.querySelector(".play");
const icon = root.querySelector("path");
const wave = root.querySelector("canvas");
const time = root.querySelector(".time");

let recording = null;
let isPlaying = false;
let offset = 0; // seconds, where the sound stands while nothing sounds
let begun = null; // time of the context at which second 0 sounded, while it sounds
let scheduled = 0; // samples that were handed to the loudspeaker
let nodes = [];

function position() {
  if (begun === null) return offset;
  return Math.max(0, Math.min(audioContext().currentTime - begun, scheduled / recording.rate));
}

/** Hand over what has come; wait for more where too little has. */
function feed() {
  if (!isPlaying || !recording) return;
  const context = audioContext();
  if (begun !== null && position() >= scheduled / recording.rate) silence();
  const ready = recording.length - scheduled;
  if (!ready) return;
  if (begun === null) {
    if (ready < AHEAD_SECONDS * recording.rate && !recording.done) return;
    begun = context.currentTime + 0.05 - offset;
    root.dataset.heard = "true";
  }
  nodes.push(recording.sound(scheduled, recording.length, begun + scheduled / recording.rate));
  scheduled = recording.length;
}

function silence() {
  offset = position();
  begun = null;
  for (const node of nodes) node.stop();
  nodes = [];
  scheduled = Math.round(offset * (recording?.rate ?? 0));
}

function start() {
  if (!recording?.length && recording?.done !== false) return;
  window.dispatchEvent(new CustomEvent("uslm-play", { detail: root }));
  audioContext().resume();
  if (recording.done && offset >= recording.seconds) seek(0);
  isPlaying = true;
  feed();
  tick();
}

function pause() {
  if (recording) silence();
  isPlaying = false;
  show();
}

function seek(seconds) {
  if (recording) silence();
  offset = Math.max(0, Math.min(seconds, recording?.seconds ?? 0));
  scheduled = Math.round(offset * (recording?.rate ?? 0));
  feed();
  show();
}

function tick() {
  if (!isPlaying) return;
  feed();
  if (recording.done && position() >= recording.seconds) {
    pause();
    offset = recording.seconds;
  }
  show();
  if (isPlaying) setTimeout(tick, 60);
}

function clock(seconds) {
  const whole = Math.floor(seconds + 0.05);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function show() {
  const total = recording?.seconds ?? 0;
  const now = position();
  let state = "empty";
  if (recording) state = isPlaying ? (begun === null ? "waiting" : "playing") : "paused";
  if (recording && !isPlaying && recording.done && total && now >= total) state = "ended";
  root.dataset.state = state;
  root.dataset.seconds = total.toFixed(2);
  root.dataset.done = String(recording?.done ?? false);
  button.disabled = !recording || (recording.done && !total);
  button.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
  icon.setAttribute("d", isPlaying ? PAUSE : PLAY);
  time.textContent = recording ? `${clock(now)} / ${clock(total)}` : "0:00";
  wave.tabIndex = total ? 0 : -1;
  wave.setAttribute("aria-valuemax", total.toFixed(1));
  wave.setAttribute("aria-valuenow", now.toFixed(1));
  wave.setAttribute("aria-valuetext", total ? `${now.toFixed(1)} of ${total.toFixed(1)} seconds` : "nothing to play");
  draw(now, total);
}

function draw(now, total) {
  const { context, width, height } = sharpContext(wave);
  const middle = height / 2;
  const step = 3;
  const columns = Math.floor(width / step);
  const played = themeColor(root, "--color-accent");
  const rest = themeColor(root, "--border-color-primary");
  const levels = total ? peaks(recording, 0, recording.length, columns) : [];
  const loudest = Math.max(0.05, ...levels.map(([low, high]) => high - low));
  for (let column = 0; column < columns; column++) {
    const [low, high] = levels[column] ?? [0, 0];
    const size = Math.max(1, ((high - low) / loudest) * middle * 0.95);
    context.fillStyle = total && (column / columns) * total < now ? played : rest;
    context.fillRect(column * step, middle - size, step - 1, 2 * size);
  }
}

function load() {
  if (recording) {
    recording.abandoned = true;
    pause();
  }
  delete root.dataset.heard;
  offset = scheduled = 0;
  recording = props.value?.id ? new Recording(props.value) : null;
  if (recording) {
    const loaded = recording;
    loaded.fetch(() => {
      if (loaded !== recording) return;
      feed();
      show();
    });
    if (props.value.autoplay) start();
  }
  show();
}

button.addEventListener("click", () => (isPlaying ? pause() : start()));
wave.addEventListener("pointerdown", (event) => {
  const box = wave.getBoundingClientRect();
  seek(((event.clientX - box.left) / box.width) * (recording?.seconds ?? 0));
});
wave.addEventListener("keydown", (event) => {
  const moves = {
    ArrowLeft: position() - 1,
    ArrowRight: position() + 1,
    Home: 0,
    End: recording?.seconds ?? 0,
  };
  if (event.key in moves) seek(moves[event.key]);
  else if (event.key === " ") button.click();
  else return;
  event.preventDefault();
});
window.addEventListener("uslm-play", (event) => {
  if (event.detail !== root && isPlaying) pause();
});
redrawOnChange(wave, show);
watch("value", load);
load();
