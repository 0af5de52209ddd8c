// Runs the test files that a changed file reaches, again after each save.
// Usage: npm run test:watch -- [PART-OF-A-PATH…]: only test files whose path has one of these in it. Ends with Ctrl-C.
import { spawn } from "node:child_process";
import { watch } from "node:fs";
import path from "node:path";
import { readImportGraph, testsReaching } from "./import-graph.ts";

const ROOT = path.resolve(import.meta.dirname, "..");
const WATCHED = ["src", "test", "scripts"];
/** An editor's save is several events. */
const QUIET_MS = 100;

const parts = process.argv.slice(2).map((part) => part.replace(/^\.\//, ""));
const stop = new AbortController();

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Resolves with whether it ended well. A run's own processes end with Ctrl-C as this one does. */
function run(script: string, args: readonly string[]): Promise<boolean> {
  const child = spawn(process.execPath, [path.join(ROOT, script), ...args], { cwd: ROOT, stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code === 0));
  });
}

async function testsOf(changed: ReadonlySet<string>): Promise<string[]> {
  const reached = testsReaching(await readImportGraph(ROOT), changed);
  const wanted = [...reached].filter(
    ([file]) => parts.length === 0 || parts.some((part) => file.includes(part)),
  );
  return wanted.sort(([, a], [, b]) => a - b).map(([file]) => file);
}

async function round(changed: ReadonlySet<string>): Promise<void> {
  const files = await testsOf(changed);
  print(`\n${[...changed].join(", ")}: ${files.length} test files`);
  if (files.length === 0) return;
  // Some tests run what is built.
  if (await run("scripts/build.ts", [])) await run("scripts/test.ts", ["unit", ...files]);
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
