// How the tracks of a token view are drawn, and which spans they have.

const AXIS_HEIGHT = 24;
const GAP = 6;
const HEIGHTS = { wave: 64, mel: 96, spans: 24, codes: 16 };

/** Dark to bright, as in matplotlib's magma and viridis, roughly: red, green, blue in 0..255. */
const MAGMA = [[0, 0, 4], [40, 17, 89], [114, 31, 129], [182, 54, 121], [241, 96, 93], [254, 176, 120], [252, 253, 191]];
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];

function shade(colors, share) {
  const place = Math.max(0, Math.min(1, share)) * (colors.length - 1);
  const low = Math.floor(place);
  const high = Math.min(low + 1, colors.length - 1);
  return colors[low].map((value, i) => Math.round(value + (colors[high][i] - value) * (place - low)));
}

/** Where each track lies, from the top. */
function layOut(tracks) {
  let top = AXIS_HEIGHT;
  let before = null;
  const places = tracks.map((track) => {
    if (before && !(before === "codes" && track.kind === "codes")) top += GAP;
    const place = { track, top, height: HEIGHTS[track.kind] };
    top += place.height;
    before = track.kind;
    return place;
  });
  return { places, height: top + 2 };
}

/** The spans of a track, in seconds: phonemes, runs of one code. Waveform and mel borrow them. */
function spansOf(view, track) {
  if (track.kind === "spans") {
    return track.spans.map(([begin, end, name]) => ({ begin, end, name: `phoneme ${name}`, sound: track.sound }));
  }
  if (track.kind === "codes") {
    const spans = [];
    let first = 0;
    track.codes.forEach((code, i) => {
      if (track.codes[i + 1] === code) return;
      const frames = i + 1 - first;
      const name = `${track.label}: code ${code}${frames > 1 ? `, ${frames} frames` : ""}`;
      spans.push({ begin: view.start + first / track.rate, end: view.start + (i + 1) / track.rate, name, sound: track.sound });
      first = i + 1;
    });
    return spans;
  }
  const phonemes = view.tracks.find((other) => other.kind === "spans" && other.sound === track.sound);
  if (phonemes) return spansOf(view, phonemes);
  const spans = [];
  for (let begin = view.start; begin < view.end; begin += 0.25) {
    spans.push({ begin, end: Math.min(view.end, begin + 0.25), name: track.label, sound: track.sound });
  }
  return spans;
}

/** Tracks draw themselves between x = left and x = right of a canvas; `at` turns seconds to x. */
const DRAW = {
  wave(context, { track, top, height }, { recordings, left, right, view, scale, ink }) {
    const recording = recordings[track.sound];
    const middle = top + height / 2;
    const rate = recording.rate;
    const levels = peaks(recording, (left / scale) * rate, (right / scale) * rate, Math.ceil(right - left));
    const loudest = Math.max(0.05, ...levels.map(([low, high]) => Math.max(-low, high)));
    const zoom = height / 2 / loudest;
    context.fillStyle = ink;
    levels.forEach(([low, high], i) => {
      context.fillRect(left + i, middle - high * zoom, 1, Math.max(1, (high - low) * zoom));
    });
  },

  mel(context, { track, top, height }, { picture, view, scale }) {
    const image = picture(track);
    context.imageSmoothingEnabled = true;
    context.drawImage(image, 0, top, (view.end - view.start) * scale, height);
  },

  spans(context, { track, top, height }, { at, left, right, ink, soft, font }) {
    context.font = `13px ${font}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const [begin, end, name] of track.spans) {
      const x = at(begin);
      const width = at(end) - x;
      if (x + width < left || x > right) continue;
      context.fillStyle = soft;
      context.fillRect(x, top, Math.max(1, width - 1), height);
      if (width < 8) continue;
      context.fillStyle = ink;
      context.fillText(name, x + width / 2, top + height / 2 + 1, width);
    }
  },

  codes(context, { track, top, height }, { at, left, right, view }) {
    track.codes.forEach((code, i) => {
      const x = at(view.start + i / track.rate);
      const width = at(view.start + (i + 1) / track.rate) - x;
      if (x + width < left || x > right) return;
      context.fillStyle = `rgb(${shade(VIRIDIS, code / (track.size - 1 || 1))})`;
      context.fillRect(x, top, width + 0.5, height - 1);
    });
  },
};

/** The mel as a picture, one pixel for each band and column. */
function melPicture(track) {
  const bytes = Uint8Array.from(atob(track.data), (char) => char.charCodeAt(0));
  const columns = bytes.length / track.rows;
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = track.rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, track.rows);
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < track.rows; row++) {
      const color = shade(MAGMA, bytes[column * track.rows + row] / 255);
      image.data.set([...color, 255], 4 * ((track.rows - 1 - row) * columns + column));
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Seconds between two marks of the axis, so that they do not touch. */
function tickStep(scale) {
  return [0.1, 0.2, 0.5, 1, 2, 5, 10].find((step) => step * scale >= 50) ?? 20;
}
