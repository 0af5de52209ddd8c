// The contract that every mount driver keeps; each driver's test runs it on real parts.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, lstatSync } from "node:fs";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import type {
  FoundMount,
  MountDriver,
  MountOutcome,
  MountPlan,
  StepLimits,
} from "../../../src/shares/drivers/mount-driver.ts";
import type { Prober } from "../../../src/shares/prober/prober.ts";
import { typedSignIn } from "../../../src/shares/program/sign-in.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../../../src/shares/share-spec.ts";
import { eventually } from "../../support/eventually.ts";
import { programMissing } from "../../sync/programs.ts";

export interface DriverBench extends AsyncDisposable {
  readonly driver: MountDriver;
  readonly prober: Prober;
  /** As after a restart: the same folders, nothing remembered. */
  freshDriver(): MountDriver;
  share(name: string): ShareSpec;
  /** The folder on the server's disk that a route of the share shows. */
  behind(share: ShareSpec, route: RouteName): string;
  /** From now on nothing answers on that route. */
  cut(share: ShareSpec, route: RouteName): Promise<void>;
}

export const PLAIN_NAME = "CORE";
export const HOSTILE_NAMES = ["My Share", "Größe 日本", `it's "so", they say`];
export const NAMES = [PLAIN_NAME, ...HOSTILE_NAMES];

/** The default is for what is expected to end well long before. */
export function limits(deadlineMs = 60_000): StepLimits {
  return { deadlineMs, signal: new AbortController().signal };
}

/** How a mount is made that stays on its route. */
export function staying(share: ShareSpec): MountPlan {
  const { routes } = share;
  const endpoints = Object.fromEntries(
    ROUTE_NAMES.flatMap((name) => {
      const { host: address, port, interfaceName } = routes[name];
      return address === null ? [] : [[name, { address, port, interfaceName }]];
    }),
  );
  const plain = { moves: false, onlyOn: false, logInNow: false, newServer: false };
  return { ...plain, signIn: typedSignIn(share, endpoints), allowed: ROUTE_NAMES, patienceMs: 3_000 };
}

export async function mounted(driver: MountDriver, share: ShareSpec, route: RouteName): Promise<FoundMount> {
  const outcome = await driver.mount(share, route, limits(), staying(share));
  assert.ok(outcome.ok, outcome.ok ? "" : `${outcome.reason}: ${outcome.text}`);
  return outcome.mount;
}

export function failure(outcome: MountOutcome): Extract<MountOutcome, { ok: false }> {
  assert.ok(!outcome.ok, "it mounted");
  return outcome;
}

export const found = (driver: MountDriver, share: ShareSpec): Promise<readonly FoundMount[]> =>
  driver.find(share, systemClock.monotonicMs());

/** For tests with a `holder`. */
export const needsHolder = { skip: (await programMissing("python3")) ?? false };

/** A program that holds something, and tells when it does. */
export async function holder(
  t: TestContext,
  program: string,
  args: readonly string[],
  cwd = "/",
): Promise<ChildProcess> {
  const child = spawn(
    "python3",
    ["-c", `${program}\nprint("ready", flush=True)\nimport time\ntime.sleep(600)`, ...args],
    {
      cwd,
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  t.after(() => release(child));
  assert.ok(child.stdout);
  await once(child.stdout, "data");
  return child;
}

export async function release(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

const HOLDS: readonly (readonly [how: string, program: string, inside: boolean])[] = [
  ["a descriptor", "import sys\nf=open(sys.argv[1])", false],
  ["a working folder", "", true],
  [
    "a mapped file",
    "import sys,mmap,os\nfd=os.open(sys.argv[1],os.O_RDONLY)\nm=mmap.mmap(fd,0,prot=mmap.PROT_READ)\nos.close(fd)",
    false,
  ],
];

export function describeDriver(
  name: string,
  skip: string | null,
  start: (t: TestContext) => Promise<DriverBench>,
): void {
  describe(`the contract of drivers: ${name}`, { skip: skip ?? false }, () => {
    it("shares of any name are mounted side by side, found, read, written and unmounted, and touch no other", async (t) => {
      await using bench = await start(t);
      const { driver, prober } = bench;
      const standing = await Promise.all(
        NAMES.map(async (shareName, index) => {
          const share = bench.share(shareName);
          const route = index % 2 === 0 ? "tb" : "fallback";
          const behind = bench.behind(share, route);
          assert.deepEqual(await found(driver, share), []);
          await writeFile(join(behind, "theirs"), `from the server of ${shareName}`);
          const mount = await mounted(driver, share, route);
          assert.deepEqual([mount.path, mount.route, mount.sameShare], [share.mountPath, route, true]);
          assert.deepEqual([mount.processGone, mount.madeByDriver], [false, true]);
          const check = await prober.checkMount(mount.id, mount.path, 60_000);
          assert.ok(check.state === "answered" && check.errno === null);
          const theirs = await readFile(join(share.mountPath, "theirs"), "utf8");
          assert.equal(theirs, `from the server of ${shareName}`);
          await writeFile(join(share.mountPath, "ours"), shareName);
          await eventually(async () => (await readFile(join(behind, "ours"), "utf8")) === shareName);
          return { share, mount, behind };
        }),
      );
      for (const [index, { share, mount, behind }] of standing.entries()) {
        for (const other of standing.slice(index))
          assert.deepEqual(await found(driver, other.share), [other.mount]);
        const mode = index === 0 ? "force" : "plain";
        assert.deepEqual(await driver.unmount(share, mount, mode, limits()), { ok: true });
        assert.deepEqual(await found(driver, share), []);
        assert.deepEqual((await readdir(behind)).sort(), ["ours", "theirs"]);
      }
    });

    it("a mount made before a restart is adopted and ended by the next driver; each later one shows its own route, under another id", async (t) => {
      await using bench = await start(t);
      const share = bench.share(PLAIN_NAME);
      for (const route of ROUTE_NAMES) await writeFile(join(bench.behind(share, route), "file"), "content");
      const first = await mounted(bench.driver, share, "fallback");
      const later = bench.freshDriver();
      const [seen] = await found(later, share);
      assert.ok(seen);
      assert.deepEqual({ ...seen, id: first.id }, first);
      const again = await later.mount(share, "tb", limits(), staying(share));
      assert.ok(again.ok && again.adopted);
      assert.equal(again.mount.route, "fallback", "what is there is told, not what was asked for");
      assert.equal((await found(later, share)).length, 1);
      const own = await later.ownProcesses(share, seen);
      // Ids are one driver's own.
      const ids = new Set([seen.id]);
      let mount = seen;
      for (const route of ["tb", "fallback"] as const) {
        assert.deepEqual(await later.unmount(share, mount, "plain", limits()), { ok: true });
        assert.deepEqual(await found(later, share), []);
        mount = await mounted(later, share, route);
        assert.equal(mount.route, route);
        ids.add(mount.id);
        assert.equal(await readFile(join(share.mountPath, "file"), "utf8"), "content");
      }
      assert.equal(ids.size, 3);
      for (const pid of own) await eventually(() => !existsSync(`/proc/${pid}`));
      // What is gone is unmounted already; another mount at its path is not it.
      for (const mode of ["force", "plain"] as const)
        assert.deepEqual(await later.unmount(share, seen, mode, limits()), { ok: true });
      assert.deepEqual(await found(later, share), [mount]);
      for (let times = 0; times < 2; times++)
        assert.deepEqual(await later.unmount(share, mount, "plain", limits()), { ok: true });
    });

    it("A6 a mount stays its share's own, and is unmounted at its place, when path, name and hosts were edited at once", async (t) => {
      await using bench = await start(t);
      const { driver } = bench;
      const share = bench.share(PLAIN_NAME);
      const mount = await mounted(driver, share, "tb");
      const other = bench.share(HOSTILE_NAMES[0] ?? "");
      const nowhere = { ...other.routes.tb, port: 1 };
      const edited: ShareSpec = {
        ...{ ...other, name: share.name, routes: { tb: nowhere, fallback: nowhere } },
        mountPath: join(dirname(share.mountPath), "elsewhere", share.name),
      };
      const [left, ...more] = await found(driver, edited);
      assert.ok(left);
      assert.deepEqual([left.id, left.path, more], [mount.id, mount.path, []]);
      assert.deepEqual([left.sameShare, left.madeByDriver, left.route], [true, true, null]);
      assert.deepEqual(await driver.unmount(edited, left, "plain", limits()), { ok: true });
      assert.deepEqual(await found(driver, edited), []);
      assert.deepEqual(await found(driver, share), []);
    });

    it(
      "A7 an open file, a mapped file and a working folder each block a plain unmount, and are listed; a forced one proceeds, and closed files block nothing",
      needsHolder,
      async (t) => {
        await using bench = await start(t);
        const { driver, prober } = bench;
        const share = bench.share(PLAIN_NAME);
        for (const route of ROUTE_NAMES)
          await writeFile(join(bench.behind(share, route), "held"), "x".repeat(8192));
        const mount = await mounted(driver, share, "tb");
        const hold = ([, program, inside]: (typeof HOLDS)[number]): Promise<ChildProcess> =>
          holder(t, program, [join(share.mountPath, "held")], inside ? share.mountPath : "/");
        for (const each of HOLDS) {
          const child = await hold(each);
          const refused = await driver.unmount(share, mount, "plain", limits());
          assert.ok(!refused.ok, each[0]);
          assert.equal(refused.reason, "busy", each[0]);
          assert.deepEqual(await found(driver, share), [mount], "nothing was changed");
          // On a busy machine the prober may have been given up, and this question with it: the next one is answered.
          const files = await eventually(async () => {
            const own = [process.pid, ...prober.pids, ...(await driver.ownProcesses(share, mount))];
            const [answer] = await prober.openFiles([driver.openFilesPath(mount)], own, 60_000);
            assert.ok(answer?.ok);
            return answer.files;
          });
          assert.deepEqual([...new Set(files.map(({ pid }) => pid))], [child.pid], each[0]);
          await release(child);
        }
        const cutOff = await Promise.all(HOLDS.map(hold));
        assert.deepEqual(await driver.unmount(share, mount, "force", limits()), { ok: true });
        assert.deepEqual(await found(driver, share), []);
        const over = await mounted(driver, share, "fallback");
        for (const child of cutOff) await release(child);
        assert.deepEqual(await found(driver, share), [over], "the old one's end does not touch the new one");
        for (const each of HOLDS) await release(await hold(each));
        assert.deepEqual(await driver.unmount(share, over, "plain", limits()), { ok: true });
      },
    );

    it("a mount over a route that is cut fails, leaves nothing, and may be tried again over the other", async (t) => {
      await using bench = await start(t);
      const share = bench.share(PLAIN_NAME);
      await bench.cut(share, "tb");
      const failed = failure(await bench.driver.mount(share, "tb", limits(), staying(share)));
      assert.ok(failed.reason === "refused" || failed.reason === "unreachable", failed.reason);
      assert.deepEqual(await found(bench.driver, share), []);
      assert.equal((await mounted(bench.driver, share, "fallback")).route, "fallback");
    });

    it("a cancelled step mounts nothing; a file, a foreign link and a non-empty folder are never mounted over and stay unchanged; an empty folder is used", async (t) => {
      await using bench = await start(t);
      const { driver } = bench;
      const share = bench.share(PLAIN_NAME);
      const path = share.mountPath;
      failure(await driver.mount(share, "tb", { ...limits(), signal: AbortSignal.abort() }, staying(share)));
      assert.deepEqual(await found(driver, share), []);
      for (const make of [
        () => writeFile(path, "mine"),
        () => symlink("/usr", path),
        () => mkdir(join(path, "mine"), { recursive: true }),
      ]) {
        await mkdir(dirname(path), { recursive: true });
        await make();
        const before = lstatSync(path);
        const failed = failure(await driver.mount(share, "tb", limits(), staying(share)));
        assert.equal(failed.reason, "path_taken", failed.text);
        assert.equal(lstatSync(path).ino, before.ino);
        assert.ok((await found(driver, share)).every(({ sameShare }) => !sameShare));
        await rm(path, { recursive: true });
      }
      await mkdir(path);
      await mounted(driver, share, "tb");
    });
  });
}
