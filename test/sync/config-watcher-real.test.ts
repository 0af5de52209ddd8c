import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { readConfigBytes } from "../../src/config/read/config-bytes.ts";
import type { SyncSettings } from "../../src/config/snapshot.ts";
import { noopLogger } from "../../src/runtime/log/log.ts";
import { createConfigWatcher } from "../../src/sync/config-watcher.ts";
import type { SyncEvent } from "../../src/sync/sync-event.ts";
import type { Detection } from "../../src/sync/sync-settings.ts";
import { missingForFuse, mountLocalFuse } from "../rig/local-fuse-mount.ts";
import { assertEach } from "../support/assert-each.ts";
import { BETWEEN_LOOKS_MS, eventually } from "../support/eventually.ts";
import { createLocalFile } from "../support/local-file.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { DEFAULT_SYNC_SETTINGS, sha256 } from "./watcher-bench.ts";

/** No real look at a file is late by a clock that runs while it is waited for. */
const NEVER_LATE_MS = 3_600_000;
const STEP_MS = 10;

/** A watcher on a real file, by a clock that the test moves; contents that begin with "[" and do not end are torn. */
async function watchReally(
  t: TestContext,
  path: string,
  loaded: string,
  settings: Partial<SyncSettings>,
  checkDeadlineMs = NEVER_LATE_MS,
) {
  const clock = createManualClock(Date.now());
  const offered: string[] = [];
  const events: SyncEvent[] = [];
  const watcher = createConfigWatcher<null>({
    file: createLocalFile(path, readConfigBytes),
    settings: { ...DEFAULT_SYNC_SETTINGS, pollIntervalMs: 50, debounceMs: 100, ...settings },
    clock,
    logger: noopLogger,
    first: { sha256: sha256(loaded), snapshot: null },
    checkDeadlineMs,
    async load(bytes) {
      const text = new TextDecoder().decode(bytes);
      offered.push(text);
      if (text.startsWith("[") && !text.endsWith("]")) {
        return { ok: false, reason: "torn", mistakes: [] };
      }
      return { ok: true, snapshot: null };
    },
    apply: async () => ({ snapshot: null, changed: true, details: "settings reloaded", diff: null }),
    onEvent: (event) => events.push(event),
    onState: () => {},
  });
  t.after(() => watcher[Symbol.asyncDispose]());
  await watcher.start();
  /** Lets time pass, step by step, until it is so. */
  const until = (check: () => boolean): Promise<unknown> =>
    eventually(
      async () => {
        if (!check()) await clock.advance(STEP_MS);
        return check();
      },
      60_000,
      BETWEEN_LOOKS_MS,
    );
  return { clock, until, watcher, offered, events };
}

for (const detection of ["mtime", "hash", "inotify"] as const satisfies readonly Detection[]) {
  test(`B1 twenty real saves in a row are one reload, and the last one runs (${detection})`, async (t) => {
    const root = await temporaryFolder(t);
    const path = join(root, "config.toml");
    await writeFile(path, "a");
    const { clock, until, watcher, offered, events } = await watchReally(t, path, "a", {
      detection,
      debounceMs: 400,
    });
    for (let save = 1; save <= 20; save += 1) {
      await writeFile(`${path}.tmp`, `save ${save}`);
      await rename(`${path}.tmp`, path);
      await clock.advance(STEP_MS);
    }
    await until(() => watcher.state.hash === sha256("save 20"));
    assert.deepEqual(offered, ["save 20"]);
    assertEach(events, ({ type, details }) => `${type} ${details}`, ["changed settings reloaded"]);
  });
}

test("a file written slowly, in pieces, is not an error", async (t) => {
  const root = await temporaryFolder(t);
  const path = join(root, "config.toml");
  await writeFile(path, "[a]");
  const settings = { detection: "inotify", debounceMs: 50 } as const;
  const { clock, until, watcher, offered, events } = await watchReally(t, path, "[a]", settings);
  await writeFile(path, "");
  await clock.advance(80);
  await writeFile(path, "[", { flag: "a" });
  await until(() => offered.includes("["));
  await writeFile(path, "b]", { flag: "a" });
  await until(() => watcher.state.hash === sha256("[b]"));
  assertEach(events, ({ type }) => type, ["changed"]);
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
  const { until, watcher, events } = await watchReally(t, path, "a", { detection: "hash" }, 5_000);
  await writeFile(join(root, "behind", "config.toml"), "b");
  await until(() => watcher.state.hash === sha256("b"));
  await mount.hang();
  await until(() => watcher.state.lastError?.kind === "unreadable");
  assert.match(events.at(-1)?.details ?? "", /gave no answer within 5 s/);
  await writeFile(join(root, "behind", "config.toml"), "c");
  mount.goOn();
  await until(() => watcher.state.hash === sha256("c"));
  assert.equal(watcher.state.lastError, null);
  await watcher[Symbol.asyncDispose]();
});
