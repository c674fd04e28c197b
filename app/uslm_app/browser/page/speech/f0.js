// F0 of speech by autocorrelation (Boersma 1993); as
// tokenizer/uslm_tokenizer/codecs/source_filter/f0.py, whose constants come in settings.json.

import { Spectrum } from "./spectrum.js";

/** F0 at the middle of each hop, Hz, 0 where unvoiced; ceil(n / hop) of them. */
export function f0Of(samples, codec, settings) {
  const { sample_rate: rate, hop_length: hop, f0_floor: floor, f0_ceiling: ceiling } = codec;
  const numFrames = Math.ceil(samples.length / hop);
  const mean = samples.reduce((sum, each) => sum + each, 0) / samples.length;
  const peak = samples.reduce((most, each) => Math.max(most, Math.abs(each - mean)), 0);
  if (peak === 0) return new Array(numFrames).fill(0);
  const length = Math.round((settings.periods_per_window / floor) * rate);
  const correlate = autocorrelator(length);
  const period = Math.round(rate / floor);
  const candidates = [];
  for (let frame = 0; frame < numFrames; frame++) {
    const window = cut(samples, length, frame * hop - (Math.floor(length / 2) - Math.floor(hop / 2)));
    const loudness = localPeak(window, period) / peak;
    candidates.push(candidatesOf(correlate(window), loudness, rate, floor, ceiling, settings));
  }
  return bestPath(candidates, hop / rate, settings);
}

/** A window with its mean taken off; zeros lie outside of the samples. */
function cut(samples, length, start) {
  const window = Float64Array.from({ length }, (_, i) => samples[start + i] ?? 0);
  const mean = window.reduce((sum, each) => sum + each, 0) / length;
  return window.map((each) => each - mean);
}

/** The loudest sample within one longest period around the middle. */
function localPeak(window, period) {
  const middle = Math.floor(window.length / 2);
  const half = Math.floor(period / 2);
  const near = window.subarray(Math.max(0, middle - half), middle + half + 1);
  return near.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
}

/** The autocorrelation of a windowed frame, divided by the window's own (eq. 9), 1 at lag 0. */
function autocorrelator(length) {
  const hann = Float64Array.from(
    { length }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (length - 1)),
  );
  const spectrum = new Spectrum(2 ** Math.ceil(Math.log2(2 * length)));
  const own = spectrum.autocorrelation(hann).slice(0, length);
  return (window) => {
    const raw = spectrum.autocorrelation(window.map((each, i) => each * hann[i]));
    const energy = Math.max(raw[0], Number.MIN_VALUE);
    // Towards the window's length its own autocorrelation vanishes; no lag in use lies there.
    return own.map((each, lag) => raw[lag] / energy / Math.max(each / own[0], 1e-3));
  };
}

/** F0 and strength of the best candidates of a frame; the first, of 0 Hz, is unvoiced. */
function candidatesOf(correlation, loudness, rate, floor, ceiling, settings) {
  const shortest = Math.max(2, Math.floor(rate / ceiling));
  const longest = Math.min(correlation.length - 2, Math.ceil(rate / floor));
  const found = [];
  for (let lag = shortest; lag <= longest; lag++) {
    const [left, here, right] = [correlation[lag - 1], correlation[lag], correlation[lag + 1]];
    if (!(here > left && here >= right && here > 0.5 * settings.voicing_threshold)) continue;
    // A parabola through the three samples finds the place and height of the peak between them.
    const curvature = 2 * here - left - right;
    const slope = 0.5 * (right - left);
    const f0 = rate / (lag + slope / curvature);
    if (f0 < floor || f0 > ceiling) continue;
    const height = Math.min(here + (0.5 * slope ** 2) / curvature, 1);
    found.push({ f0, strength: height - settings.octave_cost * Math.log2(floor / f0) });
  }
  found.sort((a, b) => b.strength - a.strength);
  const quiet = loudness / (settings.silence_threshold / (1 + settings.voicing_threshold));
  const unvoiced = settings.voicing_threshold + Math.max(0, 2 - quiet);
  return [{ f0: 0, strength: unvoiced }, ...found.slice(0, settings.max_candidates - 1)];
}

/** F0 of the candidates whose strengths, less the costs of changes between them, sum to the most. */
function bestPath(candidates, secondsPerFrame, settings) {
  const scale = settings.costs_are_for / secondsPerFrame;
  const cost = (a, b) => {
    if (a.f0 > 0 && b.f0 > 0) {
      return scale * settings.octave_jump_cost * Math.abs(Math.log2(a.f0) - Math.log2(b.f0));
    }
    return a.f0 > 0 === b.f0 > 0 ? 0 : scale * settings.voicing_cost;
  };
  let total = candidates[0].map((each) => each.strength);
  const cameFrom = [[]];
  for (let frame = 1; frame < candidates.length; frame++) {
    const before = candidates[frame - 1];
    const from = [];
    total = candidates[frame].map((each, i) => {
      const scores = before.map((other, j) => total[j] - cost(other, each));
      from[i] = scores.indexOf(Math.max(...scores));
      return scores[from[i]] + each.strength;
    });
    cameFrom.push(from);
  }
  let place = total.indexOf(Math.max(...total));
  const f0 = new Array(candidates.length);
  for (let frame = candidates.length - 1; frame >= 0; frame--) {
    f0[frame] = candidates[frame][place].f0;
    if (frame) place = cameFrom[frame][place];
  }
  return f0;
}
