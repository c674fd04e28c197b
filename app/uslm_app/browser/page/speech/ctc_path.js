// Position of each phoneme in a recording: the best CTC path; as uslm/voices/ctc_path.py.

/** The frame where each id begins, by log-probabilities, a row for each frame; null if they do not
 * fit into the frames. Class 0 is blank. */
export function bestCtcPath(scores, ids) {
  const states = ids.flatMap((id) => [0, id]).concat(0); // blank, first id, blank, second id, ...
  const count = states.length;
  // Over a blank one may jump, but not between two equal ids: they would become one.
  const mayJump = states.map((state, i) => i >= 3 && i % 2 === 1 && state !== states[i - 2]);
  let best = new Float64Array(count).fill(-Infinity); // of the best path that ends in each state
  best[0] = 0;
  const steps = [];
  for (const row of scores) {
    const step = new Uint8Array(count); // how far it came forward
    const next = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      let most = best[i];
      if (i >= 1 && best[i - 1] > most) [most, step[i]] = [best[i - 1], 1];
      if (mayJump[i] && best[i - 2] > most) [most, step[i]] = [best[i - 2], 2];
      next[i] = most + row[states[i]];
    }
    steps.push(step);
    best = next;
  }
  // A path ends in the last id or in the blank after it.
  let state = count - 1 - Number(ids.length > 0 && best[count - 2] > best[count - 1]);
  if (!Number.isFinite(best[state])) return null;
  const starts = new Array(ids.length).fill(0);
  for (let frame = scores.length - 1; frame >= 0; frame--) {
    if (state % 2) starts[(state - 1) / 2] = frame;
    state -= steps[frame][state];
  }
  return starts;
}
