// Files that were on the server and are being changed when rclone is killed from outside, with the driver alone.
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import { eventually } from "../../../support/eventually.ts";
import { holder, limits, mounted, PLAIN_NAME } from "../driver-contract.ts";
import { isGone, noSkip, server, startBench } from "./bench.ts";

const CHANGER = `import sys,os
fd=os.open(sys.argv[1],os.O_RDWR)
for at in sys.argv[2:]: os.pwrite(fd,b"w"*500,int(at))`;
const BASE = Buffer.alloc(300_123, "s");

function written(...places: readonly number[]): Buffer {
  const size = Math.max(BASE.length, ...places.map((at) => at + 500));
  const file = Buffer.alloc(size);
  BASE.copy(file);
  for (const at of places) file.fill("w", at, at + 500);
  return file;
}

describe("files that are being changed when rclone is killed", noSkip, () => {
  it("A11 are on the server whole where only the end grew, else set aside, completed with the server's bytes and named; no file keeps the share from mounting in the same step", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const behind = (name: string): string => join(bench.behind(share, "tb"), name);
    const files = rcloneFiles(bench.stateFolder, share.name);
    const aside = (name: string): Promise<Buffer> =>
      readFile(join(files.setAside, "share", PLAIN_NAME, name));
    const changes = {
      grown: [300_123, 300_623, 301_123],
      holes: [5_000, 100_000],
      replaced: [5_000, 100_000],
      shorter: [5_000],
    };
    for (const name of Object.keys(changes)) await writeFile(behind(name), BASE);
    const mount = await mounted(bench.driver, share, "tb");
    for (const [name, places] of Object.entries(changes))
      await holder(t, CHANGER, [join(share.mountPath, name), ...places.map(String)]);
    const pid = await server(bench, share);
    process.kill(pid, "SIGKILL");
    await eventually(() => isGone(pid));
    assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
    await writeFile(behind("replaced"), "another");
    // rclone then looks for its bytes where there are none, tries again and again, and does not mount.
    await truncate(behind("shorter"), 10);
    const startedAtMs = performance.now();
    const outcome = await bench.driver.mount(share, "fallback", limits(20_000));
    t.diagnostic(`mounted after ${(performance.now() - startedAtMs).toFixed(0)} ms`);
    assert.ok(outcome.ok, JSON.stringify(outcome));
    assert.ok((await aside("shorter")).subarray(5_000, 5_500).equals(Buffer.alloc(500, "w")));

    await eventually(async () => (await readFile(behind("grown"))).equals(written(...changes.grown)));
    await eventually(async () => (await aside("holes")).equals(written(...changes.holes)));
    assert.ok((await readFile(behind("holes"))).equals(BASE), "the original is not touched");
    const named = await eventually(async () => {
      const [folder, ...more] = (await bench.driver.setAside?.(share)) ?? [];
      assert.deepEqual([folder?.folder, more], [files.setAside, []]);
      const names = folder?.files ?? [];
      return names.some((name) => /^replaced.*another file by now/.test(name)) ? names : null;
    });
    assert.deepEqual(named.map((name) => name.split(" ")[0]).sort(), ["holes", "replaced", "shorter"]);
    assert.ok(named.includes("holes"), "nothing is missing of it");
    const kept = await aside("replaced");
    assert.ok(kept.subarray(100_000, 100_500).equals(Buffer.alloc(500, "w")), "it keeps its holes");
    assert.equal(await readFile(behind("replaced"), "utf8"), "another");
  });

  it("A15 however many are unsent, none is set aside for slowness, and a server that they were not written for sees none", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const files = rcloneFiles(bench.stateFolder, share.name, "aa");
    const time = new Date().toISOString();
    const names = Array.from({ length: 150 }, (_, index) => `f${index}`);
    for (const [kind, content] of [
      ["vfs", "hello"],
      ["vfsMeta", JSON.stringify({ ModTime: time, Size: 5, Rs: [{ Pos: 0, Size: 5 }], Dirty: true })],
    ] as const) {
      const folder = join(files.cache, kind, "share", PLAIN_NAME);
      await mkdir(folder, { recursive: true });
      for (const name of names) await writeFile(join(folder, name), content);
    }
    const other = await bench.driver.mount(share, "tb", limits(), null, "bb");
    assert.ok(other.ok, JSON.stringify(other));
    assert.equal((await bench.driver.waiting?.(share))?.[0]?.files.length, names.length);
    assert.deepEqual(await bench.driver.unmount(share, other.mount, "plain", limits()), { ok: true });
    assert.deepEqual(await readdir(bench.behind(share, "tb")), []);
    // For each of them rclone asks the server before it mounts: longer than that in all.
    const outcome = await bench.driver.mount(share, "tb", limits(1_500), null, "aa");
    assert.ok(outcome.ok, JSON.stringify(outcome));
    assert.deepEqual(await bench.driver.setAside?.(share), []);
    assert.deepEqual((await readdir(share.mountPath)).toSorted(), names.toSorted());
    await eventually(
      async () => (await readdir(bench.behind(share, "tb"))).toSorted().join() === names.toSorted().join(),
      90_000,
    );
  });
});
