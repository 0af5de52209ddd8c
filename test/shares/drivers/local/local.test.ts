// The driver of folders and links, under the contract of all drivers and with what is its own.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readdir, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { MountaineerError } from "../../../../src/runtime/errors.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { createLocalDriver } from "../../../../src/shares/drivers/local/local.ts";
import { unmountFailed } from "../../../../src/shares/drivers/mount-failure.ts";
import type { MountTable } from "../../../../src/shares/mounts/mount-entry.ts";
import { createMountTable } from "../../../../src/shares/mounts/mount-table.ts";
import type { Prober } from "../../../../src/shares/prober/prober.ts";
import type { ShareSpec } from "../../../../src/shares/share-spec.ts";
import { fileProber } from "../../../support/file-prober.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { routeTo } from "../../share-spec.ts";
import { exportShares } from "../bound-shares.ts";
import {
  describeDriver,
  failure,
  found,
  HOSTILE_NAMES,
  holder,
  limits,
  mounted,
  needsHolder,
  PLAIN_NAME,
  release,
  staying,
} from "../driver-contract.ts";

const mountTable = createMountTable({ clock: systemClock });
const proberOfFile = fileProber({ clock: systemClock, logger: noopLogger });

async function startBench(t: TestContext) {
  const folder = await temporaryFolder(t);
  const prober = proberOfFile();
  const shares = await exportShares(join(folder, "routes"), (_, behind) => ({
    folder,
    driver: "local",
    routes: {
      tb: routeTo(null, { folder: behind("tb") }),
      fallback: routeTo(null, { folder: behind("fallback") }),
    },
  }));
  const driverWith = (change: Partial<Prober> = {}) =>
    createLocalDriver({
      ...{ clock: systemClock, mountTable, stateFolder: folder },
      prober: { ...prober, ...change },
    });
  return {
    driver: driverWith(),
    stateFolder: folder,
    prober,
    freshDriver: () => driverWith(),
    /** Whose prober is another one in this. */
    driverWith,
    ...shares,
    async [Symbol.asyncDispose]() {},
  };
}

describeDriver("local", process.platform === "linux" ? null : "open files need /proc", startBench);

describe("the local driver", () => {
  it("a thousand shares are found with few messages and little work", async (t) => {
    await using bench = await startBench(t);
    const shares = Array.from({ length: 1_000 }, (_, index) => bench.share(`share ${index}`));
    await Promise.all(shares.map((share) => found(bench.driver, share)));
    const before = process.cpuUsage();
    await Promise.all(shares.map((share) => found(bench.driver, share)));
    const { user, system } = process.cpuUsage(before);
    t.diagnostic(`daemon CPU to find 1,000 shares: ${((user + system) / 1_000).toFixed(1)} ms`);
  });

  it("A7 files opened through a linked folder are found", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const real = bench.behind(share, "tb");
    const alias = `${real} alias`;
    await symlink(real, alias);
    const linked: ShareSpec = {
      ...share,
      routes: { ...share.routes, tb: { ...share.routes.tb, folder: alias } },
    };
    const mount = await mounted(bench.driver, linked, "tb");
    assert.equal(bench.driver.openFilesPath(mount), real);
    const later = bench.freshDriver();
    const [again = assert.fail()] = await found(later, linked);
    assert.equal(later.openFilesPath(again), real);
    const asked: string[] = [];
    const openFiles: Prober["openFiles"] = async (folders) => {
      asked.push(...folders);
      return folders.map(() => ({ ok: true, files: [] }));
    };
    const { stateFolder } = bench;
    const prober = { ...bench.prober, openFiles };
    const driver = createLocalDriver({ clock: systemClock, prober, mountTable, stateFolder });
    const [edited = assert.fail()] = await found(driver, {
      ...share,
      routes: bench.share(HOSTILE_NAMES[0] ?? "").routes,
    });
    assert.deepEqual(await driver.unmount(share, edited, "plain", limits()), { ok: true });
    assert.deepEqual(asked, [real]);
  });

  it("a link stays while its unmount is cancelled or its open files are unknown; its cached checks are then dropped", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const forgotten: string[] = [];
    const driver = bench.driverWith({
      openFiles: async () => [],
      forget: (id) => void forgotten.push(id),
    });
    const mount = await mounted(driver, share, "tb");
    const cancelled = { ...limits(), signal: AbortSignal.abort() };
    assert.deepEqual(await driver.unmount(share, mount, "force", cancelled), unmountFailed("cancelled"));
    const text = "open files are not known: no answer";
    assert.deepEqual(await driver.unmount(share, mount, "plain", limits()), {
      ok: false,
      reason: "busy",
      text,
    });
    assert.ok(existsSync(share.mountPath));
    assert.deepEqual(await driver.unmount(share, mount, "force", limits()), { ok: true });
    assert.deepEqual(forgotten, [mount.id]);
  });

  it("gives the reason why its path is unknown, and the processes with open files", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const text = "no answer";
    const blind = bench.driverWith({ readLink: async () => ({ state: "unknown", text }) });
    assert.deepEqual(await blind.mount(share, "tb", limits(), staying(share)), {
      ok: false,
      reason: "timed_out",
      text,
    });
    await assert.rejects(found(blind, share), { code: "timed_out" });
    const mount = await mounted(bench.driver, share, "tb");
    assert.deepEqual(await blind.unmount(share, mount, "force", limits()), unmountFailed(text));
    const files = [1, 2, 3, 4, 5].map((pid) => ({ pid, command: "sh", path: "/f", how: "fd" }) as const);
    const held = bench.driverWith({ openFiles: async () => [{ ok: true, files }] });
    const busy = await held.unmount(share, mount, "plain", limits());
    assert.ok(!busy.ok);
    assert.equal(busy.text, "files are open in sh (1), sh (2), sh (3) and 2 more");
  });

  it("a check without an answer does not forget a link at a former path", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    let answers = true;
    const readLink: Prober["readLink"] = async (path, waitMs) =>
      answers || path !== share.mountPath
        ? bench.prober.readLink(path, waitMs)
        : { state: "unknown", text: "no answer" };
    const driver = bench.driverWith({ readLink });
    const before = await mounted(driver, share, "tb");
    const moved: ShareSpec = { ...share, mountPath: `${share.mountPath} moved` };
    answers = false;
    assert.deepEqual(await found(driver, moved), []);
    answers = true;
    assert.deepEqual(await found(driver, moved), [before]);
  });

  it("a link that another program redirected before it was verified is not removed either", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const driver = bench.driverWith({
      async checkMount() {
        return { state: "answered", startedAtMs: 0, finishedAtMs: 0, errno: "EIO" };
      },
      async readLink(path, waitMs) {
        const reading = await bench.prober.readLink(path, waitMs);
        if (reading.state === "missing") return reading;
        await rm(path);
        await symlink("/usr", path);
        return bench.prober.readLink(path, waitMs);
      },
    });
    assert.equal(failure(await driver.mount(share, "tb", limits(), staying(share))).reason, "other");
    assert.equal(await readlink(share.mountPath), "/usr");
  });

  it("a folder that vanished under the link is a failed check, and the link is removed by force", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const mount = await mounted(bench.driver, share, "tb");
    await bench.cut(share, "tb");
    const check = await bench.prober.checkMount(mount.id, mount.path, 60_000);
    assert.ok(check.state === "answered" && check.errno === "ENOENT");
    assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
  });

  it(
    "A7 one below a mount_root that is no longer configured is found there, waits for open files, and is removed",
    needsHolder,
    async (t) => {
      await using bench = await startBench(t);
      const share = bench.share(PLAIN_NAME);
      const { driver } = bench;
      await writeFile(join(bench.behind(share, "tb"), "held"), "x");
      const before = await mounted(driver, share, "tb");
      const moved: ShareSpec = { ...share, mountPath: `${share.mountPath} moved` };
      const [old, ...more] = await found(driver, moved);
      assert.deepEqual([old, more], [before, []], "at its old path, made by us");
      assert.ok(old?.madeByDriver);
      const child = await holder(t, "import sys\nf=open(sys.argv[1])", [join(share.mountPath, "held")]);
      const refused = await driver.unmount(moved, old, "plain", limits());
      assert.ok(!refused.ok && refused.reason === "busy");
      await release(child);
      assert.deepEqual(await driver.unmount(moved, old, "plain", limits()), { ok: true });
      assert.ok(!existsSync(share.mountPath));
      const next = await mounted(driver, moved, "tb");
      assert.deepEqual(await found(driver, moved), [next]);
      assert.deepEqual([next.path, next.route], [moved.mountPath, "tb"]);
      await driver.unmount(moved, next, "plain", limits());
      await mkdir(share.mountPath);
      assert.deepEqual(await found(driver, moved), [], "what stands there now is not ours");
    },
  );

  it("A6 a link made before a restart is ours, whatever the present configuration of its folder", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    await mounted(bench.driver, share, "tb");
    const { routes } = bench.share(HOSTILE_NAMES[0] ?? "");
    const edited: ShareSpec = { ...share, routes };
    const later = bench.freshDriver();
    const [left] = await found(later, edited);
    assert.ok(left);
    assert.deepEqual([left.sameShare, left.route, left.madeByDriver], [false, null, true]);
    assert.deepEqual(await later.unmount(edited, left, "plain", limits()), { ok: true });
    await symlink("/usr", share.mountPath);
    const [foreign] = await found(bench.freshDriver(), edited);
    assert.equal(foreign?.madeByDriver, false, "a note of another link");
    const moved: ShareSpec = { ...edited, mountPath: `${share.mountPath} moved` };
    await symlink(share.routes.tb.folder ?? "", moved.mountPath);
    const [elsewhere] = await found(bench.freshDriver(), moved);
    assert.equal(elsewhere?.madeByDriver, false, "a note of a link at another path");
  });

  it("A2 a record that cannot be written or read does not disable a share", async (t) => {
    await using bench = await startBench(t);
    const stateFolder = join(await temporaryFolder(t), "a file");
    await writeFile(stateFolder, "");
    const driver = createLocalDriver({ clock: systemClock, prober: bench.prober, mountTable, stateFolder });
    const share = bench.share(PLAIN_NAME);
    assert.equal((await mounted(driver, share, "tb")).route, "tb");
    const edited: ShareSpec = { ...share, routes: bench.share(HOSTILE_NAMES[0] ?? "").routes };
    const again = createLocalDriver({ clock: systemClock, prober: bench.prober, mountTable, stateFolder });
    assert.equal((await found(again, edited))[0]?.madeByDriver, false);
  });

  it("a link that another program redirected is not removed", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    await mounted(bench.driver, share, "tb");
    await rm(share.mountPath);
    await symlink("/usr", share.mountPath);
    const [foreign] = await found(bench.driver, share);
    assert.ok(foreign);
    assert.deepEqual([foreign.sameShare, foreign.route, foreign.madeByDriver], [false, null, false]);
    const outcome = await bench.driver.unmount(share, foreign, "force", limits());
    assert.ok(!outcome.ok);
    assert.equal(await readlink(share.mountPath), "/usr");
  });

  it("a folder that appears between the check and the link is not replaced, and reported as the occupant of the path", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const { prober } = bench;
    const late: typeof prober = {
      ...prober,
      async readLink(path, waitMs) {
        const reading = await prober.readLink(path, waitMs);
        await mkdir(path, { recursive: true });
        return reading;
      },
    };
    const stateFolder = await temporaryFolder(t);
    const driver = createLocalDriver({ clock: systemClock, prober: late, mountTable, stateFolder });
    assert.equal(failure(await driver.mount(share, "tb", limits(), staying(share))).reason, "path_taken");
    assert.deepEqual(await readdir(share.mountPath), []);
  });

  it("a route that is a file, or missing, is a failure that leaves nothing", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const none: ShareSpec = {
      ...share,
      routes: { ...share.routes, tb: { ...share.routes.tb, folder: null } },
    };
    assert.equal(failure(await bench.driver.mount(none, "tb", limits(), staying(none))).reason, "other");
    const file = {
      ...share,
      routes: { ...share.routes, tb: { ...share.routes.tb, folder: process.execPath } },
    };
    assert.equal(
      failure(await bench.driver.mount(file, "tb", limits(), staying(file))).reason,
      "unreachable",
    );
    assert.deepEqual(await readdir(join(share.mountPath, "..")), []);
  });
});

describe("a folder below a mount", () => {
  /** A share, the real path of its fast folder, and the paths at which the table shows mounts. */
  async function startMounts(t: TestContext) {
    const bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const folder = bench.behind(share, "tb");
    const mounts = new Set(["/", "/home"]);
    const fstab = join(bench.stateFolder, "fstab");
    const table: MountTable = {
      read: async () =>
        [...mounts].map((path) => ({
          id: path,
          path,
          type: "ext4",
          source: "x",
          options: [],
          deviceMinor: 0,
        })),
    };
    const start = (read = table.read) =>
      createLocalDriver({
        clock: systemClock,
        prober: bench.prober,
        mountTable: { read },
        stateFolder: bench.stateFolder,
        fstab,
      });
    return { share, folder, mounts, fstab, start };
  }
  const gone = (path: string) => ({
    verdict: "gone",
    reason: "link_down",
    text: `nothing is mounted at ${path} now; mount it again, or configure another folder`,
  });
  const there = (path: string) => ({ verdict: "answers", text: `${path} is there` });

  for (const [title, mountOf] of [
    ["itself", (folder: string) => folder],
    ["above it (udisks, an automounter)", dirname],
  ] as const) {
    it(`A6 is a lost route once nothing is mounted at the path ${title}, also after a restart`, async (t) => {
      const { share, folder, mounts, start } = await startMounts(t);
      const driver = start();
      const mount = mountOf(folder);
      assert.deepEqual(await driver.probeFolder?.(share, folder), there(folder), "it is not mounted yet");
      mounts.add(mount);
      assert.deepEqual(await driver.probeFolder?.(share, folder), there(folder));
      await mounted(driver, share, "tb");
      assert.equal((await found(driver, share))[0]?.lost, undefined);
      mounts.delete(mount);
      for (const each of [driver, start()]) {
        assert.deepEqual(await each.probeFolder?.(share, folder), gone(mount));
        const [link = assert.fail()] = await found(each, share);
        assert.equal(link.lost, gone(mount).text);
      }
      const [link = assert.fail()] = await found(driver, share);
      assert.deepEqual(await driver.unmount(share, link, "force", limits()), { ok: true });
      const refused = failure(await driver.mount(share, "tb", limits(), staying(share)));
      assert.deepEqual([refused.reason, refused.text], ["unreachable", gone(mount).text]);
      assert.equal(existsSync(share.mountPath), false);
      mounts.add(mount);
      assert.deepEqual(await driver.probeFolder?.(share, folder), there(folder));
      await mounted(driver, share, "tb");
    });
  }

  it("A6 waits for the mount that fstab names for it (`nofail`), although it was never seen", async (t) => {
    const { share, folder, mounts, fstab, start } = await startMounts(t);
    await writeFile(
      fstab,
      `# disks\nUUID=1 / ext4 defaults\nUUID=2 ${folder}/ ext4 nofail\nUUID=3 none swap sw\n`,
    );
    const driver = start();
    assert.deepEqual(await driver.probeFolder?.(share, folder), gone(folder));
    mounts.add(folder);
    assert.deepEqual(await driver.probeFolder?.(share, folder), there(folder));
  });

  it("A6 is not lost when a link has a new target, or while the table cannot be read", async (t) => {
    const { share, folder, mounts, start } = await startMounts(t);
    mounts.add(folder);
    const driver = start();
    assert.deepEqual(await driver.probeFolder?.(share, folder), there(folder));
    mounts.delete(folder);
    const unread = start(() => Promise.reject(new MountaineerError("driver_unavailable", "no table")));
    assert.deepEqual(await unread.probeFolder?.(share, folder), there(folder));
    await rename(folder, `${folder} moved`);
    await symlink(`${folder} moved`, folder);
    assert.deepEqual(await driver.probeFolder?.(share, folder), there(folder));
    assert.deepEqual(await start().probeFolder?.(share, folder), there(folder));
  });
});
