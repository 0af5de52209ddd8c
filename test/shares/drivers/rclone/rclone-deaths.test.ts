// Every way a mount of rclone dies, and the processes that outlive the daemon.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { runCommand } from "../../../../src/runtime/process/child-process.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import { listRcloneMounts } from "../../../../src/shares/drivers/rclone/serving.ts";
import { eventually } from "../../../support/eventually.ts";
import { stopProcess } from "../../../support/stop-process.ts";
import { found, limits, mounted, PLAIN_NAME, release } from "../driver-contract.ts";
import { isGone, mountByHand, noSkip, server, startBench } from "./bench.ts";

describe("a mount that dies", noSkip, () => {
  it("A2 of a crashed process is known to be dead at once, is cleaned up and mounted again; an unmount that was asked for is no crash", async (t) => {
    await using bench = await startBench(t);
    const { driver } = bench;
    const share = bench.share(PLAIN_NAME);
    const mount = await mounted(driver, share, "tb");
    const heard: string[] = [];
    const stop = driver.onMountProcessExit?.((name) => heard.push(name));
    process.kill(await server(bench, share), "SIGKILL");
    await eventually(() => heard.length > 0);
    assert.deepEqual(await found(driver, share), [{ ...mount, processGone: true }]);
    const [afterRestart] = await found(bench.freshDriver(), share);
    assert.equal(afterRestart?.processGone, true);
    const look = await bench.prober.look(mount.id, mount.path, 60_000);
    assert.ok(look.state === "answered" && look.errno === "ENOTCONN");
    assert.deepEqual(await driver.unmount(share, mount, "force", limits()), { ok: true });
    for (const mode of ["plain", "force"] as const) {
      const next = await mounted(driver, share, "tb");
      assert.deepEqual(await driver.unmount(share, next, mode, limits()), { ok: true });
    }
    assert.deepEqual(heard, [PLAIN_NAME]);
    stop?.();
  });

  it("A2 one that hangs is ended by force, its callers are freed, and the path is mounted again", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    await writeFile(join(bench.behind(share, "tb"), "file"), "content");
    const mount = await mounted(bench.driver, share, "tb");
    const pid = await server(bench, share);
    await stopProcess(pid);
    const caller = spawn("ls", [share.mountPath], { stdio: "ignore" });
    t.after(() => release(caller));
    const ended = once(caller, "exit");
    const look = await bench.prober.look(mount.id, mount.path, 100);
    assert.equal(look.state, "pending");
    await eventually(() => bench.prober.pids.length === 2);
    const refused = await bench.driver.unmount(share, mount, "plain", limits());
    assert.ok(!refused.ok);
    assert.deepEqual(
      [refused.reason, refused.text],
      ["busy", "the mount does not answer, --force unmounts it"],
    );
    const before = performance.now();
    assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
    t.diagnostic(`forced unmount of a hung mount: ${(performance.now() - before).toFixed(0)} ms`);
    await ended;
    await eventually(() => isGone(pid));
    await eventually(() => bench.prober.pids.length === 1);
    await mounted(bench.driver, share, "fallback");
    assert.equal(await readFile(join(share.mountPath, "file"), "utf8"), "content");
  });

  it("whose server or cable is gone lists no more, and is replaced over what is left", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    for (const [cut, mend] of [
      [() => bench.rig.killServer(), () => bench.rig.startServer()],
      [() => bench.cut(share, "tb"), () => {}],
    ] as const) {
      const mount = await mounted(bench.driver, share, "tb");
      await cut();
      const look = await eventually(async () => {
        const seen = await bench.prober.look(mount.id, mount.path, 60_000);
        return seen.state === "answered" && seen.errno !== null && seen;
      });
      assert.ok(look.state === "answered" && look.errno === "EIO");
      await mend();
      assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
    }
    await mounted(bench.driver, share, "fallback");
  });

  it("by someone else's hand is ended like ours, and its process does not take the next one with it", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const foreign = await mountByHand(t, bench, share, share.mountPath, bench.rig.tbHost);
    const [mount] = await found(bench.driver, share);
    assert.ok(mount);
    assert.deepEqual([mount.sameShare, mount.route, mount.processGone], [true, "tb", false]);
    assert.deepEqual(await bench.driver.ownProcesses(share, mount), [foreign]);
    await stopProcess(foreign);
    assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
    await eventually(() => isGone(foreign));
    const next = await mounted(bench.driver, share, "fallback");
    assert.deepEqual(await found(bench.driver, share), [next]);
  });
});

describe("processes", noSkip, () => {
  it("outlive the daemon, one at a time: one whose number is somebody else's is not taken for ours, and what an earlier life left without a mount is ended first", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const mount = await mounted(bench.driver, share, "tb");
    const files = rcloneFiles(bench.stateFolder, share.name);
    const first = await server(bench, share);
    const theirs = JSON.stringify({ pid: process.pid, startTime: "1", mountPath: mount.path });
    for (const note of [theirs, "{ torn"]) {
      await writeFile(files.process, note);
      const later = bench.freshDriver();
      const [seen, ...more] = await found(later, share);
      assert.ok(seen && !seen.processGone && more.length === 0);
      assert.deepEqual(await later.ownProcesses(share, seen), [first]);
    }
    // Killed between the start and the note, and the mount taken away: only arguments tell whose it is.
    await stopProcess(first);
    await rm(files.process);
    await runCommand("fusermount3", ["-uz", mount.path], { clock: systemClock, deadlineMs: 60_000 });
    assert.ok(!isGone(first));
    const later = bench.freshDriver();
    const next = await mounted(later, share, "fallback");
    await eventually(() => isGone(first));
    const ours = (await listRcloneMounts()).filter((one) => one.arguments.includes(files.config));
    assert.equal(ours.length, 1);
    await writeFile(files.process, "{ torn");
    assert.deepEqual(await bench.freshDriver().unmount(share, next, "plain", limits()), { ok: true });
  });
});
