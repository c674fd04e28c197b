// Rules of when stage 1 may end, and when it must; as uslm/generate/stopping.py.

/** Limits of the length of speech of so many symbols, with the rules about repetition. */
export function stopRule(numSymbols, length, repetition) {
  return {
    ...repetition,
    min_frames: Math.trunc(length.min_frames_per_symbol * numSymbols),
    max_frames: Math.trunc(length.max_frames_per_symbol * numSymbols + length.margin_frames),
  };
}

/** Close the ways that the rule does not allow next, in place. */
export function forbid(logits, units, stop, end) {
  if (units.length < stop.min_frames) logits[end] = -Infinity;
  const run = units.slice(-stop.max_run);
  if (run.length === stop.max_run && run.every((unit) => unit === run[0])) {
    logits[run[0]] = -Infinity;
  }
}

/** Let a row say a unit, or stop. */
export function advance(said, unit, stop, end, textPosition, pitch) {
  if (unit === end) {
    said.stopReason = "end";
    return;
  }
  said.units.push(unit);
  said.textPositions.push(textPosition);
  said.pitches.push(pitch);
  const n = stop.loop_length;
  const { units } = said;
  const loops = units.length >= 2 * n
    && units.slice(-n).every((each, i) => each === units[units.length - 2 * n + i]);
  if (loops) {
    for (const list of [said.units, said.textPositions, said.pitches]) list.length -= n;
    said.stopReason = "loop";
  } else if (units.length >= stop.max_frames) {
    said.stopReason = "length";
  }
}
