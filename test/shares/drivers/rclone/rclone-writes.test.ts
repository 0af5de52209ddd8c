// What programs write to a mount of rclone is on the server, or set aside where it is told; its notes and its log.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import {
  appendFile,
  mkdir,
  readdir,
  readFile,
  rmdir,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { runCommand } from "../../../../src/runtime/process/child-process.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { cutLog } from "../../../../src/shares/drivers/program-logs.ts";
import { parseCacheMetadata } from "../../../../src/shares/drivers/rclone/cache-metadata.ts";
import { rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import { createMetadataFlusher } from "../../../../src/shares/drivers/rclone/metadata-flusher.ts";
import { ANSWERS_MS, eventually } from "../../../support/eventually.ts";
import { pluck } from "../../../support/pluck.ts";
import { stopProcess } from "../../../support/stop-process.ts";
import { preferSystemRclone } from "../../../support/system-rclone.ts";
import { found, holder, limits, mounted, PLAIN_NAME, release } from "../driver-contract.ts";
import { isGone, noSkip, type RcloneBench, server, startBench } from "./bench.ts";

/** Writes, as fast as one that saves often, and prints the name of each file whose every call was answered well. */
const WRITER = `
import sys, time, os
n = 0
while not os.path.exists(sys.argv[2]):
    name = "busy-%05d" % n
    n += 1
    try:
        with open(os.path.join(sys.argv[1], name), "w") as f:
            f.write(name)
        print(name, flush=True)
    except OSError:
        pass
    time.sleep(0.02)
`;

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
  it("A11 are on the server whole where only the end grew, else set aside, completed with the server's bytes and named; no file prevents the share's mount in the same step", async (t) => {
    preferSystemRclone(t);
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
      return names.some((name) => /^replaced.*now has a different file/.test(name)) ? names : null;
    });
    assert.deepEqual(named.map((name) => name.split(" ")[0]).sort(), ["holes", "replaced", "shorter"]);
    assert.ok(named.includes("holes"), "nothing is missing of it");
    const kept = await aside("replaced");
    assert.ok(kept.subarray(100_000, 100_500).equals(Buffer.alloc(500, "w")), "it keeps its holes");
    assert.equal(await readFile(behind("replaced"), "utf8"), "another");
  });
});

const PIECES_CHANGER = `import sys,os,time
fd=os.open(sys.argv[1],os.O_RDWR)
os.pwrite(fd,b"a"*10,5000)
time.sleep(0.05)
os.pwrite(fd,b"b"*10,20000)
reader=open(sys.argv[1],"rb")`;

describe("metadata of files that are being changed", noSkip, () => {
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
      note: async () => parseCacheMetadata(await readFile(of("vfsMeta"), "utf8")),
      writer: createMetadataFlusher({ clock: systemClock, logger: noopLogger }),
    };
  };

  it("A11 lists all written data once it is requested, even after the cut, and the file's time stays unchanged", async (t) => {
    // The engine's notes are never late.
    preferSystemRclone(t);
    await using bench = await startBench(t);
    const { share, mount, cacheFile, note, writer } = await scene(bench);
    await holder(t, PIECES_CHANGER, [join(share.mountPath, "file [x]")]);
    assert.deepEqual((await note())?.ranges, [{ start: 5000, end: 5010 }]);
    const before = await stat(cacheFile, { bigint: true });
    await bench.cut(share, "tb");
    const startedAtMs = performance.now();
    assert.deepEqual(await writer.writeMetadata(mount, "stale", 30_000), { due: 1, written: 1 });
    t.diagnostic(`written in ${(performance.now() - startedAtMs).toFixed(0)} ms`);
    assert.deepEqual((await note())?.ranges, [
      { start: 5000, end: 5010 },
      { start: 20_000, end: 20_010 },
    ]);
    const after = await stat(cacheFile, { bigint: true });
    assert.equal(after.mtimeNs, before.mtimeNs, "to the nanosecond");
    // Once more for what a write just before may have missed, and no more.
    await eventually(async () => (await writer.writeMetadata(mount, "stale", 30_000)).due === 0);
    assert.deepEqual(await writer.writeMetadata(mount, "all", 30_000), { due: 1, written: 1 });
  });

  it("A11 is not waited for beyond the deadline when the mount hangs", async (t) => {
    await using bench = await startBench(t);
    const { share, mount, pid, writer } = await scene(bench);
    await holder(t, PIECES_CHANGER, [join(share.mountPath, "file [x]")]);
    await stopProcess(pid);
    const startedAtMs = performance.now();
    const { written } = await writer.writeMetadata(mount, "all", 150);
    const tookMs = performance.now() - startedAtMs;
    process.kill(pid, "SIGCONT");
    assert.equal(written, 0);
    // The mount hangs until it is woken; that this ended at all is the point, and no claim of speed.
    assert.ok(tookMs < ANSWERS_MS, `${tookMs} ms`);
  });
});

// They mostly wait: rclone sends what was written after a second, and an old one after three.
describe("side by side", { ...noSkip, concurrency: 3 }, () => {
  describe("written data", () => {
    it("at the very moment of a forced unmount arrives whole", async (t) => {
      await using bench = await startBench(t);
      const share = bench.share(PLAIN_NAME);
      const behind = bench.behind(share, "tb");
      const names: string[] = [];
      for (const route of ["tb", "fallback"] as const) {
        const mount = await mounted(bench.driver, share, route);
        const name = `written over ${route} ${names.length}`;
        names.push(name);
        await writeFile(join(share.mountPath, name), name);
        assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
      }
      await mounted(bench.driver, share, "tb");
      for (const name of names) {
        await eventually(async () => (await readFile(join(behind, name), "utf8")) === name);
      }
      assert.deepEqual((await readdir(behind)).sort(), names.sort());
    });

    it("by an open program counts as unsent until it closes", async (t) => {
      await using bench = await startBench(t);
      const share = bench.share(PLAIN_NAME);
      await mounted(bench.driver, share, "tb");
      const writer = await holder(t, `import sys\nf=open(sys.argv[1],"w")\nf.write("x")\nf.flush()`, [
        join(share.mountPath, "held"),
      ]);
      assert.deepEqual(await bench.driver.unsent(share), ["held"]);
      await release(writer);
      await eventually(async () => (await bench.driver.unsent(share)).length === 0);
      assert.equal(await readFile(join(bench.behind(share, "tb"), "held"), "utf8"), "x");
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
      assert.equal((await bench.driver.unsentForOthers?.(share))?.[0]?.files.length, names.length);
      assert.deepEqual(await bench.driver.unmount(share, other.mount, "plain", limits()), { ok: true });
      assert.deepEqual(await readdir(bench.behind(share, "tb")), []);
      // For each of them rclone asks the server before it mounts: longer than that in all.
      const outcome = await bench.driver.mount(share, "tb", limits(1_500), null, "aa");
      assert.ok(outcome.ok, JSON.stringify(outcome));
      assert.deepEqual(await bench.driver.setAside?.(share), []);
      // Newer versions send a file under a name of its own.
      const shown = (await readdir(share.mountPath)).filter((name) => !name.endsWith(".partial"));
      assert.deepEqual(shown.toSorted(), names.toSorted());
      await eventually(
        async () => (await readdir(bench.behind(share, "tb"))).toSorted().join() === names.toSorted().join(),
        90_000,
      );
    });
  });

  // One after the other: what is cut off is written before rclone forgets, a second later, what it listed.
  describe("written data behind a route that is cut", { concurrency: 1 }, () => {
    it("that is not sent survives a forced unmount, is listed until then, and arrives over the other route", async (t) => {
      await using bench = await startBench(t);
      const share = bench.share(PLAIN_NAME);
      const behind = bench.behind(share, "tb");
      await writeFile(join(behind, "log"), "one\n");
      const mount = await mounted(bench.driver, share, "tb");
      await readdir(share.mountPath);
      await bench.cut(share, "tb");
      await writeFile(join(share.mountPath, "new file ü 日本"), "new data");
      assert.deepEqual(await bench.driver.unsent(share), ["new file ü 日本"]);
      assert.deepEqual(await bench.freshDriver().unsent(share), ["new file ü 日本"]);
      assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
      assert.deepEqual(await bench.driver.unsent(share), ["new file ü 日本"]);
      await mounted(bench.driver, share, "fallback");
      await eventually(async () => (await readFile(join(behind, "new file ü 日本"), "utf8")) === "new data");
      await eventually(async () => (await bench.driver.unsent(share)).length === 0);
      await appendFile(join(share.mountPath, "log"), "two\n");
      await eventually(async () => (await readFile(join(behind, "log"), "utf8")) === "one\ntwo\n");
      assert.deepEqual(
        (await readdir(behind)).sort(),
        ["log", "new file ü 日本"],
        "the export holds only what was written",
      );
    });

    it("A11 A15 and left unsent by a crashed rclone stays whole for programs that append to it once it is sent", async (t) => {
      await using bench = await startBench(t);
      const share = bench.share(PLAIN_NAME);
      const behind = bench.behind(share, "tb");
      const texts = new Map(Array.from({ length: 12 }, (_, index) => [`file-${index}`, `text ${index}\n`]));
      await writeFile(join(behind, "file-0"), "of before\n");
      const mount = await mounted(bench.driver, share, "tb");
      await readdir(share.mountPath);
      await bench.cut(share, "tb");
      for (const [name, text] of texts) await writeFile(join(share.mountPath, name), text);
      assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
      await mounted(bench.driver, share, "fallback");
      const sent = async (name: string, text: string): Promise<boolean> =>
        (await readFile(join(behind, name), "utf8").catch(() => "")) === text;
      // A listing in the second before a file is sent knows it as it was.
      const listing = new AbortController();
      const lists = (async () => {
        while (!listing.signal.aborted)
          for (const name of await readdir(share.mountPath))
            await stat(join(share.mountPath, name)).catch(() => {});
      })();
      await Promise.all(
        [...texts].map(async ([name, text]) => {
          await eventually(() => sent(name, text), ANSWERS_MS, 2);
          await appendFile(join(share.mountPath, name), "more\n");
        }),
      );
      listing.abort();
      await lists;
      for (const [name, text] of texts) await eventually(() => sent(name, `${text}more\n`));
    });

    it("with metadata torn by a crash is set aside, not thrown away", async (t) => {
      await using bench = await startBench(t);
      const share = bench.share(PLAIN_NAME);
      const mount = await mounted(bench.driver, share, "tb");
      await bench.cut(share, "tb");
      await mkdir(join(share.mountPath, "in")).catch(() => {});
      await writeFile(join(share.mountPath, "torn"), "precious");
      assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
      const files = rcloneFiles(bench.stateFolder, share.name);
      await writeFile(join(files.cache, "vfsMeta", "share", PLAIN_NAME, "torn"), "");
      assert.deepEqual(await bench.driver.unsent(share), ["torn"]);
      await mounted(bench.driver, share, "fallback");
      assert.equal(await readFile(join(files.setAside, "share", PLAIN_NAME, "torn"), "utf8"), "precious");
      assert.deepEqual(await bench.driver.unsent(share), []);
      const [aside] = (await bench.driver.setAside?.(share)) ?? [];
      assert.equal(aside?.folder, files.setAside);
      assert.match(aside.files.join(), /^torn/);
    });

    it("and not sent is listed by the name under which it is mounted, and reported once the share has another", async (t) => {
      await using bench = await startBench(t);
      const share = bench.share(PLAIN_NAME);
      const edited = { ...share, shareName: "another" };
      await mounted(bench.driver, share, "tb");
      await bench.cut(share, "tb");
      await writeFile(join(share.mountPath, "kept"), "precious");
      const later = bench.freshDriver();
      const [left] = await found(later, edited);
      assert.ok(left);
      assert.deepEqual(await later.unsent(edited), ["kept"]);
      assert.deepEqual(await later.setAside?.(edited), [], "it may be sent yet");
      assert.deepEqual(await later.unmount(edited, left, "force", limits()), { ok: true });
      assert.deepEqual(await found(later, edited), []);
      assert.deepEqual(await later.unsent(edited), []);
      const folder = join(rcloneFiles(bench.stateFolder, share.name).cache, "vfs", "share", PLAIN_NAME);
      assert.deepEqual(await later.setAside?.(edited), [{ folder, files: ["kept"] }]);
      assert.equal(await readFile(join(folder, "kept"), "utf8"), "precious");
      assert.deepEqual(await later.setAside?.(share), [], "by its old name it is sent");
    });
  });

  describe("a program that writes all the time through the stable path", { concurrency: 1 }, () => {
    it("A3 breaks no mount, and every write reported as done is on the server or set aside where the report says", async (t) => {
      await using bench = await startBench(t);
      const share = bench.share(PLAIN_NAME);
      await mkdir(join(bench.folder, "Shares"), { recursive: true });
      await symlink(share.mountPath, share.stablePath);
      let mount = await mounted(bench.driver, share, "tb");
      const stop = join(bench.folder, "stop");
      const writer = spawn("python3", ["-c", WRITER, share.stablePath, stop], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      t.after(() => release(writer));
      let told = "";
      writer.stdout.on("data", (chunk: Buffer) => {
        told += chunk.toString();
      });
      const toldCount = (): number => told.split("\n").length - 1;
      const times: number[] = [];
      for (const [route, mode] of [
        ["fallback", "force"],
        ["tb", "plain"],
        ["fallback", "plain"],
        ["tb", "force"],
      ] as const) {
        const before = toldCount();
        await eventually(() => toldCount() > before + 5);
        const startedAt = performance.now();
        // A plain one that meets an open file is asked again, as the engine does.
        await eventually(async () => (await bench.driver.unmount(share, mount, mode, limits())).ok);
        mount = await mounted(bench.driver, share, route);
        times.push(Math.round(performance.now() - startedAt));
      }
      const before = toldCount();
      await eventually(() => toldCount() > before + 5);
      await writeFile(stop, "");
      if (writer.exitCode === null) await once(writer, "exit");
      t.diagnostic(`unmount and mount, ms: ${times.join(" ")}; ${toldCount()} files`);
      await eventually(async () => (await bench.driver.unsent(share)).length === 0);
      const aside = (await bench.driver.setAside?.(share)) ?? [];
      const kept = (await Promise.all(aside.map(({ folder }) => readdir(folder)))).flat();
      t.diagnostic(`${kept.length} files in ${aside.length} folders set aside`);
      const sent = new Set(await readdir(bench.behind(share, "tb")));
      const lost = told.split("\n").filter((name) => name !== "" && !sent.has(name) && !kept.includes(name));
      assert.deepEqual(lost, [], "told to be written, and nowhere");
      assert.deepEqual(await bench.freshDriver().setAside?.(share), aside);
      assert.deepEqual(await bench.driver.unmount(share, mount, "plain", limits()), { ok: true });
      assert.ok(!existsSync(share.mountPath));
      assert.deepEqual(await bench.driver.setAside?.(share), aside, "nothing was left below the mount");
    });

    it("files written below a mount are set aside by its unmount", async (t) => {
      await using bench = await startBench(t);
      const share = bench.share(PLAIN_NAME);
      await mkdir(join(bench.folder, "volumes"), { recursive: true });
      const mount = await mounted(bench.driver, share, "tb");
      assert.deepEqual(await bench.driver.unmount(share, mount, "plain", limits()), { ok: true });
      assert.ok(!existsSync(share.mountPath));
      const again = await mounted(bench.driver, share, "tb");
      await runCommand("fusermount3", ["-u", share.mountPath], { clock: systemClock, deadlineMs: 60_000 });
      await writeFile(join(share.mountPath, "written while nothing was mounted"), "precious");
      assert.deepEqual(await bench.driver.unmount(share, again, "plain", limits()), { ok: true });
      const [aside] = (await bench.driver.setAside?.(share)) ?? [];
      assert.ok(aside);
      assert.equal(
        await readFile(join(aside.folder, "written while nothing was mounted"), "utf8"),
        "precious",
      );
      assert.equal((await mounted(bench.driver, share, "tb")).route, "tb");
    });
  });

  describe("the log of a living mount", () => {
    it("continues after the part that a cut leaves of it", async (t) => {
      await using bench = await startBench(t);
      const share = bench.share(PLAIN_NAME);
      const mount = await mounted(bench.driver, share, "tb");
      const { log } = rcloneFiles(bench.stateFolder, share.name);
      await appendFile(log, "2026/11/20 08:00:00 ERROR : IO error: read: i/o timeout\n".repeat(40_000));
      await cutLog(log, 256 * 1024);
      const kept = (await stat(log)).size;
      await bench.cut(share, "tb");
      await eventually(async () => {
        await bench.prober.checkMount(mount.id, mount.path, 500);
        return (await stat(log)).size > kept;
      });
      const text = await readFile(log, "utf8");
      assert.ok(!text.includes("\0"), "there is no hole");
      assert.match(text.slice(kept), /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d ERROR /);
    });
  });

  describe("an upload that a real server refuses", () => {
    it("A11 is reported with its reason until the server accepts it", async (t) => {
      await using bench = await startBench(t);
      const share = bench.share(PLAIN_NAME);
      await mounted(bench.driver, share, "tb");
      const behind = bench.behind(share, "tb");
      await writeFile(join(share.mountPath, "taken"), "precious");
      // A file cannot be where a folder is.
      await mkdir(join(behind, "taken"));
      const told = await eventually(async () => {
        const uploads = (await bench.driver.refusedUploads?.(share)) ?? [];
        return uploads.length > 0 && uploads;
      });
      t.diagnostic(told[0]?.reason ?? "");
      assert.deepEqual(pluck(told, "path"), ["taken"]);
      assert.deepEqual(
        (await bench.freshDriver().refusedUploads?.(share))?.map(({ path }) => path),
        ["taken"],
        "also after a restart",
      );
      await rmdir(join(behind, "taken"));
      await eventually(async () => (await bench.driver.refusedUploads?.(share))?.length === 0, 60_000);
    });
  });
});
