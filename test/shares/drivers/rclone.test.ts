// The rclone driver on a real SMB server: the contract of all drivers, every way a mount dies, every way it fails.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { appendFile, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { missingForPlainRig, type PlainRig, startPlainRig } from "../../../src/demo/plain-rig.ts";
import { runCommand } from "../../../src/runtime/child-process.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { silentLogger } from "../../../src/runtime/log.ts";
import { createRcloneDriver } from "../../../src/shares/drivers/rclone.ts";
import { rcloneFiles } from "../../../src/shares/drivers/rclone-files.ts";
import { listRcloneMounts } from "../../../src/shares/drivers/rclone-processes.ts";
import { createMountTable } from "../../../src/shares/mount-table.ts";
import { startProber } from "../../../src/shares/prober-process.ts";
import type { RouteName, ShareSpec } from "../../../src/shares/share-spec.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import {
  type DriverBench,
  describeDriver,
  failure,
  found,
  HOSTILE_NAMES,
  holder,
  limits,
  mounted,
  PLAIN_NAME,
  release,
} from "./driver-contract.ts";

interface RcloneBench extends DriverBench {
  readonly rig: PlainRig;
  readonly folder: string;
  readonly stateFolder: string;
}

async function startBench(t: TestContext): Promise<RcloneBench> {
  const folder = await temporaryFolder(t);
  const stateFolder = join(folder, "home");
  const rig = await startPlainRig({ shares: [PLAIN_NAME, ...HOSTILE_NAMES] });
  const prober = startProber({ clock: systemClock, logger: silentLogger, lookDeadlineMs: 500 });
  const mountTable = createMountTable({ clock: systemClock });
  const fresh = () =>
    createRcloneDriver({
      clock: systemClock,
      logger: silentLogger,
      prober,
      mountTable,
      stateFolder,
      addressesOf: (host) => (host === "nas.test" ? ["127.0.0.2"] : []),
    });
  const route = (host: string, port: number) => ({ host, port, interfaceName: null, folder: null });
  const shares: ShareSpec[] = [];
  return {
    driver: fresh(),
    prober,
    rig,
    folder,
    stateFolder,
    freshDriver: fresh,
    share(name) {
      const share: ShareSpec = {
        name,
        shareName: name,
        username: rig.username,
        password: rig.password,
        missingVariable: null,
        driver: "rclone",
        routes: { tb: route(rig.tbHost, rig.tbPort), fallback: route(rig.fallbackHost, rig.fallbackPort) },
        mountPath: join(folder, "volumes", name),
        stablePath: join(folder, "Shares", name),
      };
      shares.push(share);
      return share;
    },
    behind: (share) => rig.exportPath(share.shareName),
    cut: (_share, which: RouteName) => rig.relays[which].setMode("refuse"),
    async [Symbol.asyncDispose]() {
      const tidier = fresh();
      for (const share of shares) {
        for (const mount of await found(tidier, share)) {
          if (mount.path.startsWith(folder)) await tidier.unmount(share, mount, "force", limits());
        }
      }
      await prober[Symbol.asyncDispose]();
      const left = (await listRcloneMounts()).filter((one) =>
        one.arguments.some((arg) => arg.startsWith(folder)),
      );
      for (const { identity } of left) process.kill(identity.pid, "SIGKILL");
      await rig[Symbol.asyncDispose]();
      assert.deepEqual(
        left.map((one) => one.arguments.join(" ")),
        [],
        "a process was left over",
      );
    },
  };
}

const skip = missingForPlainRig();
describeDriver("rclone", skip, startBench);

const noSkip = { skip: skip ?? false };
const server = async (bench: RcloneBench, share: ShareSpec): Promise<number> => {
  const [mount] = await found(bench.driver, share);
  assert.ok(mount);
  const [pid] = await bench.driver.ownProcesses(share, mount);
  assert.ok(pid);
  return pid;
};
const isGone = (pid: number): boolean => !existsSync(`/proc/${pid}`);

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

describe("a mount that dies", noSkip, () => {
  it("A2 of a crashed process is known to be dead at once, is cleaned up and mounted again", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const mount = await mounted(bench.driver, share, "tb");
    const heard: string[] = [];
    const stop = bench.driver.onMountProcessExit?.((name) => heard.push(name));
    process.kill(await server(bench, share), "SIGKILL");
    await eventually(() => heard.length > 0, 2_000);
    assert.deepEqual(heard, [PLAIN_NAME]);
    stop?.();
    assert.deepEqual(await found(bench.driver, share), [{ ...mount, processGone: true }]);
    const [afterRestart] = await found(bench.freshDriver(), share);
    assert.equal(afterRestart?.processGone, true);
    const look = await bench.prober.look(mount.id, mount.path, 60_000);
    assert.ok(look.state === "answered" && look.errno === "ENOTCONN");
    assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
    await mounted(bench.driver, share, "tb");
  });

  it("an unmount that was asked for is no crash", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const heard: string[] = [];
    bench.driver.onMountProcessExit?.((name) => heard.push(name));
    for (const mode of ["plain", "force"] as const) {
      const mount = await mounted(bench.driver, share, "tb");
      assert.deepEqual(await bench.driver.unmount(share, mount, mode, limits()), { ok: true });
    }
    assert.deepEqual(heard, []);
  });

  it("A2 one that hangs is ended by force, its callers are freed, and the path is mounted again", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    await writeFile(join(bench.behind(share, "tb"), "file"), "content");
    const mount = await mounted(bench.driver, share, "tb");
    const pid = await server(bench, share);
    process.kill(pid, "SIGSTOP");
    const caller = spawn("ls", [share.mountPath], { stdio: "ignore" });
    t.after(() => release(caller));
    const ended = once(caller, "exit");
    const look = await bench.prober.look(mount.id, mount.path, 100);
    assert.equal(look.state, "pending");
    await eventually(() => bench.prober.pids.length === 2, 3_000);
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
    await eventually(() => isGone(pid), 1_000);
    await eventually(() => bench.prober.pids.length === 1, 3_000);
    await mounted(bench.driver, share, "fallback");
    assert.equal(await readFile(join(share.mountPath, "file"), "utf8"), "content");
  });

  for (const what of ["server", "cable"] as const) {
    it(`whose ${what} is gone lists no more, and is replaced over what is left`, async (t) => {
      await using bench = await startBench(t);
      const share = bench.share(PLAIN_NAME);
      const mount = await mounted(bench.driver, share, "tb");
      if (what === "server") await bench.rig.killServer();
      else await bench.cut(share, "tb");
      const look = await eventually(async () => {
        const seen = await bench.prober.look(mount.id, mount.path, 60_000);
        return seen.state === "answered" && seen.errno !== null && seen;
      }, 10_000);
      assert.ok(look.state === "answered" && look.errno === "EIO");
      if (what === "server") await bench.rig.startServer();
      assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
      await mounted(bench.driver, share, "fallback");
    });
  }

  it("by someone else's hand is ended like ours, and its process does not take the next one with it", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const foreign = await mountByHand(t, bench, share, share.mountPath, bench.rig.tbHost);
    const [mount] = await found(bench.driver, share);
    assert.ok(mount);
    assert.deepEqual([mount.sameShare, mount.route, mount.processGone], [true, "tb", false]);
    assert.deepEqual(await bench.driver.ownProcesses(share, mount), [foreign]);
    process.kill(foreign, "SIGSTOP");
    assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
    await eventually(() => isGone(foreign), 1_000);
    const next = await mounted(bench.driver, share, "fallback");
    assert.deepEqual(await found(bench.driver, share), [next]);
  });
});

async function mountByHand(
  t: TestContext,
  bench: RcloneBench,
  share: ShareSpec,
  path: string,
  host: string,
): Promise<number> {
  const config = join(bench.folder, "by-hand.conf");
  const { stdout } = await runCommand("rclone", ["obscure", "-"], {
    clock: systemClock,
    deadlineMs: 60_000,
    stdin: bench.rig.password,
  });
  await writeFile(
    config,
    `[hand]\ntype = smb\nhost = 127.0.0.2\nport = ${bench.rig.tbPort}\nuser = ${bench.rig.username}\npass = ${stdout}\n`,
  );
  await mkdir(path, { recursive: true });
  const devname = `//${host}:${bench.rig.tbPort}/${share.shareName.toLowerCase()}`;
  const child = spawn(
    "rclone",
    ["mount", `hand:${share.shareName}`, path, "--config", config, "--devname", devname],
    {
      stdio: "ignore",
      env: { PATH: process.env["PATH"] },
    },
  );
  t.after(() => release(child));
  await eventually(async () => (await readFile("/proc/self/mountinfo", "utf8")).includes(` ${path} `), 5_000);
  assert.ok(child.pid);
  return child.pid;
}

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
    await eventually(
      async () => (await readFile(join(behind, "new file ü 日本"), "utf8")) === "new data",
      15_000,
    );
    await eventually(async () => (await bench.driver.unsent(share)).length === 0, 5_000);
    await appendFile(join(share.mountPath, "log"), "two\n");
    await eventually(async () => (await readFile(join(behind, "log"), "utf8")) === "one\ntwo\n", 5_000);
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
      await eventually(async () => (await readFile(join(behind, name), "utf8")) === name, 15_000);
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
    await eventually(async () => (await bench.driver.unsent(share)).length === 0, 5_000);
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
      await eventually(() => toldCount() > before + 5, 15_000);
      const startedAt = performance.now();
      // A plain one that meets an open file is asked again, as the engine does.
      await eventually(async () => (await bench.driver.unmount(share, mount, mode, limits())).ok, 15_000);
      mount = await mounted(bench.driver, share, route);
      times.push(Math.round(performance.now() - startedAt));
    }
    const before = toldCount();
    await eventually(() => toldCount() > before + 5, 15_000);
    await writeFile(stop, "");
    if (writer.exitCode === null) await once(writer, "exit");
    t.diagnostic(`unmount and mount, ms: ${times.join(" ")}; ${toldCount()} files`);
    await eventually(async () => (await bench.driver.unsent(share)).length === 0, 20_000);
    const aside = (await bench.driver.setAside?.(share)) ?? [];
    const kept = (await Promise.all(aside.map((folder) => readdir(folder)))).flat();
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
    assert.equal(await readFile(join(aside, "written while nothing was mounted"), "utf8"), "precious");
    assert.equal((await mounted(bench.driver, share, "tb")).route, "tb");
  });
});

describe("processes", noSkip, () => {
  it("outlive the daemon, one at a time: what an earlier life left without a mount is ended first", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const mount = await mounted(bench.driver, share, "tb");
    const first = await server(bench, share);
    const files = rcloneFiles(bench.stateFolder, share.name);
    // Killed between the start and the note, and the mount taken away: only arguments tell whose it is.
    process.kill(first, "SIGSTOP");
    await rm(files.process);
    await runCommand("fusermount3", ["-uz", mount.path], { clock: systemClock, deadlineMs: 60_000 });
    assert.ok(!isGone(first));
    const later = bench.freshDriver();
    await mounted(later, share, "fallback");
    await eventually(() => isGone(first), 1_000);
    const ours = (await listRcloneMounts()).filter((one) => one.arguments.includes(files.config));
    assert.equal(ours.length, 1);
  });

  it("a process number that is somebody else's by now is not taken for ours", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const mount = await mounted(bench.driver, share, "tb");
    const files = rcloneFiles(bench.stateFolder, share.name);
    await writeFile(
      files.process,
      JSON.stringify({ pid: process.pid, startTime: "1", mountPath: mount.path }),
    );
    const later = bench.freshDriver();
    const [seen] = await found(later, share);
    assert.ok(seen && !seen.processGone);
    assert.deepEqual(await later.ownProcesses(share, seen), await bench.driver.ownProcesses(share, mount));
    await writeFile(files.process, "{ torn");
    assert.equal((await found(bench.freshDriver(), share)).length, 1);
    assert.deepEqual(await later.unmount(share, seen, "plain", limits()), { ok: true });
  });

  it("the mount lives in a session of its own and needs no daemon", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    await mounted(bench.driver, share, "tb");
    const pid = await server(bench, share);
    const status = await readFile(`/proc/${pid}/stat`, "utf8");
    assert.equal(status.slice(status.lastIndexOf(")") + 2).split(" ")[3], String(pid));
  });
});
