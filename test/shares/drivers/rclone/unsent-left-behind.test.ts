import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { processIdentity } from "../../../../src/runtime/process/process-identity.ts";
import type { MountDriver } from "../../../../src/shares/drivers/mount-driver.ts";
import { processNoteText, REMOTE_NAME, rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import {
  createUnsentLeftBehind,
  withUnsentOfRclone,
} from "../../../../src/shares/drivers/rclone/unsent-left-behind.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { shareSpec } from "../../share-spec.ts";

const SHARE = shareSpec({ driver: "local" });
const DRIVER: MountDriver = {
  name: "local",
  cacheMs: 0,
  unavailable: async () => null,
  find: async () => [],
  mount: () => assert.fail(),
  unmount: () => assert.fail(),
  unsent: async () => [],
  setAside: async () => [OWN],
  ownProcesses: async () => [],
  openFilesPath: ({ path }) => path,
};

const OWN = { folder: "/its own", files: [] };
const SERVER_NAME = "the server's name";

async function scene(t: TestContext) {
  const stateFolder = await temporaryFolder(t);
  const files = rcloneFiles(stateFolder, SHARE.name);
  const clock = createManualClock();
  const inCache = async (kind: "vfs" | "vfsMeta", content: string): Promise<void> => {
    const path = join(files.cache, kind, REMOTE_NAME, SERVER_NAME, "a folder", "file");
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  };
  return {
    files,
    clock,
    /** As rclone keeps a file that was written. */
    async written(dirty: boolean) {
      await inCache("vfs", "x");
      await inCache("vfsMeta", JSON.stringify({ Dirty: dirty }));
    },
    kept: { folder: join(files.cache, "vfs", REMOTE_NAME, SERVER_NAME), files: ["a folder/file"] },
    driver: withUnsentOfRclone(DRIVER, { clock, logger: silentLogger, stateFolder }),
    leftBehind: createUnsentLeftBehind({ clock, logger: silentLogger, stateFolder }),
  };
}

test("A2 what rclone had not sent when another driver took over is told, until it is taken away", async (t) => {
  const { clock, written, kept, driver } = await scene(t);
  assert.deepEqual(await driver.setAside?.(SHARE), [OWN]);
  await written(true);
  await clock.advance(10_000);
  assert.deepEqual(await driver.setAside?.(SHARE), [OWN, kept]);
  await rm(kept.folder, { recursive: true });
  await clock.advance(10_000);
  assert.deepEqual(await driver.setAside?.(SHARE), [OWN]);
});

test("A2 what was sent, and what an rclone that runs will send, is not told", async (t) => {
  const { files, clock, written, kept, driver } = await scene(t);
  await written(false);
  assert.deepEqual(await driver.setAside?.(SHARE), [OWN]);
  await written(true);
  const identity = await processIdentity(process.pid);
  assert.ok(identity !== null);
  await writeFile(
    files.process,
    processNoteText({
      identity,
      mountPath: SHARE.mountPath,
      carriedPort: null,
      pinned: false,
      server: "first",
    }),
  );
  await clock.advance(10_000);
  assert.deepEqual(await driver.setAside?.(SHARE), [OWN]);
  const gone = {
    identity: { ...identity, startTime: "another" },
    mountPath: SHARE.mountPath,
    carriedPort: null,
    pinned: false,
    server: "first",
  };
  await writeFile(files.process, processNoteText(gone));
  await clock.advance(10_000);
  assert.deepEqual(await driver.setAside?.(SHARE), [OWN, kept]);
});

test("A2 what rclone sends under the share's present name is not told, what it kept under another is", async (t) => {
  const { written, kept, leftBehind } = await scene(t);
  await written(true);
  assert.deepEqual(await leftBehind("CORE", ["CORE", SERVER_NAME]), []);
  assert.deepEqual(await leftBehind("CORE", ["CORE"]), [kept]);
});
