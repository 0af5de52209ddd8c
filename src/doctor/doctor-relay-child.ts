// The process that holds a file of a mount open while the mount is moved, so that a hung mount blocks this process only.
// Arguments: task, file, seed of the content.
import { open, readdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { CARRY_BLOCK_BYTES, CARRY_BLOCKS, carryBlock } from "./relay-content.ts";

const [task, path = "", seed = ""] = process.argv.slice(2);

async function write(): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  for (let index = 0; index < CARRY_BLOCKS; index++) await file.write(carryBlock(seed, index));
  await file.sync();
}

async function hold(): Promise<void> {
  await using file = await open(path, "r+");
  const check = async (index: number): Promise<void> => {
    const { buffer, bytesRead } = await file.read({
      buffer: Buffer.alloc(CARRY_BLOCK_BYTES),
      position: index * CARRY_BLOCK_BYTES,
    });
    if (bytesRead !== CARRY_BLOCK_BYTES || !buffer.equals(carryBlock(seed, index)))
      throw new Error(`block ${index} is not what was written`);
  };
  await check(0);
  process.stdout.write("held\n");
  // Any input says that the mount was moved.
  await new Promise((resolve) => process.stdin.once("data", resolve));
  // Reads from the end first, because no client has read those blocks ahead.
  for (const index of [CARRY_BLOCKS - 1, CARRY_BLOCKS - 2, CARRY_BLOCKS >> 1]) await check(index);
  await file.write(carryBlock(seed, CARRY_BLOCKS), 0, CARRY_BLOCK_BYTES, CARRY_BLOCKS * CARRY_BLOCK_BYTES);
  await file.sync();
  await check(CARRY_BLOCKS);
  await readdir(dirname(path));
}

if (task === "write") await write();
else if (task === "hold") await hold();
else if (task === "remove") await rm(path, { force: true });
else throw new Error(`unknown: ${task}`);
process.stdout.write("done\n");
process.stdin.destroy();
