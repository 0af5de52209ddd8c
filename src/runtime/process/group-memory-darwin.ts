// Reads the processes' memory through `ps`, which counts what programs share for each of them.
import { runCommand } from "./child-process.ts";

const DEADLINE_MS = 1_000;

/** `[group, KiB]` for each process. */
export async function processMemoryDarwin(): Promise<readonly (readonly [number, number])[]> {
  const options = { deadlineMs: DEADLINE_MS };
  const { stdout } = await runCommand("ps", ["-axo", "pgid=,rss="], options);
  return parsePs(stdout);
}

/** Lines of `  PGID KIBIBYTES`. */
export function parsePs(output: string): readonly (readonly [number, number])[] {
  return output.split("\n").flatMap((line) => {
    const [, group, kibibytes] = /^\s*(\d+)\s+(\d+)\s*$/.exec(line) ?? [];
    return group === undefined ? [] : [[Number(group), Number(kibibytes)] as const];
  });
}
