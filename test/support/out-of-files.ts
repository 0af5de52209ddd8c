// Runs a module in a process that can open no more files, as a daemon under a low limit.
import { runCommand } from "../../src/runtime/process/child-process.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";

/** Runs `script` once `imports` are loaded and every descriptor is taken; resolves with what it wrote to stdout. */
export async function runOutOfFiles(imports: string, script: string): Promise<string> {
  const module = `
    import { openSync } from "node:fs";
    ${imports}
    process.stdout.write("");
    try { for (;;) openSync("/dev/null"); } catch (error) { if (error.code !== "EMFILE") throw error; }
    ${script}`;
  const node = [process.execPath, "--input-type=module", "-e", module];
  const ended = await runCommand("/bin/sh", ["-c", 'ulimit -n 64; exec "$@"', "sh", ...node], {
    clock,
    deadlineMs: 60_000,
  });
  if (ended.exitCode !== 0) throw new Error(`it ended with ${ended.exitCode}: ${ended.stderr}`);
  return ended.stdout;
}
