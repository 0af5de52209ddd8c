// The content of the file that is open while the self-test moves its mount.

export const CARRY_BLOCK_BYTES = 64 * 1024;
/** The number of blocks in the file: 24 MiB in all, more than any client reads ahead. */
export const CARRY_BLOCKS = 384;

/** Each block differs from all others, and from those of another seed. */
export function carryBlock(seed: string, index: number): Buffer {
  return Buffer.alloc(CARRY_BLOCK_BYTES, `${seed} ${index} `);
}
