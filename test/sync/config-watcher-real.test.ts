import assert from "node:assert/strict";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { readConfigBytes } from "../../src/config/load.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/log.ts";
import { type ConfigWatcher, createConfigWatcher } from "../../src/sync/config-watcher.ts";
import type { SyncEvent } from "../../src/sync/sync-event.ts";
import { DEFAULT_SYNC_SETTINGS, type Detection, type SyncSettings } from "../../src/sync/sync-settings.ts";
import { createLocalFile } from "../../src/sync/watched-file.ts";
import { missingForFuse, mountLocalFuse } from "../rig/local-fuse-mount.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { sha256 } from "./watcher-bench.ts";

interface Real {
  readonly watcher: ConfigWatcher;
  readonly offered: string[];
  readonly events: SyncEvent[];
}

/** A watcher on a real file, by the machine's clock; contents that begin with "[" and do not end are torn. */
async function watchReally(
  t: TestContext,
  path: string,
  loaded: string,
  settings: Partial<SyncSettings>,
  lookDeadlineMs = 5_000,
): Promise<Real> {
  const offered: string[] = [];
  const events: SyncEvent[] = [];
  const watcher = createConfigWatcher({
    file: createLocalFile(path, readConfigBytes),
    settings: { ...DEFAULT_SYNC_SETTINGS, pollIntervalMs: 50, debounceMs: 100, ...settings },
    clock: systemClock,
    logger: silentLogger,
    baseline: { sha256: sha256(loaded) },
    generation: () => 1,
    lookDeadlineMs,
    async onChange({ bytes }) {
      const text = new TextDecoder().decode(bytes);
      offered.push(text);
      if (text.startsWith("[") && !text.endsWith("]")) {
        return { kind: "rejected", unparsable: true, reason: "torn" };
      }
      return { kind: "applied", changed: true, details: "settings reloaded" };
    },
    onEvent: (event) => events.push(event),
    onState: () => {},
  });
  t.after(() => watcher[Symbol.asyncDispose]());
  await watcher.start();
  return { watcher, offered, events };
}

for (const detection of ["mtime", "hash", "inotify"] as const satisfies readonly Detection[]) {
  test(`B1 twenty real saves in a row are one reload, and the last is what runs (${detection})`, async (t) => {
    const root = await temporaryFolder(t);
    const path = join(root, "config.toml");
    await writeFile(path, "a");
    const { watcher, offered, events } = await watchReally(t, path, "a", { detection, debounceMs: 400 });
    for (let save = 1; save <= 20; save += 1) {
      await writeFile(`${path}.tmp`, `save ${save}`);
      await rename(`${path}.tmp`, path);
      await pause(10);
    }
    await eventually(() => watcher.state.hash === sha256("save 20"), 10_000);
    assert.deepEqual(offered, ["save 20"]);
    assert.deepEqual(
      events.map(({ type, details }) => `${type} ${details}`),
      ["changed settings reloaded"],
    );
  });

  test(`B3 a real file that goes and comes back changed is applied, its folder gone meanwhile (${detection})`, async (t) => {
    const root = await temporaryFolder(t);
    const folder = join(root, "app");
    const path = join(folder, "config.toml");
    await mkdir(folder);
    await writeFile(path, "a");
    const { watcher, offered } = await watchReally(t, path, "a", { detection });
    await rm(folder, { recursive: true });
    await eventually(() => watcher.state.fileMissing, 10_000);
    await mkdir(folder);
    await writeFile(path, "b");
    await eventually(() => watcher.state.hash === sha256("b"), 10_000);
    assert.deepEqual(offered, ["b"]);
    assert.equal(watcher.state.fileMissing, false);
  });
}

test("a file written slowly, in pieces, is no error", async (t) => {
  const root = await temporaryFolder(t);
  const path = join(root, "config.toml");
  await writeFile(path, "[a]");
  const { watcher, events } = await watchReally(t, path, "[a]", { detection: "inotify", debounceMs: 50 });
  await writeFile(path, "");
  await pause(80);
  await writeFile(path, "[", { flag: "a" });
  // Longer than the debounce: the first piece is read, and offered.
  await pause(150);
  await writeFile(path, "b]", { flag: "a" });
  await eventually(() => watcher.state.hash === sha256("[b]"), 10_000);
  assert.deepEqual(
    events.map(({ type }) => type),
    ["changed"],
  );
});

test("B2 hash: a file on a mount that hangs is an error event, and applies when the mount answers again", async (t) => {
  const lacking = missingForFuse();
  if (lacking !== null) return t.skip(lacking);
  let unmount = async (): Promise<void> => {};
  t.after(() => unmount());
  const root = await temporaryFolder(t);
  const mount = await mountLocalFuse(root);
  unmount = async () => mount[Symbol.asyncDispose]();
  const path = join(mount.path, "config.toml");
  await writeFile(join(root, "behind", "config.toml"), "a");
  const { watcher, events } = await watchReally(t, path, "a", { detection: "hash" }, 300);
  await writeFile(join(root, "behind", "config.toml"), "b");
  await eventually(() => watcher.state.hash === sha256("b"), 10_000);
  mount.hang();
  await eventually(() => watcher.state.lastError?.kind === "unreadable", 10_000);
  assert.match(events.at(-1)?.details ?? "", /gave no answer within 0.3 s/);
  await writeFile(join(root, "behind", "config.toml"), "c");
  mount.goOn();
  await eventually(() => watcher.state.hash === sha256("c"), 10_000);
  assert.equal(watcher.state.lastError, null);
  await watcher[Symbol.asyncDispose]();
});
