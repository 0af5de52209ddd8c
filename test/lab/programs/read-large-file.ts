// Reads one open file from beginning to end, again and again, and checks every byte.
// Arguments: LOG FILE MARK
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { BLOCK_BYTES, wrongBytes } from "./known-bytes.ts";
import { argument, startWork } from "./work-log.ts";

const BLOCKS_AT_ONCE = 64;
const BETWEEN_READS_MS = 15;
/** Every so often it goes to another place, as a player does. */
const READS_BETWEEN_SEEKS = 97;

const work = startWork(argument(0));
const mark = argument(2);
// Direct: what the kernel has kept of the file would need no server.
const file = openSync(argument(1), constants.O_RDONLY | constants.O_DIRECT);
const blocks = fstatSync(file).size / BLOCK_BYTES;
const bytes = Buffer.alloc(BLOCKS_AT_ONCE * BLOCK_BYTES);
let block = 0;
for (let reads = 0; !work.ending; reads++) {
  await work.once("read", block, () => {
    const count = readSync(file, bytes, 0, bytes.length, block * BLOCK_BYTES);
    const expected = Math.min(bytes.length, (blocks - block) * BLOCK_BYTES);
    if (count !== expected) throw new Error(`read ${count} bytes of ${expected} at block ${block}`);
    const wrong = wrongBytes(bytes.subarray(0, count), block, mark);
    if (wrong !== null) throw new Error(wrong);
  });
  block += BLOCKS_AT_ONCE;
  if (reads % READS_BETWEEN_SEEKS === 0) block = (block * 31) % blocks;
  if (block >= blocks) block = 0;
  await work.rest(BETWEEN_READS_MS);
}
await work.once("close", block, () => closeSync(file));
