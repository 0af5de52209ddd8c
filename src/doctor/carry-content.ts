// What the file holds that is open while the self-test moves its mount.

export const CARRY_BLOCK_BYTES = 64 * 1024;
/** 24 MiB: more than any client reads ahead of its own accord. */
export const CARRY_BLOCKS = 384;

/** Each block is unlike the others, and unlike those of another seed. */
export function carryBlock(seed: string, index: number): Buffer {
  return Buffer.alloc(CARRY_BLOCK_BYTES, `${seed} ${index} `);
}
