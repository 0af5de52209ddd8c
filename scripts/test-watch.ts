// Runs the test files that are nearest to what was saved, after each save.
// Usage: npm run test:watch -- [PART-OF-A-PATH…]: only test files whose path has one of these in it. Ends with Ctrl-C.
import { spawn } from "node:child_process";
import { watch } from "node:fs";
import path from "node:path";

const ROOT = path.resolve(import.meta.dirname, "..");
const WATCHED = ["src", "test", "scripts"];
/** An editor's save is several events. */
const QUIET_MS = 100;

const stop = new AbortController();

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Resolves when it has ended. A run's own processes end with Ctrl-C as this one does. */
function round(changed: ReadonlySet<string>): Promise<void> {
  const near = [...changed].flatMap((file) => ["--near", file]);
  const args = [path.join(import.meta.dirname, "test.ts"), "unit", ...near, ...process.argv.slice(2)];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => resolve());
  });
}

async function main(): Promise<void> {
  const changed = new Set<string>();
  let wake = Promise.withResolvers<void>();
  for (const folder of WATCHED) {
    watch(path.join(ROOT, folder), { recursive: true, signal: stop.signal }, (_event, name) => {
      if (name === null || !/\.tsx?$/.test(name)) return;
      changed.add(path.join(folder, name));
      wake.resolve();
    });
  }
  process.once("SIGINT", () => {
    stop.abort();
    wake.resolve();
  });
  print(`waiting for changes in ${WATCHED.join(", ")}; Ctrl-C ends`);
  for (;;) {
    await wake.promise;
    if (stop.signal.aborted) return;
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    wake = Promise.withResolvers();
    const batch = new Set(changed);
    changed.clear();
    await round(batch);
    if (stop.signal.aborted) return;
  }
}

await main();
