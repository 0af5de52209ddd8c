// A large file whose bytes say where they stand, so that a reader knows wrong ones from right ones.
import { open } from "node:fs/promises";

export const BLOCK_BYTES = 4096;

export function knownBlock(index: number, mark: string): Buffer {
  return Buffer.alloc(BLOCK_BYTES, `${mark} ${index};`);
}

export async function writeKnownFile(file: string, blocks: number, mark: string): Promise<void> {
  await using handle = await open(file, "w");
  const CHUNK = 256;
  for (let first = 0; first < blocks; first += CHUNK) {
    const count = Math.min(CHUNK, blocks - first);
    await handle.write(Buffer.concat(Array.from({ length: count }, (_, at) => knownBlock(first + at, mark))));
  }
}

/** What is wrong with bytes that begin at that block; null: nothing. */
export function wrongBytes(bytes: Buffer, firstBlock: number, mark: string): string | null {
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    const index = firstBlock + at / BLOCK_BYTES;
    const block = bytes.subarray(at, at + BLOCK_BYTES);
    if (!block.equals(knownBlock(index, mark)))
      return `wrong bytes in block ${index}: ${JSON.stringify(block.toString("latin1", 0, 40))}`;
  }
  return null;
}
