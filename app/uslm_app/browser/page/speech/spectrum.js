// The fast Fourier transform of one size, and the autocorrelation by it.

/** Transforms of `size` numbers, a power of two. */
export class Spectrum {
  constructor(size) {
    this.size = size;
    this.cos = Float64Array.from({ length: size / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / size));
    this.sin = Float64Array.from({ length: size / 2 }, (_, i) => Math.sin((2 * Math.PI * i) / size));
  }

  /** Of real numbers, with zeros after them; `size` of them. */
  autocorrelation(values) {
    const real = new Float64Array(this.size);
    const imaginary = new Float64Array(this.size);
    real.set(values);
    this.transform(real, imaginary);
    for (let i = 0; i < this.size; i++) {
      real[i] = real[i] ** 2 + imaginary[i] ** 2;
      imaginary[i] = 0;
    }
    this.transform(real, imaginary); // of an even spectrum, the same as its inverse
    return real.map((each) => each / this.size);
  }

  /** In place (Cooley & Tukey 1965). */
  transform(real, imaginary) {
    const n = this.size;
    for (let i = 1, j = 0; i < n; i++) {
      let bit = n >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) {
        [real[i], real[j]] = [real[j], real[i]];
        [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
      }
    }
    for (let half = 1; half < n; half *= 2) {
      const step = n / (2 * half);
      for (let start = 0; start < n; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const [cos, sin] = [this.cos[k * step], this.sin[k * step]];
          const [a, b] = [start + k, start + k + half];
          const re = real[b] * cos + imaginary[b] * sin;
          const im = imaginary[b] * cos - real[b] * sin;
          real[b] = real[a] - re;
          imaginary[b] = imaginary[a] - im;
          real[a] += re;
          imaginary[a] += im;
        }
      }
    }
  }
}
