// The rclone driver on a real SMB server: the contract of all drivers, every way a mount fails, others' mounts.
import assert from "node:assert/strict";
import { mkdir, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import type { RouteSpec, ShareSpec } from "../../../../src/shares/share-spec.ts";
import { eventually } from "../../../support/eventually.ts";
import {
  describeDriver,
  failure,
  found,
  HOSTILE_NAMES,
  limits,
  mounted,
  PLAIN_NAME,
} from "../driver-contract.ts";
import { mountByHand, noSkip, skip, standingMount, startBench } from "./bench.ts";

describeDriver("rclone", skip, startBench);

/** More than a server may be silent for in the eyes of a person who waits: as long a deadline ends idle connections. */
const IDLE_MS = 5_000;

describe("a mount that stands", noSkip, () => {
  const standing = standingMount();
  const shown = async (pid: number, what: string): Promise<string> =>
    readFile(`/proc/${pid}/${what}`, "utf8");

  it("A12 rclone collects its buffers half as often, and never reads over several streams", async () => {
    const { pid } = standing();
    const environment = await shown(pid, "environ");
    assert.ok(environment.split("\0").includes("GOGC=200"), environment);
    const argv = await shown(pid, "cmdline");
    assert.ok(!argv.includes("--vfs-read-chunk-streams"), "a reader would wait for ever after a cut");
  });

  it("has its secrets in no argument and no environment, and in files that only we may read", async () => {
    const { bench, share, pid } = standing();
    const files = rcloneFiles(bench.stateFolder, share.name);
    const config = await readFile(files.config, "utf8");
    const obscured = /^pass = (.+)$/m.exec(config)?.[1];
    assert.ok(obscured);
    for (const secret of [bench.rig.password, obscured])
      for (const what of ["cmdline", "environ"]) assert.ok(!(await shown(pid, what)).includes(secret), what);
    assert.ok(!config.includes(bench.rig.password));
    for (const [path, mode] of [
      [files.config, 0o600],
      [files.log, 0o600],
      [files.folder, 0o700],
    ] as const)
      assert.equal((await stat(path)).mode & 0o777, mode, path);
  });

  it("lives in a session of its own and needs no daemon", async () => {
    const { pid } = standing();
    const status = await shown(pid, "stat");
    assert.equal(status.slice(status.lastIndexOf(")") + 2).split(" ")[3], String(pid));
  });

  it("is left alone where another share's path is", async () => {
    const { bench, share, mount } = standing();
    const other = { ...bench.share(HOSTILE_NAMES[0] ?? ""), mountPath: share.mountPath };
    assert.equal(failure(await bench.driver.mount(other, "tb", limits())).reason, "path_taken");
    const [seen] = await found(bench.driver, other);
    assert.deepEqual([seen?.sameShare, seen?.route, seen?.madeByDriver], [false, null, false]);
    assert.deepEqual(await found(bench.driver, share), [mount]);
  });

  it("A2: serves on when nobody used its connections for a while, however many were in use at once: what programs open next gets no error", async () => {
    const { bench, share } = standing();
    const names = Array.from({ length: 8 }, (_, index) => `f${index}`);
    for (const name of names) {
      await mkdir(join(bench.behind(share, "tb"), name));
      await writeFile(join(bench.behind(share, "tb"), name, "data"), name);
    }
    const readAll = () =>
      Promise.all(names.map((name) => readFile(join(share.mountPath, name, "data"), "utf8")));
    // rclone may show the folder as it was a moment ago.
    await eventually(async () => (await readdir(share.mountPath)).length === names.length);
    // rclone keeps a connection for each, and lets them wait their turn.
    for (let turn = 0; turn < 3; turn++) assert.deepEqual(await readAll(), names);
    await using film = await open(join(share.mountPath, "f0", "data"));
    await systemClock.sleep(IDLE_MS);
    for (const name of names) assert.deepEqual(await readdir(join(share.mountPath, name)), ["data"]);
    assert.equal((await film.read(Buffer.alloc(2), 0, 2, 0)).bytesRead, 2);
    assert.deepEqual(await readAll(), names);
  });
});

describe("why a mount fails", noSkip, () => {
  it("is told, without the password; it leaves nothing, and the right one mounts then", async (t) => {
    await using bench = await startBench(t);
    const right = bench.share(PLAIN_NAME);
    const tb = (change: Partial<RouteSpec>): Partial<ShareSpec> => ({
      routes: { ...right.routes, tb: { ...right.routes.tb, ...change } },
    });
    const fails = async (what: string, reason: string, change: Partial<ShareSpec>, deadlineMs = 60_000) => {
      const share: ShareSpec = { ...right, ...change };
      const failed = failure(await bench.driver.mount(share, "tb", limits(deadlineMs)));
      assert.equal(failed.reason, reason, `${what}: ${failed.text}`);
      assert.ok(!failed.text.includes(share.password ?? "\0"), failed.text);
      t.diagnostic(`${what}: ${failed.text}`);
      assert.deepEqual(await found(bench.driver, right), [], what);
    };
    await writeFile(bench.stateFolder, "in the way");
    await fails("a state folder that cannot be made", "other", {});
    await rm(bench.stateFolder);
    await fails("a wrong password", "wrong_credentials", { password: "not it" });
    await fails("an unknown user", "wrong_credentials", { username: "nobody at all" });
    await fails("a guest who is not let in", "wrong_credentials", { password: null });
    await fails("an unknown share", "no_such_share", { shareName: "NOPE" });
    await fails("a closed port", "refused", tb({ port: 1 }));
    await fails("an unknown host", "unreachable", tb({ host: "no-such-host.invalid" }));
    for (const mode of ["hang", "drop"] as const) {
      await bench.rig.relays.tb.setMode(mode);
      await fails(`a server that is silent (${mode})`, "timed_out", {}, 1_000);
    }
    await bench.rig.relays.tb.setMode("pass");
    assert.equal((await mounted(bench.driver, right, "tb")).route, "tb");
  });
});

describe("mounts that others made", noSkip, () => {
  it("are found by host name, address and any spelling of the share, elsewhere too; from a host that no route knows they are of unknown route", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const elsewhere = join(bench.folder, "elsewhere");
    for (const [path, host, route] of [
      [elsewhere, "nas.test", "tb"],
      [share.mountPath, "10.9.9.9", null],
    ] as const) {
      await mountByHand(t, bench, share, path, host);
      const [mount] = await found(bench.driver, share);
      assert.ok(mount);
      assert.deepEqual([mount.path, mount.sameShare, mount.route], [path, true, route]);
      assert.deepEqual(await found(bench.driver, bench.share(HOSTILE_NAMES[0] ?? "")), []);
      assert.deepEqual(await bench.driver.unmount(share, mount, "plain", limits()), { ok: true });
    }
  });
});
