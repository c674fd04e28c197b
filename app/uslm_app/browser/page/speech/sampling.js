// Choosing a token of one row of logits; the numbers of uslm/onnx/sampling.py.

/** One token; `recent` are the latest ones, `uniform` gives numbers in [0, 1). */
export function sample(logits, sampling, uniform, recent) {
  const penalized = penalizeRepetition(logits, recent, sampling.repetition_penalty);
  if (sampling.temperature === 0) return indexOfLargest(penalized);
  const kept = filterTopK(penalized, sampling.top_k);
  return tokenAt(uniform(), filterTopP(divided(kept, sampling.temperature), sampling.top_p));
}

/** One pitch. */
export function samplePitch(logits, sampling, uniform) {
  if (sampling.pitch_temperature === 0) return indexOfLargest(logits);
  return tokenAt(uniform(), divided(logits, sampling.pitch_temperature));
}

export function indexOfLargest(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

function divided(logits, temperature) {
  return logits.map((each) => each / Math.fround(temperature));
}

/** -Infinity for all but the `k` largest logits; k = 0 changes nothing. */
function filterTopK(logits, k) {
  if (k <= 0 || k >= logits.length) return logits;
  const smallest = logits.slice().sort()[logits.length - k];
  return logits.map((each) => (each < smallest ? -Infinity : each));
}

/** -Infinity for all but the smallest set of tokens whose probability reaches `p`. */
function filterTopP(logits, p) {
  if (p >= 1) return logits;
  const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b);
  const shares = softmax(order.map((index) => logits[index]));
  const kept = logits.slice();
  let before = 0;
  order.forEach((index, rank) => {
    if (before >= p) kept[index] = -Infinity;
    before += shares[rank];
  });
  return kept;
}

function penalizeRepetition(logits, recent, penalty) {
  if (penalty === 1 || !recent.length) return logits;
  const changed = logits.slice();
  for (const index of new Set(recent)) {
    changed[index] = logits[index] > 0 ? logits[index] / penalty : logits[index] * penalty;
  }
  return changed;
}

/** The token where the cumulative distribution passes a number in [0, 1). */
function tokenAt(uniform, logits) {
  let total = 0;
  const cumulative = softmax(Array.from(logits)).map((share) => (total += share));
  const token = cumulative.filter((each) => each <= uniform * total).length;
  return Math.min(token, logits.length - 1);
}

function softmax(logits) {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const shares = logits.map((each) => Math.exp(each - largest));
  const sum = shares.reduce((a, b) => a + b, 0);
  return shares.map((each) => each / sum);
}
