// The process that holds a file of a mount open while the mount is moved, so that a hung mount blocks this process only.
// Arguments: task, file, seed of the content.
import { open, readdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { RELAY_BLOCK_BYTES, RELAY_BLOCKS, relayBlock } from "./relay-content.ts";

const [task, path = "", seed = ""] = process.argv.slice(2);

async function write(): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  for (let index = 0; index < RELAY_BLOCKS; index++) await file.write(relayBlock(seed, index));
  await file.sync();
}

async function pause(): Promise<void> {
  await using file = await open(path, "r+");
  const check = async (index: number): Promise<void> => {
    const { buffer, bytesRead } = await file.read({
      buffer: Buffer.alloc(RELAY_BLOCK_BYTES),
      position: index * RELAY_BLOCK_BYTES,
    });
    if (bytesRead !== RELAY_BLOCK_BYTES || !buffer.equals(relayBlock(seed, index)))
      throw new Error(`block ${index} is not what was written`);
  };
  await check(0);
  process.stdout.write("held\n");
  // Any input says that the mount was moved.
  await new Promise((resolve) => process.stdin.once("data", resolve));
  // Reads from the end first, because no client has read those blocks ahead.
  for (const index of [RELAY_BLOCKS - 1, RELAY_BLOCKS - 2, RELAY_BLOCKS >> 1]) await check(index);
  await file.write(relayBlock(seed, RELAY_BLOCKS), 0, RELAY_BLOCK_BYTES, RELAY_BLOCKS * RELAY_BLOCK_BYTES);
  await file.sync();
  await check(RELAY_BLOCKS);
  await readdir(dirname(path));
}

if (task === "write") await write();
else if (task === "hold") await pause();
else if (task === "remove") await rm(path, { force: true });
else throw new Error(`unknown: ${task}`);
process.stdout.write("done\n");
process.stdin.destroy();
