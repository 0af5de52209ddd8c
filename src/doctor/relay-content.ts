// The content of the file that is open while the self-test moves its mount.

export const RELAY_BLOCK_BYTES = 64 * 1024;
/** The number of blocks in the file: 24 MiB in all, more than any client reads ahead. */
export const RELAY_BLOCKS = 384;

/**
 * The block at `index`. It differs from all other blocks of this seed, and from the blocks of every other
 * seed.
 */
export function relayBlock(seed: string, index: number): Buffer {
  return Buffer.alloc(RELAY_BLOCK_BYTES, `${seed} ${index} `);
}
