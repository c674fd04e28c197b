// Speech in a recording: where it is, and how loud; as uslm/voices/speech_activity.py.

export const HOP_SECONDS = 0.01;
const WINDOW_SECONDS = 0.025;
const FLOOR_DBFS = -100;

const decibels = (power) => 10 * Math.log10(Math.max(power, 10 ** (FLOOR_DBFS / 10)));
const mean = (values) => values.reduce((sum, each) => sum + each, 0) / values.length;

/** One level every 10 ms, dB; frame i looks at 25 ms around i * HOP_SECONDS. */
export function frameLevels(samples, rate) {
  const hop = Math.round(HOP_SECONDS * rate);
  const window = Math.round(WINDOW_SECONDS * rate);
  const before = Math.floor(window / 2) + 1;
  const energy = new Float64Array(samples.length + before + window);
  let sum = 0;
  for (let i = 0; i < energy.length; i++) {
    const sample = samples[i - before] ?? 0;
    sum += sample * sample;
    energy[i] = sum;
  }
  const levels = [];
  for (let start = 0; start < samples.length; start += hop) {
    levels.push(decibels((energy[start + window] - energy[start]) / window));
  }
  return levels;
}

/** The level that the loudest part reaches: 5 % of the time, but half a second at most. */
export function loudLevel(levels) {
  const rank = Math.min(Math.ceil(0.05 * levels.length), Math.round(0.5 / HOP_SECONDS));
  return sorted(levels)[levels.length - rank];
}

/** Mean level of what lies within 25 dB of the loud parts, dBFS. */
export function speechLevel(levels) {
  const least = Math.max(loudLevel(levels) - 25, FLOOR_DBFS);
  const loud = levels.filter((level) => level > least);
  return loud.length ? 10 * Math.log10(mean(loud.map((level) => 10 ** (level / 10)))) : FLOOR_DBFS;
}

/** Whether each frame is above the noise; runs under 50 ms are clicks, gaps under 50 ms none. */
export function findSpeech(levels) {
  const loud = loudLevel(levels);
  const threshold = Math.min(Math.max(percentile(levels, 3) + 6, loud - 45), loud - 8);
  const shortest = Math.round(0.05 / HOP_SECONDS);
  const mask = levels.map((level) => level > threshold);
  for (const [start, end] of spans(mask.map((each) => !each))) {
    if (end - start < shortest && start > 0 && end < mask.length) mask.fill(true, start, end);
  }
  for (const [start, end] of spans(mask)) {
    if (end - start < shortest) mask.fill(false, start, end);
  }
  return mask;
}

/** First and last-plus-one frame of each run of true. */
export function spans(mask) {
  const found = [];
  mask.forEach((each, i) => {
    if (each && !mask[i - 1]) found.push([i, i + 1]);
    else if (each) found[found.length - 1][1] = i + 1;
  });
  return found;
}

/** Time with speech in it; pauses up to 0.3 s belong to it. */
export function speechSeconds(mask) {
  const runs = spans(mask);
  let frames = 0;
  runs.forEach(([start, end], i) => {
    frames += end - start;
    const gap = i ? start - runs[i - 1][1] : Infinity;
    if (gap * HOP_SECONDS <= 0.3) frames += gap;
  });
  return frames * HOP_SECONDS;
}

/** Movement of the level, dB: a hum hardly has any. */
export function levelVariation(levels) {
  return percentile(levels, 95) - percentile(levels, 5);
}

const sorted = (values) => values.slice().sort((a, b) => a - b);

function percentile(values, share) {
  const order = sorted(values);
  const place = (share / 100) * (order.length - 1);
  const lower = Math.floor(place);
  const upper = Math.min(lower + 1, order.length - 1);
  return order[lower] + (order[upper] - order[lower]) * (place - lower);
}
