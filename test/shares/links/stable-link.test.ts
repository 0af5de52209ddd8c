// The link people use: made, mended, and never put over what is somebody else's.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readdir, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { ensureStableLink, replaceLink } from "../../../src/shares/links/stable-link.ts";
import { fileProber } from "../../support/file-prober.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mountTmpfs } from "../../support/tiny-disk.ts";

const WAIT_MS = 5_000;

// Its clock stands still: however busy the machine is, no look is late.
const proberOfFile = fileProber({ clock: createManualClock(), logger: silentLogger });

async function bench(t: TestContext) {
  const folder = await temporaryFolder(t);
  const prober = proberOfFile();
  const volumes = join(folder, "volumes");
  const path = join(folder, "Shares", "My Share");
  const target = join(volumes, "My Share");
  const isOurs = (old: string): boolean => old.startsWith(`${volumes}/`);
  return {
    folder,
    prober,
    path,
    target,
    ensure: (to = target) => ensureStableLink({ prober, path, target: to, isOurs, waitMs: WAIT_MS }),
  };
}

describe("the stable link", () => {
  it("is created with its folder, is right then, and needs no target to exist", async (t) => {
    const { ensure, path, target, folder } = await bench(t);
    assert.deepEqual(await ensure(), { result: "created" });
    assert.equal(await readlink(path), target);
    assert.deepEqual(await ensure(), { result: "right" });
    assert.deepEqual(await readdir(join(folder, "Shares")), ["My Share"]);
  });

  it("that points to another of our mounts is repaired, in one step, and nothing else is left", async (t) => {
    const { ensure, path, target, folder } = await bench(t);
    await mkdir(join(folder, "Shares"));
    await symlink(join(folder, "volumes", "elsewhere"), path);
    assert.deepEqual(await ensure(), { result: "repaired" });
    assert.equal(await readlink(path), target);
    assert.deepEqual(await readdir(join(folder, "Shares")), ["My Share"]);
  });

  it("that is relative is judged by where it leads", async (t) => {
    const { ensure, path, target } = await bench(t);
    await mkdir(join(path, ".."));
    await symlink("../volumes/old", path);
    assert.deepEqual(await ensure(), { result: "repaired" });
    assert.equal(await readlink(path), target);
  });

  it("is mended although an earlier mending was cut short", async (t) => {
    const { ensure, path, target, folder } = await bench(t);
    await ensure(join(folder, "volumes", "old"));
    await symlink("/left/behind", join(folder, "Shares", ".My Share.mountaineer-new"));
    assert.deepEqual(await ensure(), { result: "repaired" });
    assert.equal(await readlink(path), target);
    assert.deepEqual(await readdir(join(folder, "Shares")), ["My Share"]);
  });

  for (const [what, make] of [
    ["a folder", (path: string) => mkdir(path)],
    ["a file", (path: string) => writeFile(path, "mine")],
    ["a link to /usr", (path: string) => symlink("/usr", path)],
    ["a link to a neighbour of ours", (path: string) => symlink("../volumes2/x", path)],
  ] as const) {
    it(`is not put over ${what}`, async (t) => {
      const { ensure, path, folder } = await bench(t);
      await mkdir(join(folder, "Shares"));
      await make(path);
      const outcome = await ensure();
      assert.equal(outcome.result, "blocked");
      assert.ok(outcome.result === "blocked" && outcome.by.includes(path), JSON.stringify(outcome));
      await rm(path, { recursive: true });
      assert.deepEqual(await ensure(), { result: "created" });
    });
  }

  it("is blocked where its folder is a file, with the system's reason", async (t) => {
    const { ensure, folder } = await bench(t);
    await writeFile(join(folder, "Shares"), "");
    const outcome = await ensure();
    assert.ok(outcome.result === "blocked" && /EEXIST|ENOTDIR/.test(outcome.by), JSON.stringify(outcome));
  });

  it("is blocked where no folder can be made for it", { skip: !existsSync("/proc/self") }, async (t) => {
    const { prober, target } = await bench(t);
    const path = "/proc/mountaineer/Shares/My Share";
    const outcome = await ensureStableLink({ prober, path, target, isOurs: () => false, waitMs: WAIT_MS });
    assert.ok(outcome.result === "blocked" && /ENOENT/.test(outcome.by), JSON.stringify(outcome));
  });

  it("is blocked where we may not write", async (t) => {
    const { prober, target } = await bench(t);
    const disk = await mountTmpfs(t, "ro,size=64k");
    if (disk === null) return;
    const path = join(disk, "My Share");
    const outcome = await ensureStableLink({ prober, path, target, isOurs: () => false, waitMs: WAIT_MS });
    assert.equal(outcome.result, "blocked");
  });

  it("is repaired however long its name is", async (t) => {
    const { folder } = await bench(t);
    for (const name of ["x".repeat(255), "漢".repeat(85)]) {
      const path = join(folder, name);
      await symlink("/old", path);
      await replaceLink(path, "/new");
      assert.equal(await readlink(path), "/new");
    }
  });

  it("is never missing while it changes", async (t) => {
    const { ensure, path, folder } = await bench(t);
    await ensure();
    let changing = true;
    const changes = (async () => {
      for (let index = 0; index < 100; index++)
        await replaceLink(path, join(folder, "volumes", String(index)));
      changing = false;
    })();
    let reads = 0;
    while (changing) {
      await readlink(path);
      reads++;
    }
    await changes;
    assert.ok(reads > 0);
  });
});
