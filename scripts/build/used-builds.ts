// Which builds running processes were started from, as their arguments say.

import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";

const PS_DEADLINE_MS = 10_000;
const PS_OUTPUT_BYTES = 64 * 1024 * 1024;

/**
 * The names of the folders of `dist` that some process's arguments mention: `node …/dist/<digest>/main.js monitor`.
 * null: they could not be found out, so any may be in use.
 */
export async function usedBuilds(dist: string): Promise<ReadonlySet<string> | null> {
  const lines = process.platform === "linux" ? await argumentsFromProc() : await argumentsFromPs();
  return lines === null ? null : buildsIn(lines, dist);
}

export function buildsIn(lines: readonly string[], dist: string): ReadonlySet<string> {
  const used = new Set<string>();
  const before = `${path.resolve(dist)}/`;
  for (const line of lines) {
    for (let at = line.indexOf(before); at !== -1; at = line.indexOf(before, at + 1)) {
      const [name] = line.slice(at + before.length).split("/", 1);
      if (name !== undefined && name !== "") used.add(name);
    }
  }
  return used;
}

async function argumentsFromProc(): Promise<string[] | null> {
  try {
    const names = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    // What ended meanwhile uses nothing.
    return await Promise.all(names.map((name) => readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "")));
  } catch {
    return null;
  }
}

function argumentsFromPs(): Promise<string[] | null> {
  return new Promise((resolve) => {
    execFile(
      "ps",
      ["-A", "-ww", "-o", "args="],
      { timeout: PS_DEADLINE_MS, maxBuffer: PS_OUTPUT_BYTES },
      (error, stdout) => resolve(error === null ? stdout.split("\n") : null),
    );
  });
}
