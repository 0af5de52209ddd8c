// Measures save → onChange and what watching costs while nothing happens: each detector, chokidar and plain polling,
// side by side, one process each.
import { type ChildProcess, fork } from "node:child_process";
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { goal, median, quantile, round, say } from "./figures.ts";
import type { WatchMessage } from "./sync-detectors-child.ts";

const DEBOUNCE_MS = 100;
const POLL_MS = 100;
const GOAL_MS = 150;
/** A change not seen by then is counted as lost. */
const LOST_AFTER_MS = 5_000;
/** Shown, and measured against: a process that only waits. */
const NOTHING = "nothing (a bare process)";
const WAYS = ["inotify", "mtime", "hash", "chokidar", "plain polling", NOTHING] as const;

export const title = `config sync: save → onChange (debounce ${DEBOUNCE_MS} ms, poll interval ${POLL_MS} ms), idle CPU at the default intervals`;
export const missing = (): string | null => (process.platform === "linux" ? null : "reads /proc");

export async function bench({ short }: { short: boolean }): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-bench-"));
  try {
    const measured = WAYS.filter((way) => way !== NOTHING);
    const latencies = new Map<string, Latency>(measured.map((way) => [way, NOT_MEASURED]));
    const measureOne = async (way: string): Promise<void> => {
      latencies.set(way, await latency(way, folder, short ? 8 : 100));
    };
    if (short) await Promise.all(measured.map(measureOne));
    else for (const way of measured) await measureOne(way);
    sayLatencies(latencies);
    await idleCosts(folder, short ? 3 : 60);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Latency {
  /** In ms, sorted. */
  readonly values: readonly number[];
  readonly lost: number;
  /** Why it was not measured. */
  readonly missing: string | null;
}

const NOT_MEASURED: Latency = { values: [], lost: 0, missing: "not measured" };

function sayLatencies(latencies: ReadonlyMap<string, Latency>): void {
  const reference = median(latencies.get("chokidar")?.values ?? []);
  for (const [way, { values, lost, missing: reason }] of latencies) {
    if (reason !== null) {
      say(`  ${way.padEnd(14)} not run: ${reason}`);
      continue;
    }
    const p99 = quantile(values, 0.99);
    const ratio = Number.isNaN(reference) ? "" : `, ${round(median(values) / reference)} × chokidar`;
    const lostText = lost > 0 ? `, ${lost} LOST` : "";
    say(
      `  ${way.padEnd(14)} median ${round(median(values))} ms, p99 ${round(p99)} ms (${values.length} saves)${ratio}${lostText}`,
    );
  }
  const ours = latencies.get("inotify");
  if (ours === undefined) return;
  goal(`inotify: save → onChange within ${GOAL_MS} ms (median)`, median(ours.values) <= GOAL_MS);
  goal("inotify: no save is lost", ours.lost === 0);
}

interface Watcher extends Disposable {
  readonly pid: number;
  /** Unix epoch, ms, at which the content was told; null: never. */
  untilTold(text: string): Promise<number | null>;
}

async function startWatcher(
  way: string,
  path: string,
  pollMs: number,
  debounceMs: number,
): Promise<Watcher | { readonly missing: string }> {
  const program = new URL("./sync-detectors-child.ts", import.meta.url);
  const child: ChildProcess = fork(program, [way, path, String(pollMs), String(debounceMs)]);
  const told = new Map<string, number>();
  let heard = (): void => {};
  const first = await new Promise<WatchMessage>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${way} ended with ${code}`)));
    child.on("message", (message: WatchMessage) => {
      if (message.kind !== "changed") {
        resolve(message);
        return;
      }
      told.set(message.text, message.atMs);
      heard();
    });
  });
  if (first.kind === "missing") {
    child.kill();
    return { missing: first.reason };
  }
  return {
    pid: child.pid ?? 0,
    untilTold(text) {
      return new Promise((resolve) => {
        const answer = (): void => {
          clearTimeout(timer);
          resolve(told.get(text) ?? null);
        };
        const timer = setTimeout(answer, LOST_AFTER_MS);
        heard = () => {
          if (told.has(text)) answer();
        };
        heard();
      });
    },
    [Symbol.dispose]: () => void child.kill(),
  };
}

async function latency(way: string, folder: string, saves: number): Promise<Latency> {
  const path = join(folder, `${way.replaceAll(" ", "-")}.toml`);
  await writeFile(path, "first");
  const watcher = await startWatcher(way, path, POLL_MS, DEBOUNCE_MS);
  if ("missing" in watcher) return { values: [], lost: 0, missing: watcher.missing };
  using ended = watcher;
  const values: number[] = [];
  let lost = 0;
  for (let save = 1; save <= saves; save += 1) {
    // Anywhere between two polls.
    await pause(Math.random() * POLL_MS);
    const text = `save = ${save}\n${"# filling\n".repeat(100)}`;
    // As editors do: one in place, the next renamed over.
    if (save % 2 === 1) await writeFile(path, text);
    else {
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
    }
    const savedMs = performance.timeOrigin + performance.now();
    const toldMs = await ended.untilTold(text);
    if (toldMs === null) lost += 1;
    else values.push(toldMs - savedMs);
  }
  return { values: values.sort((a, b) => a - b), lost, missing: null };
}

async function idleCosts(folder: string, seconds: number): Promise<void> {
  say(`  idle for ${seconds} s, poll interval 2 s (plain polling alike)`);
  const path = join(folder, "idle.toml");
  await writeFile(path, "# a configuration\n".repeat(500));
  const running: { way: string; watcher: Watcher; before: number }[] = [];
  try {
    const started = await Promise.all(
      WAYS.map(async (way) => ({ way, watcher: await startWatcher(way, path, 2_000, 1_000) })),
    );
    for (const { way, watcher } of started) {
      if (!("missing" in watcher)) running.push({ way, watcher, before: 0 });
    }
    // Starting up is no part of it.
    await pause(1_000);
    for (const one of running) one.before = await processorMs(one.watcher.pid);
    await pause(seconds * 1_000);
    const used = new Map<string, number>();
    for (const { way, watcher, before } of running) used.set(way, (await processorMs(watcher.pid)) - before);
    const bare = used.get(NOTHING) ?? 0;
    for (const [way, ms] of used) {
      const percent = (of: number): string => ((of / (seconds * 1_000)) * 100).toFixed(3);
      const own = way === NOTHING ? "" : `, ${percent(ms - bare)} % its own`;
      say(`  ${way.padEnd(24)} ${percent(ms)} % of a core${own}`);
    }
  } finally {
    for (const { watcher } of running) watcher[Symbol.dispose]();
  }
}

/** Processor time of all threads of a process, ms; to the nanosecond, where ticks would show nothing but zeros. */
async function processorMs(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const texts = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8")),
  );
  return texts.reduce((sum, text) => sum + Number(text.split(" ")[0]) / 1e6, 0);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
