// Driver `netfs` on mounts that are real: the double of NetFS binds folders where macOS would mount shares, the double
// of getfsstat shows them as macOS would, and the commands that unmount are this system's.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import { loadKoffi } from "../../../../src/network/native/core-foundation-darwin.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { loadNetfs, type NetfsLibraries } from "../../../../src/shares/drivers/netfs/binding.ts";
import { createNetfsDriver, type NetfsTools } from "../../../../src/shares/drivers/netfs/netfs.ts";
import type { NetfsOutcome } from "../../../../src/shares/drivers/netfs/process.ts";
import { mountByNetfs } from "../../../../src/shares/drivers/netfs/process.ts";
import { loadGetfsstat } from "../../../../src/shares/mounts/getfsstat-darwin.ts";
import { createMountTableDarwin } from "../../../../src/shares/mounts/mount-table-darwin.ts";
import type { Prober } from "../../../../src/shares/prober/prober.ts";
import { buildDouble, doublesUnavailable } from "../../../doubles/build-double.ts";
import { eventually } from "../../../support/eventually.ts";
import { fileProber } from "../../../support/file-prober.ts";
import { createRecordingLogger } from "../../../support/recording-logger.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { routeTo } from "../../share-spec.ts";
import { bindingUnavailable, exportShares, HOSTS } from "../bound-shares.ts";
import {
  type DriverBench,
  describeDriver,
  failure,
  found,
  limits,
  mounted,
  staying,
} from "../driver-contract.ts";

const skip = (await doublesUnavailable()) ?? (await bindingUnavailable());

interface NetfsBench extends DriverBench {
  readonly folder: string;
  readonly logged: () => string;
  readonly toolsOf: NetfsTools;
  /** The call by a process of its own, as the daemon makes it. */
  readonly byProcess: NetfsTools["netfs"];
  fresh(tools: Partial<NetfsTools>, prober?: Prober): DriverBench["driver"];
}

const proberOfFile = fileProber({ clock: systemClock, logger: noopLogger });

const NOT_INSTALLED = {
  compareServers: async () => ({ ok: false, code: null, text: "mountaineer-fs is not installed" }) as const,
};

/** `mode`: shares at places that the system names, or on folders of ours. */
async function startBench(t: TestContext, mode: "system" | "own"): Promise<NetfsBench> {
  let unmountAll = async (): Promise<void> => {};
  t.after(() => unmountAll());
  const folder = await temporaryFolder(t);
  const [exports, volumes, own, registry] = ["exports", "Volumes", "own/volumes", "registry"].map((name) =>
    join(folder, name),
  );
  assert.ok(exports && volumes && own && registry);
  await mkdir(volumes);
  await writeFile(registry, "");
  const library = await netfsLibrary;
  const { table, setRegistry } = await tableLibrary;
  setRegistry(registry);
  const [umount, diskutil, removing] = await unmountCommands(folder, volumes);

  const logger = createRecordingLogger();
  const prober = proberOfFile();
  const env = { DOUBLE_EXPORTS: exports, DOUBLE_VOLUMES: volumes, DOUBLE_REGISTRY: registry };
  const libraries = { coreFoundation: library, netfs: library, system: library };
  const tools: NetfsTools = {
    volumes,
    unavailable: () => Promise.resolve(null),
    netfs: await inThisProcess(libraries, env),
    unmountCommands: { umount, diskutil },
  };
  const fresh = (changes: Partial<NetfsTools> = {}, asked: Prober = prober): DriverBench["driver"] =>
    createNetfsDriver({
      clock: systemClock,
      logger,
      prober: asked,
      mountTable: createMountTableDarwin({ clock: systemClock, load: () => loadGetfsstat(table) }),
      addressesOf: () => [],
      ...{ stateFolder: folder, commands: NOT_INSTALLED },
      tools: { ...tools, ...changes },
    });
  const shares = await exportShares(exports, (name) => ({
    folder,
    driver: "netfs",
    password: "secret",
    routes: { tb: routeTo(HOSTS.tb), fallback: routeTo(HOSTS.fallback) },
    mountPath: join(mode === "system" ? volumes : own, name),
  }));
  const driver = fresh();
  unmountAll = async () => {
    await shares.unmountAll(driver);
    setRegistry("");
    await eventually(async () => (await readdir(removing)).length === 0);
  };
  return {
    driver,
    prober,
    folder,
    logged: () => JSON.stringify(logger.lines),
    toolsOf: tools,
    byProcess: (request, options) => mountByNetfs(request, { ...options, libraries, env }),
    fresh,
    freshDriver: () => fresh(),
    ...shares,
    async [Symbol.asyncDispose]() {},
  };
}

/**
 * `umount` and `diskutil`, after which the folder in /Volumes is removed as diskarbitrationd does it: 300 ms late, and
 * until then only by root, which an immutable folder is for root itself.
 */
async function unmountCommands(folder: string, volumes: string): Promise<readonly [string, string, string]> {
  const removing = join(folder, "removing");
  await mkdir(removing);
  const late = `for path; do :; done
case $path in '${volumes}'/*)
  touch '${removing}'/$$
  chattr +i "$path" 2>/dev/null
  (sleep 0.3; chattr -i "$path" 2>/dev/null; rmdir "$path"; rm '${removing}'/$$) >/dev/null 2>&1 & ;;
esac
`;
  const umount = join(folder, "umount");
  await writeFile(umount, `#!/bin/sh\numount "$@" || exit\n${late}`);
  const diskutil = join(folder, "diskutil");
  await writeFile(
    diskutil,
    `#!/bin/sh\n[ "$1 $2" = "unmount force" ] || exit 1\numount -l -- "$3" || exit\n${late}`,
  );
  for (const path of [umount, diskutil]) await chmod(path, 0o755);
  return [umount, diskutil, removing];
}

/** The call without the process around it, whose start costs more than the call. */
async function inThisProcess(
  libraries: NetfsLibraries,
  env: Readonly<Record<string, string>>,
): Promise<NetfsTools["netfs"]> {
  Object.assign(process.env, env);
  const call = await loadNetfs(libraries);
  return async (request) => {
    // What is awaited from another thread keeps no process alive.
    const alive = setInterval(() => {}, 60_000);
    try {
      return { kind: "called", ...(await call(request).answer) };
    } finally {
      clearInterval(alive);
    }
  };
}

/** Runs `work` while root may not remove the folder either. Skips the rest of the test where that cannot be. */
async function whileImmutable(t: TestContext, path: string, work: () => Promise<void>): Promise<void> {
  const run = promisify(execFile);
  try {
    await run("chattr", ["+i", path]);
  } catch {
    return t.skip("chattr is not supported here");
  }
  try {
    await work();
  } finally {
    await run("chattr", ["-i", path]);
  }
}

const tableLibrary = (async () => {
  const table = skip === null ? await buildDouble("getfsstat.c") : "";
  // Held to the end: a library that nobody refers to is unloaded, and what it was told goes with it.
  const library = skip === null ? (await loadKoffi()).load(table) : null;
  const setRegistry = library?.func("void double_registry(const char *)") ?? (() => {});
  return { table, setRegistry };
})();
const netfsLibrary = skip === null ? buildDouble("core-foundation.c", "netfs.c") : Promise.resolve("");

describeDriver("netfs, at /Volumes", skip, (t) => startBench(t, "system"));
describeDriver("netfs, on folders of ours", skip, (t) => startBench(t, "own"));

describe("driver netfs", { skip: skip ?? false }, () => {
  const answers = (outcome: NetfsOutcome): Partial<NetfsTools> => ({ netfs: () => Promise.resolve(outcome) });

  it("a mount that macOS makes at another path than ours is undone, with the reason", async (t) => {
    const bench = await startBench(t, "system");
    const share = bench.share("CORE");
    // Made between our look and macOS's: what is in the way there makes a twin.
    const driver = bench.fresh({
      netfs: async (request, options) => {
        await mkdir(join(share.mountPath, "theirs"), { recursive: true });
        return bench.byProcess(request, options);
      },
    });
    const failed = failure(await driver.mount(share, "tb", limits(), staying(share)));
    assert.equal(failed.reason, "path_taken");
    assert.match(failed.text, /CORE-1/);
    assert.deepEqual(await found(driver, share), []);
  });

  it("A2 over a folder that macOS removes late the share is mounted at once; over one that stays it is not, and the fix is reported", async (t) => {
    const bench = await startBench(t, "system");
    const share = bench.share("CORE");
    const volumes = join(bench.folder, "Volumes");
    for (const route of ["tb", "fallback", "tb"] as const) {
      const mount = await mounted(bench.driver, share, route);
      assert.equal(mount.path, share.mountPath);
      assert.deepEqual(await bench.driver.unmount(share, mount, "plain", limits()), { ok: true });
      assert.deepEqual(await readdir(volumes), ["CORE"], "its folder is still there");
    }
    await eventually(async () => (await readdir(volumes)).length === 0);
    await mkdir(share.mountPath);
    await whileImmutable(t, share.mountPath, async () => {
      const failed = failure(await bench.driver.mount(share, "tb", limits(), staying(share)));
      assert.equal(failed.reason, "path_taken");
      assert.match(failed.text, /left behind: sudo rmdir \S+CORE .*mount_root/);
      const controller = new AbortController();
      const waiting = bench.driver.mount(
        share,
        "tb",
        { deadlineMs: 60_000, signal: controller.signal },
        staying(share),
      );
      setTimeout(() => controller.abort(), 100);
      assert.equal(failure(await waiting).reason, "other", "a cancelled one does not wait");
    });
  });

  it("a mount whose name differs in case is found to occupy the path, and is never entered", async (t) => {
    const bench = await startBench(t, "system");
    const share = bench.share("CORE");
    const theirs = { path: join(bench.folder, "Volumes", "Core"), source: "//ann@elsewhere/other" };
    // A file in the place of the mount: whoever looks at the path itself says so.
    await writeFile(share.mountPath, "");
    const driver = createNetfsDriver({
      clock: systemClock,
      logger: noopLogger,
      prober: bench.prober,
      mountTable: {
        read: () => Promise.resolve([{ id: "1", type: "smbfs", options: [], deviceMinor: 0, ...theirs }]),
      },
      ...{ addressesOf: () => [], stateFolder: bench.folder, commands: NOT_INSTALLED },
      tools: bench.toolsOf,
    });
    const failed = failure(await driver.mount(share, "tb", limits(), staying(share)));
    assert.deepEqual([failed.reason, /a mount of .*elsewhere/.test(failed.text)], ["path_taken", true]);
    const [mount] = await found(driver, share);
    assert.deepEqual([mount?.path, mount?.sameShare, mount?.madeByDriver], [share.mountPath, false, false]);
  });

  it("an existing mount is adopted, at its own path, and never undone", async (t) => {
    const bench = await startBench(t, "system");
    const [share, twin] = [bench.share("CORE"), bench.share("My Share")];
    await mounted(bench.driver, share, "tb");
    const elsewhere = { ...share, name: "OTHER", mountPath: join(bench.folder, "own/volumes/OTHER") };
    const driver = bench.fresh(answers({ kind: "called", status: 17, mountPoints: [share.mountPath] }));
    const outcome = await driver.mount(elsewhere, "tb", limits(), staying(elsewhere));
    assert.ok(outcome.ok && outcome.adopted);
    assert.equal(outcome.mount.path, share.mountPath);
    assert.equal((await found(driver, share)).length, 1);
    assert.deepEqual(await readdir(join(bench.folder, "own/volumes")), []);
    assert.deepEqual(await found(driver, twin), []);
  });

  for (const [answer, reason] of [
    ["that it is done", "path_taken"],
    ["too late", "timed_out"],
  ] as const) {
    it(`another share that has since been mounted at its path is not mistaken for it, and stays: macOS says ${answer}`, async (t) => {
      const bench = await startBench(t, "own");
      const [share, other] = [bench.share("CORE"), bench.share("My Share")];
      const there = { ...other, mountPath: share.mountPath };
      const driver = bench.fresh({
        netfs: async () => {
          await mounted(bench.driver, there, "tb");
          return reason === "timed_out"
            ? { kind: reason, text: "late" }
            : { kind: "called", status: 0, mountPoints: [there.mountPath] };
        },
      });
      const failed = failure(await driver.mount(share, "tb", limits(), staying(share)));
      assert.equal(failed.reason, reason, failed.text);
      assert.equal((await found(bench.driver, there)).length, 1);
    });
  }

  it("a status is reported as its reason and names the source; no folder and no part of the password is left behind", async (t) => {
    const bench = await startBench(t, "own");
    for (const [status, reason, says] of [
      [80, "wrong_credentials", /password is wrong \(80\); give the share/],
      [2, "no_such_share", /no such share \(2\)/],
      [65, "unreachable", /no route to the server \(65\); .*Local Network/],
      [13, "permission_denied", /\(13\)/],
      [17, "path_taken", /one address/],
    ] as const) {
      const driver = bench.fresh(answers({ kind: "called", status, mountPoints: [] }));
      const failed = failure(
        await driver.mount(bench.share("CORE"), "tb", limits(), staying(bench.share("CORE"))),
      );
      assert.equal(failed.reason, reason, String(status));
      assert.match(failed.text, says);
      assert.match(failed.text, /^\/\/tb\.test\/CORE: /);
      assert.deepEqual(await readdir(join(bench.folder, "own/volumes")), []);
    }
    assert.ok(!bench.logged().includes("secret"));
  });

  it("where NetFS cannot be called the driver is unavailable", async (t) => {
    const bench = await startBench(t, "own");
    const driver = bench.fresh(answers({ kind: "unavailable", text: "no koffi" }));
    const failed = failure(
      await driver.mount(bench.share("CORE"), "fallback", limits(), staying(bench.share("CORE"))),
    );
    assert.equal(failed.reason, "driver_unavailable");
    assert.match(failed.text, /no koffi/);
  });

  for (const [what, end, reason] of [
    ["comes after its deadline", async () => ({ kind: "timed_out", text: "late" }) as const, "timed_out"],
    ["was made by a call that failed", async () => Promise.reject(new Error("broken")), "other"],
  ] as const) {
    it(`a mount that ${what} is removed again`, async (t) => {
      const bench = await startBench(t, "own");
      const share = bench.share("CORE");
      const driver = bench.fresh({
        netfs: async (request, options) => {
          await bench.toolsOf.netfs(request, options);
          return end();
        },
      });
      assert.equal(failure(await driver.mount(share, "tb", limits(), staying(share))).reason, reason);
      assert.deepEqual(await found(driver, share), []);
    });
  }

  it("the folder of a mount at a path that is not the share's stays", async (t) => {
    const bench = await startBench(t, "own");
    const share = bench.share("CORE");
    const elsewhere = { ...share, name: "OTHER", mountPath: join(bench.folder, "own/volumes/OTHER") };
    await mounted(bench.driver, elsewhere, "tb");
    const [mount] = await found(bench.driver, share);
    assert.ok(mount !== undefined && mount.path === elsewhere.mountPath);
    assert.deepEqual(await bench.driver.unmount(share, mount, "plain", limits()), { ok: true });
    assert.deepEqual(await readdir(join(bench.folder, "own/volumes")), ["OTHER"]);
  });

  it("A2 mounts of one server come one after another", async (t) => {
    const bench = await startBench(t, "own");
    let underWay = 0;
    let most = 0;
    const driver = bench.fresh({
      netfs: async (request, options) => {
        underWay += 1;
        most = Math.max(most, underWay);
        const outcome = await bench.toolsOf.netfs(request, options);
        underWay -= 1;
        return outcome;
      },
    });
    const shares = [bench.share("CORE"), bench.share("My Share"), bench.share("Größe 日本")];
    const outcomes = await Promise.all(
      shares.map((share) => driver.mount(share, "tb", limits(), staying(share))),
    );
    assert.ok(outcomes.every(({ ok }) => ok));
    assert.equal(most, 1);
  });

  it("A2 a mount that does not answer yet is made all the same: a dialog may wait for its person", async (t) => {
    const bench = await startBench(t, "own");
    const silent: Prober = {
      ...bench.prober,
      checkMount: async () => ({ state: "pending", startedAtMs: 0 }),
    };
    const driver = bench.fresh({}, silent);
    const share = bench.share("CORE");
    const outcome = await driver.mount(share, "tb", limits(), staying(share));
    assert.ok(outcome.ok && !outcome.adopted);
    assert.equal(driver.mayWaitForPermission, true);
    assert.equal((await found(bench.driver, share)).length, 1);
    assert.match(bench.logged(), /does not answer yet/);
  });

  it("A2 an unreadable mount is reported with the missing permission, even to a daemon below its supervisor", async (t) => {
    const bench = await startBench(t, "own");
    const denied: Prober = {
      ...bench.prober,
      checkMount: async () => ({ state: "answered", startedAtMs: 0, finishedAtMs: 0, errno: "EPERM" }),
    };
    process.env["XPC_SERVICE_NAME"] = "io.github.mountaineer";
    t.after(() => delete process.env["XPC_SERVICE_NAME"]);
    await mounted(bench.fresh({}, denied), bench.share("CORE"), "tb");
    assert.match(bench.logged(), /Network Volumes/);
  });

  it("on a system without NetFS it is unavailable, with the fix", async (t) => {
    const bench = await startBench(t, "own");
    const real = createNetfsDriver({
      clock: systemClock,
      logger: createRecordingLogger(),
      prober: bench.prober,
      mountTable: createMountTableDarwin({ clock: systemClock, load: () => Promise.resolve(() => []) }),
      ...{ addressesOf: () => [], stateFolder: bench.folder, commands: NOT_INSTALLED },
    });
    assert.match((await real.missingRequirement())?.hint ?? "", /leave the key driver out/);
    assert.equal(
      failure(await real.mount(bench.share("CORE"), "tb", limits(), staying(bench.share("CORE")))).reason,
      "driver_unavailable",
    );
  });
});
