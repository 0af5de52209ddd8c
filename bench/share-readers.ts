// Reads new files of many shares over and over, in a process of its own, so that a hung mount hangs nothing else: how
// long after a cut each share was readable again.
import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The folder below a share with the files that readers read, each of them once: no cache has it. */
const FOLDER = "read-once";
/** Read in turn, so that the first is forgotten long before its second turn. */
const FILES = 400;

export interface ShareReaders extends AsyncDisposable {
  /**
   * For each share, in the order given: ms from `cutAtMs` to the end of the first read that began after it and found
   * its file. Rejects when that takes longer than `deadlineMs`.
   */
  readableAfter(cutAtMs: number, deadlineMs: number): Promise<readonly number[]>;
}

/** On the machine's monotonic clock, which all processes share, ms. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

/** Puts the files there, where the server exports the share. */
export async function prepareReadable(exported: string): Promise<void> {
  await mkdir(join(exported, FOLDER));
  for (let index = 0; index < FILES; index++) await writeFile(join(exported, FOLDER, `${index}`), "there\n");
}

/** `pauseMs`: between two reads of one share. */
export function startShareReaders(shares: readonly string[], pauseMs: number): ShareReaders {
  const folders = shares.map((share) => join(share, FOLDER));
  const child = spawn(
    process.execPath,
    ["--input-type=module", "-e", READER, String(FILES), String(pauseMs), ...folders],
    {
      cwd: "/",
      // A thread for each share: those of a hung mount must not keep the others waiting.
      env: { ...process.env, UV_THREADPOOL_SIZE: String(folders.length * 2 + 4) },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  /** Of each share, the newest reads that succeeded: when they began and ended. */
  const reads: (readonly [number, number])[][] = folders.map(() => []);
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [index = 0, fromMs = 0, toMs = 0] = line.split(" ").map(Number);
      const those = reads[index];
      those?.push([fromMs, toMs]);
      if (those !== undefined && those.length > 2000) those.splice(0, 1000);
    }
  });
  return {
    async readableAfter(cutAtMs, deadlineMs) {
      for (;;) {
        const first = reads.map((those) => those.find(([fromMs]) => fromMs >= cutAtMs)?.[1] ?? null);
        if (first.every((toMs) => toMs !== null)) return first.map((toMs) => toMs - cutAtMs);
        if (monotonicMs() - cutAtMs > deadlineMs) {
          const late = shares.filter((_, index) => first[index] === null);
          throw new Error(`not readable within ${deadlineMs} ms: ${late.join(", ")}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      child.stdout.destroy();
      child.unref();
    },
  };
}

/** A read that fails is tried again at once; one that hangs is what is measured. */
const READER = `
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
const [files, pauseMs, ...folders] = process.argv.slice(1);
const nowMs = () => Number(process.hrtime.bigint() / 1000n) / 1000;
folders.forEach(async (folder, share) => {
  for (let index = 0; ; index++) {
    const fromMs = nowMs();
    const found = await readFile(folder + "/" + (index % Number(files)), "utf8").then((text) => text === "there\\n", () => false);
    if (found) process.stdout.write(share + " " + fromMs + " " + nowMs() + "\\n");
    await pause(found ? Number(pauseMs) : 5);
  }
});
`;
