// The rclone driver on a real SMB server: the contract of all drivers, every way a mount fails, others' mounts.
import assert from "node:assert/strict";
import { mkdir, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import type { ShareSpec } from "../../../../src/shares/share-spec.ts";
import {
  describeDriver,
  failure,
  found,
  HOSTILE_NAMES,
  limits,
  mounted,
  PLAIN_NAME,
} from "../driver-contract.ts";
import { mountByHand, noSkip, server, skip, startBench } from "./bench.ts";

describeDriver("rclone", skip, startBench);

describe("how fast a mount is", noSkip, () => {
  it("A12 rclone collects its buffers half as often, and never reads over several streams", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    await mounted(bench.driver, share, "tb");
    const pid = await server(bench, share);
    const environment = await readFile(`/proc/${pid}/environ`, "utf8");
    const argv = await readFile(`/proc/${pid}/cmdline`, "utf8");
    assert.ok(environment.split("\0").includes("GOGC=200"), environment);
    assert.ok(!argv.includes("--vfs-read-chunk-streams"), "a reader would wait for ever after a cut");
  });
});

describe("why a mount fails", noSkip, () => {
  const table: readonly (readonly [
    what: string,
    reason: string,
    change: (share: ShareSpec) => Partial<ShareSpec>,
  ])[] = [
    ["a wrong password", "wrong_credentials", () => ({ password: "not it" })],
    ["an unknown user", "wrong_credentials", () => ({ username: "nobody at all" })],
    ["a guest who is not let in", "wrong_credentials", () => ({ password: null })],
    ["an unknown share", "no_such_share", () => ({ shareName: "NOPE" })],
    ["a closed port", "refused", ({ routes }) => ({ routes: { ...routes, tb: { ...routes.tb, port: 1 } } })],
    [
      "an unknown host",
      "unreachable",
      ({ routes }) => ({ routes: { ...routes, tb: { ...routes.tb, host: "no-such-host.invalid" } } }),
    ],
  ];
  for (const [what, reason, change] of table) {
    it(`${what} is told as ${reason}, and leaves nothing`, async (t) => {
      await using bench = await startBench(t);
      const right = bench.share(PLAIN_NAME);
      const share: ShareSpec = { ...right, ...change(right) };
      const failed = failure(await bench.driver.mount(share, "tb", limits()));
      assert.equal(failed.reason, reason, failed.text);
      assert.ok(!failed.text.includes(share.password ?? "\0"), failed.text);
      t.diagnostic(failed.text);
      assert.deepEqual(await found(bench.driver, right), []);
      assert.equal((await mounted(bench.driver, right, "tb")).route, "tb", "and the right one mounts then");
    });
  }

  for (const mode of ["hang", "drop"] as const) {
    it(`a server that is silent (${mode}) is timed out within its deadline`, async (t) => {
      await using bench = await startBench(t);
      const share = bench.share(PLAIN_NAME);
      await bench.rig.relays.tb.setMode(mode);
      const failed = failure(await bench.driver.mount(share, "tb", limits(1_000)));
      assert.equal(failed.reason, "timed_out", failed.text);
      assert.deepEqual(await found(bench.driver, share), []);
      await mounted(bench.driver, share, "fallback");
    });
  }

  it("a state folder that cannot be made is a failure, not a throw", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    await writeFile(bench.stateFolder, "in the way");
    assert.equal(failure(await bench.driver.mount(share, "tb", limits())).reason, "other");
    await rm(bench.stateFolder);
    await mounted(bench.driver, share, "tb");
  });

  it("another share's mount at its path is left alone", async (t) => {
    await using bench = await startBench(t);
    const other = bench.share(HOSTILE_NAMES[0] ?? "");
    const share: ShareSpec = { ...bench.share(PLAIN_NAME), mountPath: other.mountPath };
    const mount = await mounted(bench.driver, other, "tb");
    const failed = failure(await bench.driver.mount(share, "tb", limits()));
    assert.equal(failed.reason, "path_taken");
    const [seen] = await found(bench.driver, share);
    assert.deepEqual([seen?.sameShare, seen?.route, seen?.madeByDriver], [false, null, false]);
    assert.deepEqual(await found(bench.driver, other), [mount]);
  });
});

describe("secrets", noSkip, () => {
  it("are in no argument and no environment, and in files that only we may read", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    await mounted(bench.driver, share, "tb");
    const pid = await server(bench, share);
    const shown = `${await readFile(`/proc/${pid}/cmdline`, "utf8")}${await readFile(`/proc/${pid}/environ`, "utf8")}`;
    const files = rcloneFiles(bench.stateFolder, share.name);
    const config = await readFile(files.config, "utf8");
    const obscured = /^pass = (.+)$/m.exec(config)?.[1];
    assert.ok(obscured);
    for (const secret of [bench.rig.password, obscured]) assert.ok(!shown.includes(secret));
    assert.ok(!config.includes(bench.rig.password));
    assert.equal((await stat(files.config)).mode & 0o777, 0o600);
    assert.equal((await stat(files.log)).mode & 0o777, 0o600);
    assert.equal((await stat(files.folder)).mode & 0o777, 0o700);
  });
});

/** More than a server may be silent for in the eyes of a person who waits: as long a deadline ends idle connections. */
const IDLE_MS = 5_000;

describe("connections that nobody uses for a while", noSkip, () => {
  it("A2: serve on, however many were in use at once: what programs open next gets no error", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const names = Array.from({ length: 8 }, (_, index) => `f${index}`);
    for (const name of names) {
      await mkdir(join(bench.behind(share, "tb"), name));
      await writeFile(join(bench.behind(share, "tb"), name, "data"), name);
    }
    await mounted(bench.driver, share, "tb");
    const readAll = () =>
      Promise.all(names.map((name) => readFile(join(share.mountPath, name, "data"), "utf8")));
    // rclone keeps a connection for each, and lets them wait their turn.
    for (let turn = 0; turn < 3; turn++) assert.deepEqual(await readAll(), names);
    await using film = await open(join(share.mountPath, "f0", "data"));
    await systemClock.sleep(IDLE_MS);
    for (const name of names) assert.deepEqual(await readdir(join(share.mountPath, name)), ["data"]);
    assert.equal((await film.read(Buffer.alloc(2), 0, 2, 0)).bytesRead, 2);
    assert.deepEqual(await readAll(), names);
  });
});

describe("mounts that others made", noSkip, () => {
  it("elsewhere are found by host name, address and any spelling of the share", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const path = join(bench.folder, "elsewhere");
    await mountByHand(t, bench, share, path, "nas.test");
    const [mount] = await found(bench.driver, share);
    assert.ok(mount);
    assert.deepEqual([mount.path, mount.sameShare, mount.route], [path, true, "tb"]);
    assert.deepEqual(await found(bench.driver, bench.share(HOSTILE_NAMES[0] ?? "")), []);
    assert.deepEqual(await bench.driver.unmount(share, mount, "plain", limits()), { ok: true });
  });

  it("at our path, from a host that no route knows, are of unknown route", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    await mountByHand(t, bench, share, share.mountPath, "10.9.9.9");
    const [mount] = await found(bench.driver, share);
    assert.ok(mount);
    assert.deepEqual([mount.sameShare, mount.route], [true, null]);
    assert.deepEqual(await bench.driver.unmount(share, mount, "plain", limits()), { ok: true });
  });
});
