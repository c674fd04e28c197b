// Samples as a WAV file: mono, 16 bits.

export function wavOf(samples, sampleRate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (place, word) => {
    [...word].forEach((each, i) => view.setUint8(place + i, each.charCodeAt(0)));
  };
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, 2 * sampleRate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((each, i) => {
    view.setInt16(44 + 2 * i, Math.round(Math.min(1, Math.max(-1, each)) * 32767), true);
  });
  return new Blob([view], { type: "audio/wav" });
}
