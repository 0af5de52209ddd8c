// Files that were on the server and are being changed when rclone is killed from outside, with the driver alone.
import assert from "node:assert/strict";
import { readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import { eventually } from "../../../support/eventually.ts";
import { holder, limits, mounted, PLAIN_NAME } from "../driver-contract.ts";
import { isGone, noSkip, type RcloneBench, server, startBench } from "./bench.ts";

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

describe("a file that is being changed when rclone is killed", noSkip, () => {
  const killed = async (
    t: Parameters<typeof startBench>[0],
    bench: RcloneBench,
    places: readonly number[],
  ) => {
    const share = bench.share(PLAIN_NAME);
    const behind = join(bench.behind(share, "tb"), "file");
    await writeFile(behind, BASE);
    const mount = await mounted(bench.driver, share, "tb");
    await holder(t, CHANGER, [join(share.mountPath, "file"), ...places.map(String)]);
    const pid = await server(bench, share);
    process.kill(pid, "SIGKILL");
    await eventually(() => isGone(pid));
    assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
    return { share, behind, files: rcloneFiles(bench.stateFolder, share.name) };
  };

  it("A11 is on the server whole where only its end grew", async (t) => {
    await using bench = await startBench(t);
    const { share, behind } = await killed(t, bench, [300_123, 300_623, 301_123]);
    await mounted(bench.driver, share, "fallback");
    await eventually(async () => (await readFile(behind)).equals(written(300_123, 300_623, 301_123)));
    assert.deepEqual(await bench.driver.setAside?.(share), []);
  });

  it("A11 is set aside where it holds more than is known, completed with the server's bytes, and named", async (t) => {
    await using bench = await startBench(t);
    const { share, behind, files } = await killed(t, bench, [5_000, 100_000]);
    await mounted(bench.driver, share, "fallback");
    const aside = join(files.setAside, "share", PLAIN_NAME, "file");
    await eventually(async () => (await readFile(aside)).equals(written(5_000, 100_000)));
    assert.ok((await readFile(behind)).equals(BASE), "the original is not touched");
    await eventually(async () => {
      const [folder] = (await bench.driver.setAside?.(share)) ?? [];
      return folder?.folder === files.setAside && folder.files.join() === "file";
    });
    await rm(files.setAside, { recursive: true });
  });

  it("A11 keeps its holes, and says so, where the server has another file by now", async (t) => {
    await using bench = await startBench(t);
    const { share, behind, files } = await killed(t, bench, [5_000, 100_000]);
    await writeFile(behind, "another");
    await mounted(bench.driver, share, "fallback");
    await eventually(async () => {
      const [folder] = (await bench.driver.setAside?.(share)) ?? [];
      return folder?.files.join().includes("another file by now");
    });
    const kept = await readFile(join(files.setAside, "share", PLAIN_NAME, "file"));
    assert.ok(kept.subarray(100_000, 100_500).equals(Buffer.alloc(500, "w")));
    assert.equal(await readFile(behind, "utf8"), "another");
  });

  it("A11 never keeps the share from mounting, in the same step", async (t) => {
    await using bench = await startBench(t);
    const { share, behind, files } = await killed(t, bench, [5_000]);
    // rclone then looks for its bytes where there are none, tries again and again, and does not mount.
    await truncate(behind, 10);
    const startedAtMs = performance.now();
    const outcome = await bench.driver.mount(share, "fallback", limits(20_000));
    t.diagnostic(`mounted after ${(performance.now() - startedAtMs).toFixed(0)} ms`);
    assert.ok(outcome.ok, JSON.stringify(outcome));
    const kept = await readFile(join(files.setAside, "share", PLAIN_NAME, "file"));
    assert.ok(kept.subarray(5_000, 5_500).equals(Buffer.alloc(500, "w")));
  });
});
