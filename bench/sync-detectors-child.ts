// One way to watch a file, in its own process, so that its cost can be told from the others'.
// Arguments: the way, the path, the poll interval and the debounce in ms. Says "ready", then each content it would apply.
import { watchFile } from "node:fs";
import { readFile } from "node:fs/promises";
import { sha256Of } from "../src/runtime/files/sha256.ts";
import { noopLogger } from "../src/runtime/log/log.ts";
import { systemClock } from "../src/runtime/time/clock.ts";
import { createConfigWatcher } from "../src/sync/config-watcher.ts";
import type { Detection } from "../src/sync/sync-settings.ts";
import { createLocalFile } from "../test/support/local-file.ts";

export type WatchMessage =
  | { readonly kind: "ready" }
  /** `atMs`: Unix epoch, with fractions. */
  | { readonly kind: "changed"; readonly text: string; readonly atMs: number }
  | { readonly kind: "missing"; readonly reason: string };

/** As much of chokidar as is used here. */
interface Chokidar {
  watch(path: string, options: object): { on(event: string, listener: () => void): unknown };
}

const [way = "", path = "", pollMs = "", quietMs = ""] = process.argv.slice(2);
const pollIntervalMs = Number(pollMs);
const debounceMs = Number(quietMs);

function tell(message: WatchMessage): void {
  process.send?.(message);
}

function tellChanged(bytes: Uint8Array): void {
  tell({
    kind: "changed",
    text: new TextDecoder().decode(bytes),
    atMs: performance.timeOrigin + performance.now(),
  });
}

/** What one would write around a bare watcher: wait until it is quiet, read, compare. */
function debounced(): () => void {
  let timer: NodeJS.Timeout | undefined;
  let last = "";
  return () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const bytes = await readFile(path);
      const sha256 = sha256Of(bytes);
      if (sha256 !== last) tellChanged(bytes);
      last = sha256;
    }, debounceMs);
  };
}

async function watchWithOurs(detection: Detection): Promise<void> {
  const watcher = createConfigWatcher<null>({
    file: createLocalFile(path, (file) => readFile(file)),
    settings: { enabled: true, detection, pollIntervalMs, debounceMs, onFailure: "backoff" },
    clock: systemClock,
    logger: noopLogger,
    first: { sha256: sha256Of(await readFile(path)), snapshot: null },
    load: async () => ({ ok: true, snapshot: null }),
    async apply({ bytes }) {
      tellChanged(bytes);
      return { snapshot: null, changed: true, details: "", diff: null };
    },
    onEvent: () => {},
    onState: () => {},
  });
  await watcher.start();
}

async function watchWithChokidar(): Promise<void> {
  const name = "chokidar";
  const chokidar: Chokidar = await import(name);
  const watcher = chokidar.watch(path, { ignoreInitial: true });
  const changed = debounced();
  watcher.on("all", changed);
  await new Promise<void>((resolve) => watcher.on("ready", resolve));
}

async function start(): Promise<void> {
  switch (way) {
    case "inotify":
    case "mtime":
    case "hash":
      return watchWithOurs(way);
    case "plain polling":
      watchFile(path, { interval: pollIntervalMs }, debounced());
      return;
    case "chokidar":
      return watchWithChokidar();
    default:
      return;
  }
}

process.on("disconnect", () => process.exit(0));
try {
  await start();
  tell({ kind: "ready" });
} catch (error) {
  if (!(error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")) throw error;
  tell({ kind: "missing", reason: `${way} is not installed` });
}
