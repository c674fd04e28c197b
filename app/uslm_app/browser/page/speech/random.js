// The random numbers that PyTorch's CPU generator gives for a seed, and seeds made of seeds.

const STATE = 624;
const SHIFT = 397;

/** The Mersenne twister (Matsumoto & Nishimura 1998), seeded by one number of 32 bits. */
class Twister {
  constructor(seed) {
    this.state = new Uint32Array(STATE);
    this.state[0] = seed;
    for (let i = 1; i < STATE; i++) {
      const before = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(1812433253, before) + i;
    }
    this.place = STATE;
  }

  /** The next 32 bits. */
  next() {
    if (this.place === STATE) this.refill();
    let y = this.state[this.place++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  refill() {
    const state = this.state;
    for (let i = 0; i < STATE; i++) {
      const y = (state[i] & 0x80000000) | (state[(i + 1) % STATE] & 0x7fffffff);
      state[i] = state[(i + SHIFT) % STATE] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.place = 0;
  }
}

/** Another seed, the same for the same path; as `derive_seed` of the Python package. A BigInt. */
export async function deriveSeed(seed, ...path) {
  const bytes = new TextEncoder().encode([seed, ...path].join("/"));
  const digest = new DataView(await crypto.subtle.digest("SHA-256", bytes));
  return digest.getBigUint64(0) >> 1n;
}

/** Gives numbers in [0, 1), as `torch.rand` of one double after another. */
export async function uniformNumbers(seed, ...path) {
  const lower = Number((await deriveSeed(seed, ...path)) & 0xffffffffn);
  const twister = new Twister(lower);
  return () => {
    const high = twister.next() & 0x1fffff; // 53 bits of the 64 count
    return (high * 2 ** 32 + twister.next()) / 2 ** 53;
  };
}
