// The write caches of a share's servers, with real files: what a person's word is about, and what it is not.
import assert from "node:assert/strict";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import test, { type TestContext } from "node:test";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { createCacheCare } from "../../../../src/shares/drivers/rclone/cache-care.ts";
import { createCaches } from "../../../../src/shares/drivers/rclone/caches.ts";
import {
  processNoteText,
  type RcloneFiles,
  REMOTE_NAME,
  rcloneFilesIn,
} from "../../../../src/shares/drivers/rclone/files.ts";
import { createRcloneDriver } from "../../../../src/shares/drivers/rclone/rclone.ts";
import { createUnsentWrites } from "../../../../src/shares/drivers/rclone/unsent.ts";
import { shareFiles } from "../../../../src/shares/drivers/share-files.ts";
import type { Prober } from "../../../../src/shares/prober/prober.ts";
import { sourceOf } from "../../../../src/shares/smb-source.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { routeTo, shareSpec } from "../../share-spec.ts";

const SHARE = shareSpec({});
const [AWAY, HERE] = ["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"] as const;

async function scene(t: TestContext) {
  const stateFolder = await temporaryFolder(t);
  const clock = createManualClock();
  const unsent = createUnsentWrites();
  const care = createCacheCare({
    clock,
    logger: silentLogger,
    unsent,
    onChange: () => {},
    home: stateFolder,
  });
  const caches = createCaches({
    clock,
    logger: silentLogger,
    stateFolder,
    unsent,
    onReplaced: care.replaced,
  });
  const { folder } = shareFiles(stateFolder, SHARE.name);
  const [away, here] = [rcloneFilesIn(folder, AWAY), rcloneFilesIn(folder, HERE)];
  for (const { cache } of [away, here]) {
    await mkdir(cache, { recursive: true });
    await writeFile(
      join(dirname(cache), "server.json"),
      JSON.stringify({ source: "//nas/core", witness: {} }),
    );
  }
  return { caches, care, unsent, away, here, stateFolder, clock };
}

/** As rclone leaves a file of which it has noted no byte yet. */
async function write({ cache }: RcloneFiles, name: string): Promise<void> {
  const note = { Dirty: true, Size: 0, Rs: [] };
  for (const [kind, content] of [
    ["vfs", "written"],
    ["vfsMeta", JSON.stringify(note)],
  ] as const) {
    const path = join(cache, kind, REMOTE_NAME, SHARE.shareName, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
}

async function sent({ cache }: RcloneFiles, name: string): Promise<void> {
  const path = join(cache, "vfsMeta", REMOTE_NAME, SHARE.shareName, name);
  await writeFile(path, JSON.stringify({ Dirty: false }));
}

test("A13 a person's word is about what waited then, not about what is written once that server is back", async (t) => {
  const { caches, unsent, away, here } = await scene(t);
  await write(away, "of before");
  await caches.sendHere(AWAY, here);
  // It comes back before that is done, sends its files, and more is written on it.
  await caches.prepare(SHARE, away);
  await sent(away, "of before");
  await write(away, "of later");
  await caches.prepare(SHARE, here);
  assert.deepEqual(await unsent.of(here.cache, SHARE.shareName), []);
  assert.deepEqual(await unsent.of(away.cache, SHARE.shareName), ["of later"]);
});

test("A13 a crash right after the files were handed over leaves no word for files of later", async (t) => {
  const { caches, unsent, away, here } = await scene(t);
  await write(away, "of before");
  await caches.sendHere(AWAY, here);
  await rename(away.cache, `${here.cache}.was`);
  await caches.prepare(SHARE, here);
  await write(away, "of later");
  await caches.prepare(SHARE, here);
  assert.deepEqual(await unsent.of(here.cache, SHARE.shareName), []);
});

for (const [proved, before] of [
  [true, { version: 1, shareName: SHARE.shareName, username: "u", serverGuid: "aa", entries: [] }],
  [false, null],
] as const) {
  test(`A13 files that a version before left, its server ${proved ? "" : "not "}proved, are listed with where it was, whatever the hosts are edited to`, async (t) => {
    const { caches, stateFolder } = await scene(t);
    const old = rcloneFilesIn(shareFiles(stateFolder, SHARE.name).folder);
    await write(old, "of before");
    const note = join(old.folder, "server.json");
    if (before !== null) await writeFile(note, JSON.stringify(before));
    const told = async (share: typeof SHARE) =>
      (await caches.all(share, HERE)).map((one) => [one.server, one.source, one.proved]);
    await told(SHARE);
    const routes = { tb: routeTo("10.9.9.9"), fallback: routeTo(null) };
    const source = sourceOf(SHARE.routes.tb, SHARE.shareName);
    assert.deepEqual(await told({ ...SHARE, routes }), [["first", source, proved]]);
    // What was known of it is known still.
    assert.deepEqual(JSON.parse(await readFile(note, "utf8")), {
      ...(before ?? { version: 1, shareName: SHARE.shareName }),
      source,
    });
  });
}

test("A11 what one server's rclone did not touch says nothing of another server's files", async (t) => {
  const { care, away, here } = await scene(t);
  await write(here, "file");
  const place = (files: RcloneFiles) => ({ shareName: SHARE.name, files });
  await care.review(place(away));
  care.neverMounted(place(away));
  await care.review(place(here));
  // What its note did not list is listed now, or it would be fetched over.
  const path = join(here.cache, "vfsMeta", REMOTE_NAME, SHARE.shareName, "file");
  const note = await readFile(path, "utf8").catch(() => "set aside");
  assert.notEqual(note, JSON.stringify({ Dirty: true, Size: 0, Rs: [] }));
});

test("A13 what a server that is gone for good left unsent can be set aside after a restart of the machine, too", async (t) => {
  const { away, stateFolder, clock } = await scene(t);
  await write(away, "file");
  const identity = { pid: process.pid, startTime: "of another process" };
  const note = { identity, mountPath: SHARE.mountPath, carriedPort: null, pinned: false, server: AWAY };
  await writeFile(away.process, processNoteText(note));
  const driver = createRcloneDriver({
    ...{ clock, logger: silentLogger, stateFolder, addressesOf: () => [] },
    mountTable: { read: async () => [] },
    // Asked for nothing here.
    prober: {} as Prober,
  });
  assert.deepEqual(
    (await driver.waiting?.(SHARE, true))?.map(({ server, inUse }) => [server, inUse]),
    [[AWAY, false]],
  );
  await driver.decideWaiting?.(SHARE, AWAY, "set_aside");
  const aside = join(away.setAside, REMOTE_NAME, SHARE.shareName, "file");
  assert.equal(await readFile(aside, "utf8"), "written");
});
