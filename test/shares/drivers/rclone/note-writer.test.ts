// What rclone notes of files that are being changed, on a real server.
import assert from "node:assert/strict";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import { createNoteWriter } from "../../../../src/shares/drivers/rclone/note-writer.ts";
import { parseCacheNote } from "../../../../src/shares/drivers/rclone/notes.ts";
import { ANSWERS_MS, eventually } from "../../../support/eventually.ts";
import { stopProcess } from "../../../support/stop-process.ts";
import { holder, mounted, PLAIN_NAME } from "../driver-contract.ts";
import { noSkip, type RcloneBench, server, startBench } from "./bench.ts";

const CHANGER = `import sys,os,time
fd=os.open(sys.argv[1],os.O_RDWR)
os.pwrite(fd,b"a"*10,5000)
time.sleep(0.05)
os.pwrite(fd,b"b"*10,20000)
reader=open(sys.argv[1],"rb")`;

describe("notes of files that are being changed", noSkip, () => {
  const scene = async (bench: RcloneBench) => {
    const share = bench.share(PLAIN_NAME);
    await writeFile(join(bench.behind(share, "tb"), "file [x]"), Buffer.alloc(100_000, 1));
    await mounted(bench.driver, share, "tb");
    const files = rcloneFiles(bench.stateFolder, share.name);
    const pid = await server(bench, share);
    const of = (kind: string): string => join(files.cache, kind, "share", PLAIN_NAME, "file [x]");
    return {
      share,
      pid,
      mount: { shareName: share.name, files, mountPath: share.mountPath, pid },
      cacheFile: of("vfs"),
      note: async () => parseCacheNote(await readFile(of("vfsMeta"), "utf8")),
      writer: createNoteWriter({ clock: systemClock, logger: silentLogger }),
    };
  };

  it("A11 list all that was written once they are asked for, also after the cut, and the file's time stays as it is", async (t) => {
    await using bench = await startBench(t);
    const { share, mount, cacheFile, note, writer } = await scene(bench);
    await holder(t, CHANGER, [join(share.mountPath, "file [x]")]);
    assert.deepEqual((await note())?.ranges, [{ start: 5000, end: 5010 }]);
    const before = await stat(cacheFile, { bigint: true });
    await bench.cut(share, "tb");
    const startedAtMs = performance.now();
    assert.deepEqual(await writer.writeNotes(mount, "stale", 30_000), { due: 1, written: 1 });
    t.diagnostic(`written in ${(performance.now() - startedAtMs).toFixed(0)} ms`);
    assert.deepEqual((await note())?.ranges, [
      { start: 5000, end: 5010 },
      { start: 20_000, end: 20_010 },
    ]);
    const after = await stat(cacheFile, { bigint: true });
    assert.equal(after.mtimeNs, before.mtimeNs, "to the nanosecond");
    // Once more for what a write just before may have missed, and no more.
    await eventually(async () => (await writer.writeNotes(mount, "stale", 30_000)).due === 0);
    assert.deepEqual(await writer.writeNotes(mount, "all", 30_000), { due: 1, written: 1 });
  });

  it("A11 are not waited for beyond the deadline when the mount hangs", async (t) => {
    await using bench = await startBench(t);
    const { share, mount, pid, writer } = await scene(bench);
    await holder(t, CHANGER, [join(share.mountPath, "file [x]")]);
    await stopProcess(pid);
    const startedAtMs = performance.now();
    const { written } = await writer.writeNotes(mount, "all", 150);
    const tookMs = performance.now() - startedAtMs;
    process.kill(pid, "SIGCONT");
    assert.equal(written, 0);
    // The mount hangs until it is woken; that this ended at all is the point, and no claim of speed.
    assert.ok(tookMs < ANSWERS_MS, `${tookMs} ms`);
  });
});
