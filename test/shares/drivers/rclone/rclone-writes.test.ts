// What programs wrote to a mount of rclone is on the server, or set aside where it is told.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { appendFile, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { runCommand } from "../../../../src/runtime/process/child-process.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import { eventually } from "../../../support/eventually.ts";
import { found, holder, limits, mounted, PLAIN_NAME, release } from "../driver-contract.ts";
import { noSkip, startBench } from "./bench.ts";

describe("what is written", noSkip, () => {
  it("and not sent survives a forced unmount, is named meanwhile, and arrives over the other route", async (t) => {
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

  it("at the very moment of a forced unmount arrives whole", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const behind = bench.behind(share, "tb");
    const names: string[] = [];
    for (const route of ["tb", "fallback", "tb", "fallback"] as const) {
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

  it("with a note that a crash tore is set aside, not thrown away", async (t) => {
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

  it("and not sent is known by the name under which it is mounted, and told once the share has another", async (t) => {
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
});

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

describe("a program that writes all the time through the stable path", noSkip, () => {
  it("A3 breaks no mount, and what it was told is written is on the server or set aside where it is told", async (t) => {
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
      ["tb", "force"],
      ["fallback", "plain"],
      ["tb", "plain"],
      ["fallback", "force"],
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

  it("what comes to be below a mount is set aside by its unmount", async (t) => {
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
    assert.equal(await readFile(join(aside.folder, "written while nothing was mounted"), "utf8"), "precious");
    assert.equal((await mounted(bench.driver, share, "tb")).route, "tb");
  });
});
