// From a recording to samples that a voice can be made of: checked, trimmed, cut, levelled.
//
// The arithmetic is that of uslm/voices: prompt_preprocessing, checks, length. Of its checks those
// for length, silence and a steady hum are made here; noise and clipping are not looked for.

import * as activity from "./activity.js";

const FADE_SECONDS = 0.005;
const MIN_RECORDING_SECONDS = 0.1;
const SHORT_PAUSE_SECONDS = 0.1;
const LONG_PAUSE_SECONDS = 0.3;
const { HOP_SECONDS } = activity;

/** `{samples, isCut, notes}`; raises where nothing usable is left. */
export function preparePrompt(recording, rate, policy) {
  const notes = [];
  if (recording.length / rate < MIN_RECORDING_SECONDS) {
    throw new Error(`too short: ${seconds(recording.length / rate)} s in all; ${policy.wanted}`);
  }
  const read = recording.subarray(0, Math.ceil(policy.read_seconds * rate));
  const mean = read.reduce((sum, each) => sum + each, 0) / read.length;
  const samples = read.map((each) => each - mean);
  const levels = activity.frameLevels(samples, rate);
  const speech = activity.findSpeech(levels);
  checkSpeech(levels, speech, policy, notes);
  const runs = activity.spans(speech);
  const start = Math.max(0, runs[0][0] * HOP_SECONDS - policy.margin_seconds);
  let end = Math.min(
    samples.length / rate, runs[runs.length - 1][1] * HOP_SECONDS + policy.margin_seconds,
  );
  const isCut = end - start > policy.max_seconds;
  if (isCut) {
    end = findCut(levels, speech, start, policy.max_seconds, policy.margin_seconds);
    notes.push(
      `${seconds(samples.length / rate)} s long, of which ${seconds(start)} to ${seconds(end)} s `
      + "are used",
    );
  }
  const part = samples.slice(Math.round(start * rate), Math.round(end * rate));
  return { samples: levelled(part, rate, policy), isCut, notes };
}

function checkSpeech(levels, speech, policy, notes) {
  const loud = activity.loudLevel(levels);
  if (loud < policy.silent_dbfs) {
    throw new Error(`silent: its loudest part is at ${Math.round(loud)} dBFS`);
  }
  const runs = activity.spans(speech);
  const length = activity.speechSeconds(speech);
  if (length < policy.min_seconds) {
    throw new Error(`too short: ${seconds(length)} s of speech; ${policy.wanted}`);
  }
  if (activity.levelVariation(levels.slice(runs[0][0], runs[runs.length - 1][1])) < 3) {
    throw new Error("no speech: it is steady as a hum, a tone or noise is");
  }
  if (length < policy.good_seconds) {
    notes.push(`short: ${seconds(length)} s of speech make a rough likeness; ${policy.wanted}`);
  }
}

/** Where a recording is cut: at a pause of the second half, or else at its softest place. */
function findCut(levels, speech, start, limit, margin) {
  const first = Math.round((start + limit / 2) / HOP_SECONDS);
  const last = Math.round((start + limit) / HOP_SECONDS);
  const silent = speech.slice(first, last).map((each) => !each);
  const pauses = activity.spans(silent).map(([a, b]) => [a * HOP_SECONDS, (b - a) * HOP_SECONDS]);
  const short = pauses.filter((pause) => pause[1] > SHORT_PAUSE_SECONDS - 1e-6);
  const long = pauses.filter((pause) => pause[1] > LONG_PAUSE_SECONDS - 1e-6);
  if (short.length) {
    const longest = short.reduce((a, b) => (b[1] > a[1] ? b : a));
    const [place, length] = long.length ? long[long.length - 1] : longest;
    return first * HOP_SECONDS + place + Math.min(length, margin);
  }
  const late = Math.round((start + 0.8 * limit) / HOP_SECONDS);
  const near = levels.slice(late, last);
  const smooth = near.map((_, i) => {
    let sum = 0;
    for (let j = i - 2; j <= i + 2; j++) sum += near[j] ?? 0;
    return sum;
  });
  return (late + smooth.indexOf(Math.min(...smooth))) * HOP_SECONDS;
}

/** With the speech at the wanted level, or near, and both ends faded. */
function levelled(part, rate, policy) {
  const level = activity.speechLevel(activity.frameLevels(part, rate));
  const peak = part.reduce((most, each) => Math.max(most, Math.abs(each)), 1e-6);
  const change = Math.min(policy.level_dbfs - level, policy.peak_dbfs - 20 * Math.log10(peak));
  const factor = Math.fround(10 ** (change / 20));
  const out = part.map((each) => each * factor);
  const ramp = Math.round(FADE_SECONDS * rate);
  for (let i = 0; i < ramp; i++) {
    out[i] *= Math.fround(i / (ramp - 1));
    out[out.length - 1 - i] *= Math.fround(i / (ramp - 1));
  }
  return out;
}

const seconds = (value) => value.toFixed(1);
