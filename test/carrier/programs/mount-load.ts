// Works on a mount until its stdin ends: reads the large file in it over and over through one descriptor, and lists its
// folders. A process of its own: one that has a file of the mount open must not start others, nor carry its bytes.
import { createHash } from "node:crypto";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";

const [folder = "", folders = "0"] = process.argv.slice(2);
const ending = new AbortController();
process.stdin.on("end", () => ending.abort()).resume();

const digests = new Set<string>();
const errors: string[] = [];
let listings = 0;
let longestReadMs = 0;

const path = join(folder, "large");
const file = await open(path);
const { size } = await file.stat();
process.stdout.write("ready\n");

async function readOn(): Promise<void> {
  const buffer = Buffer.alloc(256 * 1024);
  do {
    const hash = createHash("sha256");
    for (let at = 0; at < size; ) {
      const startedAtMs = performance.now();
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      longestReadMs = Math.max(longestReadMs, performance.now() - startedAtMs);
      hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    digests.add(hash.digest("hex"));
  } while (!ending.signal.aborted);
}

async function listOn(): Promise<void> {
  while (!ending.signal.aborted && Number(folders) > 0) {
    try {
      await readdir(join(folder, `folder-${listings % Number(folders)}`));
    } catch (error) {
      errors.push(`list: ${String(error)}`);
    }
    listings += 1;
  }
}

const reading = readOn().catch((error: unknown) => void errors.push(`read: ${String(error)}`));
await Promise.all([reading, listOn()]);
await file.close();
process.stdout.write(`${JSON.stringify({ digests: [...digests], errors, listings, longestReadMs })}\n`);
