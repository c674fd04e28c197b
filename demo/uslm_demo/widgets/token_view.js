// The token view. `element`, `props` and `watch` are Gradio's; audio.js and token_tracks.js come
// before this.

const MIN_SCALE = 30; // CSS pixels per second
const MAX_SCALE = 960;
const MIN_SCALE_FIRST = 60; // on a narrow screen one scrolls
const MIN_HEARD_SECONDS = 0.06; // less is a click

const root = element.querySelector(".tokens");
const body = root.querySelector(".body");
const labels = root.querySelector(".labels");
const scroll = root.querySelector(".scroll");
const canvas = root.querySelector("canvas");
const readout = root.querySelector(".readout");
const buttons = Object.fromEntries([...root.querySelectorAll("button")].map((b) => [b.dataset.do, b]));

let view = null;
let recordings = [];
let layout = null;
let pictures = new Map();
let spans = new Map(); // of each track
let scale = 0; // CSS pixels per second; 0: as wide as there is room
let row = 0; // the track that the keyboard is in
let span = null; // what is chosen
let drag = null;
let playing = null; // {node, sound, from, to, begun}

const seconds = () => view.end - view.start;
const room = () => Math.max(100, scroll.clientWidth);
const pixels = () => scale || room() / seconds();
const at = (time) => (time - view.start) * pixels();

// ---- drawing

function draw() {
  if (!view || !room()) return;
  // Only what can be seen is drawn: a canvas has a limit.
  const wide = Math.max(room(), Math.ceil(seconds() * pixels()));
  canvas.style.width = `${wide}px`;
  canvas.style.height = `${layout.height}px`;
  canvas.parentElement.style.height = "";
  const sharp = Math.min(window.devicePixelRatio || 1, 16000 / wide);
  canvas.width = wide * sharp;
  canvas.height = layout.height * sharp;
  const context = canvas.getContext("2d");
  context.scale(sharp, sharp);
  const tools = {
    recordings, view, at, scale: pixels(), left: 0, right: seconds() * pixels(),
    ink: themeColor(root, "--body-text-color"),
    soft: themeColor(root, "--color-accent-soft"),
    font: getComputedStyle(root).fontFamily,
    picture: (track) => {
      if (!pictures.has(track)) pictures.set(track, melPicture(track));
      return pictures.get(track);
    },
  };
  drawAxis(context, tools);
  for (const place of layout.places) DRAW[place.track.kind](context, place, tools);
  drawMarks(context);
}

function drawAxis(context, { ink, font }) {
  const step = tickStep(pixels());
  context.fillStyle = context.strokeStyle = themeColor(root, "--body-text-color-subdued");
  context.font = `11px ${font}`;
  context.textBaseline = "top";
  for (let tick = Math.ceil(view.start / step) * step; tick <= view.end; tick += step) {
    const x = at(tick);
    context.fillRect(x, AXIS_HEIGHT - 6, 1, 6);
    if (view.start < 0 && Math.abs(x - at(0)) < 60) continue; // said by the boundary
    const text = `${Number(tick.toFixed(1)) || 0} s`;
    const width = context.measureText(text).width;
    if (x + width / 2 > seconds() * pixels()) continue;
    context.textAlign = x < width / 2 ? "left" : "center";
    context.fillText(text, x, 2);
  }
}

function drawMarks(context) {
  const accent = themeColor(root, "--color-accent");
  context.fillStyle = context.strokeStyle = accent;
  if (view.start < 0) drawBoundary(context);
  if (span) {
    context.globalAlpha = 0.3;
    context.fillRect(at(span.begin), AXIS_HEIGHT, at(span.end) - at(span.begin), layout.height);
    context.globalAlpha = 1;
    const place = layout.places[row];
    context.lineWidth = 2;
    context.strokeRect(at(span.begin), place.top, Math.max(2, at(span.end) - at(span.begin)), place.height);
  }
  if (playing) context.fillRect(at(now()), AXIS_HEIGHT, 2, layout.height);
}

function drawBoundary(context) {
  const x = at(0);
  context.fillRect(x - 1, 0, 2, layout.height);
  context.font = `bold 11px ${getComputedStyle(root).fontFamily}`;
  context.textBaseline = "top";
  context.textAlign = "right";
  context.fillText("voice", x - 6, 2);
  context.textAlign = "left";
  context.fillText("speech", x + 6, 2);
}

function drawLabels() {
  labels.replaceChildren(
    ...layout.places.map(({ track, top, height }) => {
      const label = document.createElement("span");
      label.textContent = track.label;
      label.style.top = `${top}px`;
      label.style.height = `${height}px`;
      return label;
    }),
  );
  labels.style.height = `${layout.height}px`;
  labels.style.width = `${7 * Math.max(...view.tracks.map(({ label }) => label.length))}px`;
}

// ---- hearing

function now() {
  const passed = Math.max(0, audioContext().currentTime - playing.begun);
  return Math.min(playing.to, playing.from + passed);
}

function stop() {
  playing?.node.stop();
  playing = null;
  buttons.play.textContent = "Play";
  root.dataset.state = "ready";
  draw();
}

function play(sound, from, to) {
  window.dispatchEvent(new CustomEvent("uslm-play", { detail: root }));
  stop();
  const context = audioContext();
  context.resume();
  const short = Math.max(0, MIN_HEARD_SECONDS - (to - from)) / 2;
  const recording = recordings[sound];
  const sample = (time) => Math.max(0, Math.min(recording.length, Math.round((time - view.start) * recording.rate)));
  const [first, last] = [sample(from - short), sample(to + short)];
  if (last <= first) return;
  const begun = context.currentTime + 0.03;
  const node = recording.sound(first, last, begun);
  const mine = { node, from, to, begun };
  playing = mine;
  node.onended = () => playing === mine && stop();
  buttons.play.textContent = "Stop";
  root.dataset.state = "playing";
  root.dataset.heard = `${from.toFixed(2)} ${to.toFixed(2)} ${sound}`;
  follow();
}

function follow() {
  if (!playing) return;
  draw();
  requestAnimationFrame(follow);
}

// ---- choosing

function spansAt(index) {
  const { track } = layout.places[index];
  if (!spans.has(track)) spans.set(track, spansOf(view, track));
  return spans.get(track);
}

/** The span of a row at a time; between two spans, the nearer one. */
function spanAt(index, time) {
  const distance = ({ begin, end }) => Math.max(begin - time, time - end, 0);
  return spansAt(index).reduce((best, each) => (!best || distance(each) < distance(best) ? each : best), null);
}

function choose(index, chosen) {
  row = index;
  span = chosen;
  if (span) {
    const part = view.start < 0 ? (span.begin < 0 ? "prompt, " : "speech, ") : "";
    readout.textContent = `${part}${span.begin.toFixed(2)} to ${span.end.toFixed(2)} s, ${span.name}`;
  }
  draw();
}

function rowAt(y) {
  const index = layout.places.findIndex(({ top, height }) => y < top + height + GAP / 2);
  return index < 0 ? layout.places.length - 1 : index;
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  const time = view.start + (event.clientX - box.left) / pixels();
  return { index: rowAt(event.clientY - box.top), time: Math.max(view.start, Math.min(view.end, time)) };
}

function dragged(from, to) {
  const [begin, end] = from.time < to.time ? [from.time, to.time] : [to.time, from.time];
  return { begin, end, name: "selection", sound: layout.places[from.index].track.sound };
}

canvas.addEventListener("pointerdown", (event) => {
  drag = { ...place(event), x: event.clientX };
});
canvas.addEventListener("pointermove", (event) => {
  const here = place(event);
  if (drag && Math.abs(event.clientX - drag.x) > 4) choose(drag.index, dragged(drag, here));
  else if (!drag && !playing && event.pointerType === "mouse") choose(here.index, spanAt(here.index, here.time));
});
canvas.addEventListener("pointerup", (event) => {
  if (!drag) return;
  const here = place(event);
  const isDrag = Math.abs(event.clientX - drag.x) > 4;
  choose(drag.index, isDrag ? dragged(drag, here) : spanAt(drag.index, here.time));
  drag = null;
  if (span) play(span.sound, span.begin, span.end);
});
canvas.addEventListener("pointercancel", () => (drag = null));
canvas.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  if (event.key in moves) {
    const [down, right] = moves[event.key];
    const index = Math.max(0, Math.min(layout.places.length - 1, row + down));
    const list = spansAt(index);
    const here = spanAt(index, span ? (span.begin + span.end) / 2 : 0);
    choose(index, list[Math.max(0, Math.min(list.length - 1, list.indexOf(here) + (span ? right : 0)))] ?? null);
    if (span) reveal();
  } else if (event.key === "Enter" || event.key === " ") {
    if (span) play(span.sound, span.begin, span.end);
  } else if (event.key === "Escape") stop();
  else return;
  event.preventDefault();
});

function reveal() {
  const [left, right] = [at(span.begin), at(span.end)];
  if (left < scroll.scrollLeft) scroll.scrollLeft = left - 40;
  else if (right > scroll.scrollLeft + room()) scroll.scrollLeft = right - room() + 40;
}

function zoom(factor) {
  const middle = (scroll.scrollLeft + room() / 2) / pixels();
  const fit = room() / seconds();
  scale = factor ? Math.max(Math.min(MIN_SCALE, fit), Math.min(MAX_SCALE, pixels() * factor)) : 0;
  if (scale <= fit) scale = 0;
  draw();
  scroll.scrollLeft = middle * pixels() - room() / 2;
}

buttons.play.addEventListener("click", () => {
  if (playing) stop();
  else play(layout.places[row].track.sound, view.start, view.end);
});
buttons.in.addEventListener("click", () => zoom(2));
buttons.out.addEventListener("click", () => zoom(0.5));
buttons.fit.addEventListener("click", () => zoom(0));
window.addEventListener("uslm-play", (event) => {
  if (event.detail !== root && playing) stop();
});

// ---- the value

function load() {
  for (const recording of recordings) recording.abandoned = true;
  if (playing) stop();
  view = props.value?.tracks ? props.value : null;
  body.hidden = !view;
  root.querySelector(".empty").hidden = Boolean(view);
  for (const button of Object.values(buttons)) button.disabled = !view;
  root.dataset.state = view ? "ready" : "empty";
  readout.textContent = view ? "Click a span to hear it; drag for more. Arrow keys and Enter do it, too." : "";
  if (!view) return;
  pictures = new Map();
  spans = new Map();
  row = 0;
  scale = room() / seconds() < MIN_SCALE_FIRST ? MIN_SCALE_FIRST : 0;
  span = null;
  layout = layOut(view.tracks);
  recordings = view.sounds.map((sound) => new Recording(sound));
  for (const recording of recordings) recording.fetch(draw);
  canvas.setAttribute("aria-label", `${root.getAttribute("aria-label")}: ${view.tracks.map((t) => t.label).join(", ")}. Arrow keys choose a span, Enter plays it.`);
  drawLabels();
  draw();
}

redrawOnChange(scroll, draw);
watch("value", load);
load();
