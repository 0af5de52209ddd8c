// A home that was copied by hand says so at its first start, and at no other.
import assert from "node:assert/strict";
import { cp, mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { noticeCopy } from "../../src/daemon/home-origin.ts";
import { machineId } from "../../src/runtime/process/machine-id.ts";
import { createTestHome } from "../support/daemon.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("F8 a copied home is noticed once: of another machine, or beside the first one; a renamed or restored one is not", async (t) => {
  const folder = await temporaryFolder(t);
  const [first, second, third] = ["first", "second", "third"].map((name) => join(folder, name));
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  const on = (machine: string | null) => (home: string) => noticeCopy(home, async () => machine);
  const [here, there, unnamed] = [on("here"), on("there"), on(null)];
  await mkdir(first);
  assert.equal(await here(first), null, "a first start");
  assert.equal((await stat(join(first, "origin.json"))).mode & 0o777, 0o600);
  assert.equal(await here(first), null);
  await cp(first, second, { recursive: true });
  assert.deepEqual([await here(second), await here(second), await here(first)], [first, null, null]);
  await rename(second, third);
  await cp(first, second, { recursive: true, filter: (path) => !path.endsWith(".json") });
  assert.equal(await here(third), null, "renamed, though its old path is another home");
  assert.equal(await here(second), null, "restored: no backup has the record");
  assert.deepEqual([await unnamed(third), await here(third)], [null, null], "the machine has no id");
  assert.deepEqual([await there(third), await there(third)], ["another machine", null]);
  await rm(second, { recursive: true });
  await cp(third, second, { recursive: true });
  await rm(third, { recursive: true });
  assert.equal(await there(second), null, "moved to another disk");
  assert.match((await machineId()) ?? "0".repeat(64), /^[0-9a-f]{64}$/);
});

test("F8 a daemon in a copied home names both commands in its status and log, and is silent at its next start", async (t) => {
  const folder = await temporaryFolder(t);
  const [first, copy] = await Promise.all(
    (["first", "copy"] as const).map((name) => createTestHome({ home: join(folder, name) })),
  );
  assert.ok(first !== undefined && copy !== undefined);
  await (await first.startMonitor()).stop();
  await cp(first.home, copy.home, { recursive: true });
  for (const isSaid of [true, false]) {
    const monitor = await copy.startMonitor();
    const { global } = await copy.status();
    await monitor.stop();
    const found = global.conditions.find(({ code }) => code === "home_copied");
    assert.equal(found !== undefined, isSaid);
    if (isSaid) assert.match(found?.hint ?? "", /backup FILE --stop.*backup restore FILE/);
  }
  const lines = (await copy.log()).filter(({ from }) => from === first.home);
  assert.equal(lines.length, 1);
});
