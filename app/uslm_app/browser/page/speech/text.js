// Text: cut into segments, made into phonemes by espeak-ng, and those into ids.
//
// Numbers and abbreviations are read as espeak reads them; the Python package reads more of them.

import { phonemize } from "../vendor/phonemizer.js";

// Where a line is cut for espeak, as uslm/text/phonemize.py has it.
const MARKS = /\s?(?:[;:!?¡¿—…"«»“”(){}[\]]|(?<![0-9])[,.]|[,.](?![0-9]))(?:[;:!?¡¿—…"«»“”(){}[\]\s]|(?<![0-9])[,.]|[,.](?![0-9]))*/gu;
const CLAUSE_END = /[,;:—–)]+(?=\s)/gu;
const CLOSING = /["'”’)\]»]+$/u;
const SPEAKABLE = /[\p{L}\p{N}]/u;

/** Segments of about a sentence, each with the seconds of rest after it. */
export function planText(text, language, plan, shortest) {
  const segments = [];
  for (const paragraph of text.split(/\n\s*\n/u)) {
    for (const part of paragraphParts(paragraph, language, plan.max_chars, shortest)) {
      segments.push({ text: part, restSeconds: restAfter(part, plan) });
    }
    if (segments.length) segments[segments.length - 1].restSeconds = plan.paragraph_seconds;
  }
  if (segments.length) segments[segments.length - 1].restSeconds = 0;
  return segments;
}

function paragraphParts(paragraph, language, most, shortest) {
  const line = paragraph.replace(/\s+/gu, " ").trim();
  const sentences = new Intl.Segmenter(language, { granularity: "sentence" }).segment(line);
  const joined = [];
  for (const { segment } of sentences) {
    for (const part of shortened(segment.trim(), most)) {
      const last = joined[joined.length - 1];
      const fits = last !== undefined && last.length + 1 + part.length <= most;
      if (fits && Math.min(last.length, part.length) < shortest) {
        joined[joined.length - 1] = `${last} ${part}`;
      } else joined.push(part);
    }
  }
  return joined.filter((part) => SPEAKABLE.test(part));
}

/** A sentence, cut after commas and the like, or else between words, where it is too long. */
function shortened(sentence, most) {
  const parts = [];
  let rest = sentence;
  while (rest.length > most) {
    const window = rest.slice(0, most + 1);
    const ends = [...window.matchAll(CLAUSE_END)].map((end) => end.index + end[0].length);
    const last = ends.filter((end) => end <= most).pop() ?? 0;
    let cut = last >= Math.floor(most / 3) ? last : window.lastIndexOf(" ");
    if (cut <= 0) cut = most;
    parts.push(rest.slice(0, cut).trimEnd());
    rest = rest.slice(cut).trimStart();
  }
  return rest ? [...parts, rest] : parts;
}

function restAfter(segment, plan) {
  const last = segment.replace(CLOSING, "").slice(-1);
  if (SPEAKABLE.test(last)) return plan.word_seconds;
  return ",;:—–".includes(last) ? plan.clause_seconds : plan.sentence_seconds;
}

/** The phonemes of a text, its punctuation kept. */
export async function phonemesOf(text, language) {
  const line = text.replace(/\s+/gu, " ").trim();
  let spoken = "";
  let end = 0;
  for (const mark of [...line.matchAll(MARKS), { index: line.length, 0: "" }]) {
    const words = line.slice(end, mark.index).trim();
    if (words) spoken += (await phonemize(words, language)).join(" ");
    spoken += mark[0];
    end = mark.index + mark[0].length;
  }
  // What this espeak-ng calls "oː" before an r, the one that the model was trained with calls "ɔː".
  return spoken.replaceAll("oːɹ", "ɔːɹ").trim();
}

/** Phonemes <-> ids by the model's table; as `PhonemeVocab` of uslm/text/vocab.py. */
export class Vocab {
  constructor(symbols, settings) {
    this.symbols = [...symbols];
    this.ids = new Map(this.symbols.map((symbol, place) => [symbol, place + 1]));
    this.lookalikes = new Map(Object.entries(settings.lookalikes));
    this.spacing = settings.spacing.map(([pattern, by]) => [
      new RegExp(pattern, "gu"), by.replaceAll("\\1", "$1"),
    ]);
  }

  encode(phonemes) {
    const known = [...phonemes].map((each) => (
      this.ids.has(each) ? each : this.lookalikes.get(each) ?? ""
    ));
    const text = this.spacing.reduce((line, [pattern, by]) => line.replace(pattern, by), known.join(""));
    return [...text].map((symbol) => this.ids.get(symbol));
  }

  decode(ids) {
    return ids.map((id) => this.symbols[id - 1]).join("");
  }
}
