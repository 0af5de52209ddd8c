// The content of the file that is open while the self-test moves its mount.

export const CARRY_BLOCK_BYTES = 64 * 1024;
/** The number of blocks in the file: 24 MiB in all, more than any client reads ahead. */
export const CARRY_BLOCKS = 384;

/**
 * The block at `index`. It differs from all other blocks of this seed, and from the blocks of every other
 * seed.
 */
export function carryBlock(seed: string, index: number): Buffer {
  return Buffer.alloc(CARRY_BLOCK_BYTES, `${seed} ${index} `);
}
