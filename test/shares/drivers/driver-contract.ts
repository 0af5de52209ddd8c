// The contract that every mount driver keeps; each driver's test runs it on real parts.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, lstatSync } from "node:fs";
import { mkdir, readdir, readFile, rmdir, symlink, unlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import type {
  FoundMount,
  MountDriver,
  MountOutcome,
  StepLimits,
} from "../../../src/shares/drivers/mount-driver.ts";
import type { Prober } from "../../../src/shares/prober/prober.ts";
import { otherRoute, type RouteName, type ShareSpec } from "../../../src/shares/share-spec.ts";
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

/** The default is for what is expected to end well long before. */
export function limits(deadlineMs = 60_000): StepLimits {
  return { deadlineMs, signal: new AbortController().signal };
}

export async function mounted(driver: MountDriver, share: ShareSpec, route: RouteName): Promise<FoundMount> {
  const outcome = await driver.mount(share, route, limits());
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
    for (const shareName of [PLAIN_NAME, ...HOSTILE_NAMES]) {
      it(`a share named ${JSON.stringify(shareName)} is mounted, found, read, written and unmounted`, async (t) => {
        await using bench = await start(t);
        const { driver, prober } = bench;
        const share = bench.share(shareName);
        assert.deepEqual(await found(driver, share), []);
        await writeFile(join(bench.behind(share, "tb"), "theirs"), "from the server");
        const mount = await mounted(driver, share, "tb");
        assert.deepEqual(await found(driver, share), [mount]);
        assert.deepEqual([mount.path, mount.route, mount.sameShare], [share.mountPath, "tb", true]);
        assert.deepEqual([mount.processGone, mount.madeByDriver], [false, true]);
        const look = await prober.look(mount.id, mount.path, 60_000);
        assert.ok(look.state === "answered" && look.errno === null);
        assert.equal(await readFile(join(share.mountPath, "theirs"), "utf8"), "from the server");
        await writeFile(join(share.mountPath, "ours"), "to the server");
        await eventually(async () => {
          return (await readFile(join(bench.behind(share, "tb"), "ours"), "utf8")) === "to the server";
        });
        await eventually(async () => (await driver.unsent(share)).length === 0);
        assert.deepEqual(await driver.unmount(share, mount, "plain", limits()), { ok: true });
        assert.deepEqual(await found(driver, share), []);
        assert.deepEqual((await readdir(bench.behind(share, "tb"))).sort(), ["ours", "theirs"]);
      });
    }

    it("a mount made before a restart is found, adopted and ended by who comes after", async (t) => {
      await using bench = await start(t);
      const share = bench.share(PLAIN_NAME);
      const first = await mounted(bench.driver, share, "fallback");
      const later = bench.freshDriver();
      const [seen] = await found(later, share);
      assert.ok(seen);
      assert.deepEqual({ ...seen, id: first.id }, first);
      const again = await later.mount(share, "tb", limits());
      assert.ok(again.ok && again.adopted);
      assert.equal(again.mount.route, "fallback", "what is there is told, not what was asked for");
      assert.equal((await found(later, share)).length, 1);
      const own = await later.ownProcesses(share, seen);
      assert.deepEqual(await later.unmount(share, seen, "plain", limits()), { ok: true });
      assert.deepEqual(await found(later, share), []);
      for (const pid of own) await eventually(() => !existsSync(`/proc/${pid}`));
    });

    it("the same path shows the other route after a switch, under another id", async (t) => {
      await using bench = await start(t);
      const share = bench.share(PLAIN_NAME);
      await writeFile(join(bench.behind(share, "tb"), "file"), "content");
      await writeFile(join(bench.behind(share, "fallback"), "file"), "content");
      let mount = await mounted(bench.driver, share, "tb");
      const ids = new Set([mount.id]);
      for (const route of ["fallback", "tb", "fallback"] as const) {
        assert.deepEqual(await bench.driver.unmount(share, mount, "plain", limits()), { ok: true });
        mount = await mounted(bench.driver, share, route);
        assert.equal(mount.route, route);
        ids.add(mount.id);
        assert.equal(await readFile(join(share.mountPath, "file"), "utf8"), "content");
      }
      assert.equal(ids.size, 4);
    });

    for (const [how, program, inside] of HOLDS) {
      it(
        `A7 ${how} keeps a plain unmount from it, and shows; a forced one goes on`,
        needsHolder,
        async (t) => {
          await using bench = await start(t);
          const { driver, prober } = bench;
          const share = bench.share(PLAIN_NAME);
          await writeFile(join(bench.behind(share, "tb"), "held"), "x".repeat(8192));
          const mount = await mounted(driver, share, "tb");
          const child = await holder(
            t,
            program,
            [join(share.mountPath, "held")],
            inside ? share.mountPath : "/",
          );
          const refused = await driver.unmount(share, mount, "plain", limits());
          assert.ok(!refused.ok);
          assert.equal(refused.reason, "busy");
          assert.deepEqual(await found(driver, share), [mount], "nothing was changed");
          // On a busy machine the prober may have been given up, and this question with it: the next one is answered.
          const files = await eventually(async () => {
            const own = [process.pid, ...prober.pids, ...(await driver.ownProcesses(share, mount))];
            const [answer] = await prober.openFiles([driver.openFilesPath(mount)], own, 60_000);
            assert.ok(answer?.ok);
            return answer.files;
          });
          assert.deepEqual([...new Set(files.map(({ pid }) => pid))], [child.pid]);
          await release(child);
          const second = await holder(
            t,
            program,
            [join(share.mountPath, "held")],
            inside ? share.mountPath : "/",
          );
          assert.deepEqual(await driver.unmount(share, mount, "force", limits()), { ok: true });
          assert.deepEqual(await found(driver, share), []);
          const over = await mounted(driver, share, "fallback");
          await release(second);
          assert.deepEqual(
            await found(driver, share),
            [over],
            "the old one's end does not touch the new one",
          );
        },
      );
    }

    it("closed files do not keep it", needsHolder, async (t) => {
      await using bench = await start(t);
      const share = bench.share(PLAIN_NAME);
      await writeFile(join(bench.behind(share, "tb"), "held"), "x");
      const mount = await mounted(bench.driver, share, "tb");
      const child = await holder(t, "import sys\nf=open(sys.argv[1])", [join(share.mountPath, "held")]);
      await release(child);
      assert.deepEqual(await bench.driver.unmount(share, mount, "plain", limits()), { ok: true });
    });

    it("a mount over a route that is cut fails, leaves nothing, and may be tried again over the other", async (t) => {
      await using bench = await start(t);
      const share = bench.share(PLAIN_NAME);
      await bench.cut(share, "tb");
      const failed = failure(await bench.driver.mount(share, "tb", limits()));
      assert.ok(failed.reason === "refused" || failed.reason === "unreachable", failed.reason);
      assert.deepEqual(await found(bench.driver, share), []);
      assert.equal((await mounted(bench.driver, share, "fallback")).route, "fallback");
    });

    for (const [what, make, remove] of [
      ["a file", (path: string) => writeFile(path, "mine"), unlink],
      ["somebody's link", (path: string) => symlink("/usr", path), unlink],
      [
        "a folder with something in it",
        (path: string) => mkdir(join(path, "mine"), { recursive: true }),
        async (path: string) => {
          await rmdir(join(path, "mine"));
          await rmdir(path);
        },
      ],
    ] as const) {
      it(`nothing is mounted over ${what}, and it stays as it is`, async (t) => {
        await using bench = await start(t);
        const share = bench.share(PLAIN_NAME);
        await mkdir(dirname(share.mountPath), { recursive: true });
        await make(share.mountPath);
        const before = lstatSync(share.mountPath);
        const failed = failure(await bench.driver.mount(share, "tb", limits()));
        assert.equal(failed.reason, "path_taken", failed.text);
        assert.equal(lstatSync(share.mountPath).ino, before.ino);
        assert.ok((await found(bench.driver, share)).every(({ sameShare }) => !sameShare));
        await remove(share.mountPath);
        await mounted(bench.driver, share, "tb");
      });
    }

    it("an empty folder at its path is taken; a missing mount_root is made", async (t) => {
      await using bench = await start(t);
      const share = bench.share(PLAIN_NAME);
      await mkdir(share.mountPath, { recursive: true });
      await mounted(bench.driver, share, "tb");
    });

    it("unmounting what is gone is done already", async (t) => {
      await using bench = await start(t);
      const share = bench.share(PLAIN_NAME);
      const mount = await mounted(bench.driver, share, "tb");
      assert.deepEqual(await bench.driver.unmount(share, mount, "plain", limits()), { ok: true });
      for (const mode of ["plain", "force"] as const) {
        assert.deepEqual(await bench.driver.unmount(share, mount, mode, limits()), { ok: true });
      }
      const next = await mounted(bench.driver, share, otherRoute("tb"));
      assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
      assert.deepEqual(await found(bench.driver, share), [next], "another mount at its path is not it");
    });

    it("two shares do not touch each other", async (t) => {
      await using bench = await start(t);
      const [one, other] = [bench.share(PLAIN_NAME), bench.share(HOSTILE_NAMES[0] ?? "")];
      const [first, second] = await Promise.all([
        mounted(bench.driver, one, "tb"),
        mounted(bench.driver, other, "fallback"),
      ]);
      assert.deepEqual(await bench.driver.unmount(one, first, "force", limits()), { ok: true });
      assert.deepEqual(await found(bench.driver, one), []);
      assert.deepEqual(await found(bench.driver, other), [second]);
      assert.equal((await readdir(other.mountPath)).length, 0);
    });

    it("a cancelled step mounts nothing", async (t) => {
      await using bench = await start(t);
      const share = bench.share(PLAIN_NAME);
      failure(await bench.driver.mount(share, "tb", { ...limits(), signal: AbortSignal.abort() }));
      assert.deepEqual(await found(bench.driver, share), []);
    });
  });
}
