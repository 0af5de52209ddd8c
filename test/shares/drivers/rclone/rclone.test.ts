// The rclone driver on a real SMB server: the contract of all drivers, what stands, fails and dies, others' mounts.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { delimiter, join } from "node:path";
import { after, describe, it } from "node:test";
import { installRclone } from "../../../../src/rclone-release/install.ts";
import { installedRclone } from "../../../../src/rclone-release/installed.ts";
import { readRcloneVersion } from "../../../../src/rclone-release/rclone-version.ts";
import { sha256Of } from "../../../../src/runtime/files/sha256.ts";
import { runCommand } from "../../../../src/runtime/process/child-process.ts";
import { findProgram } from "../../../../src/runtime/process/find-program.ts";
import { processIdentity } from "../../../../src/runtime/process/process-identity.ts";
import { resetSocket } from "../../../../src/runtime/reset-socket.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { controlOf, queryFreeSpace } from "../../../../src/shares/drivers/rclone/control.ts";
import { RCLONE_PROGRAM, rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import { listServing } from "../../../../src/shares/drivers/serving-processes.ts";
import type { RouteSpec, ShareSpec } from "../../../../src/shares/share-spec.ts";
import { zipOf } from "../../../runtime/files/zip.ts";
import { eventually } from "../../../support/eventually.ts";
import { stopProcess } from "../../../support/stop-process.ts";
import { type Scope, temporaryFolder } from "../../../support/temporary-folder.ts";
import {
  describeDriver,
  failure,
  found,
  HOSTILE_NAMES,
  limits,
  mounted,
  PLAIN_NAME,
  release,
} from "../driver-contract.ts";
import {
  isGone,
  mountByHand,
  noSkip,
  type RcloneBench,
  server,
  skip,
  standingMount,
  startBench,
} from "./bench.ts";

describeDriver("rclone", skip, startBench);

/** More than a server may be silent for in the eyes of a person who waits: as long a deadline ends idle connections. */
const IDLE_MS = 5_000;

const AT_ONCE = 6;

/** A port of 127.0.0.1 in front of the server, whose connections can all be cut at once, and which can keep new ones waiting. */
async function startGate(t: Scope, bench: RcloneBench) {
  const sockets = new Set<Socket>();
  const waiting: Socket[] = [];
  let isShut = false;
  const pass = (client: Socket): void => {
    const behind = connect(bench.rig.tbPort, bench.rig.tbHost);
    for (const socket of [client, behind]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        behind.destroy();
      });
    }
    client.pipe(behind).pipe(client);
  };
  const gate = createServer((client) => (isShut ? waiting.push(client) : pass(client)));
  gate.listen(0, "127.0.0.1");
  await once(gate, "listening");
  const cut = (): void => {
    for (const socket of sockets) resetSocket(socket);
  };
  const shut = (): void => {
    isShut = true;
  };
  const open = (): void => {
    isShut = false;
    for (const client of waiting.splice(0)) pass(client);
  };
  t.after(() => {
    cut();
    open();
    gate.close();
  });
  const address = gate.address();
  assert.ok(typeof address === "object" && address !== null);
  return { port: address.port, cut, shut, open, waiting };
}

const FILES = Array.from({ length: AT_ONCE }, (_, index) => `${index}`);

describe("a lasting mount", noSkip, () => {
  const ends: (() => unknown)[] = [];
  after(() => Promise.all(ends.map((end) => end())));
  let gate: Awaited<ReturnType<typeof startGate>>;
  const standing = standingMount(async (bench, share) => {
    gate = await startGate({ after: (end) => void ends.push(end) }, bench);
    const exported = bench.behind(share, "tb");
    for (const name of FILES) {
      await mkdir(join(exported, "folders", name), { recursive: true });
      await writeFile(join(exported, name), Buffer.alloc(4 * 1024 * 1024, name));
    }
    const outcome = await bench.driver.mount(share, "tb", limits(), { port: gate.port, patienceMs: 30_000 });
    assert.ok(outcome.ok, outcome.ok ? "" : outcome.text);
    return outcome.mount;
  });

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

  it("runs in its own session and needs no daemon", async () => {
    const { pid } = standing();
    const status = await shown(pid, "stat");
    assert.equal(status.slice(status.lastIndexOf(")") + 2).split(" ")[3], String(pid));
  });

  it("is not touched where another share's path is", async () => {
    const { bench, share, mount } = standing();
    const other = { ...bench.share(HOSTILE_NAMES[0] ?? ""), mountPath: share.mountPath };
    assert.equal(failure(await bench.driver.mount(other, "tb", limits())).reason, "path_taken");
    const [seen] = await found(bench.driver, other);
    assert.deepEqual([seen?.sameShare, seen?.route, seen?.madeByDriver], [false, null, false]);
    assert.deepEqual(await found(bench.driver, share), [mount]);
  });

  it("stays usable after its connections have been idle, however many were open at once: the next program gets no error", async () => {
    const { bench, share } = standing();
    const names = Array.from({ length: 8 }, (_, index) => `idle-${index}`);
    for (const name of names) {
      await mkdir(join(bench.behind(share, "tb"), name));
      await writeFile(join(bench.behind(share, "tb"), name, "data"), name);
    }
    const readAll = () =>
      Promise.all(names.map((name) => readFile(join(share.mountPath, name, "data"), "utf8")));
    // rclone may show the folder as it was a moment ago.
    await eventually(async () => {
      const there = await readdir(share.mountPath);
      return names.every((name) => there.includes(name));
    });
    // rclone keeps a connection for each, and lets them wait their turn.
    for (let turn = 0; turn < 3; turn++) assert.deepEqual(await readAll(), names);
    await using film = await open(join(share.mountPath, "idle-0", "data"));
    await systemClock.sleep(IDLE_MS);
    for (const name of names) assert.deepEqual(await readdir(join(share.mountPath, name)), ["data"]);
    assert.equal((await film.read(Buffer.alloc(2), 0, 2, 0)).bytesRead, 2);
    assert.deepEqual(await readAll(), names);
  });

  for (const [what, driverOf] of [
    ["connections that are dead are used up", (bench: RcloneBench) => bench.driver],
    ["those of a daemon before are used up as well", (bench: RcloneBench) => bench.freshDriver()],
  ] as const) {
    it(`A10 ${what}: the programs' next operations get no error`, async () => {
      const { bench, share } = standing();
      // As many are kept as were in use at once, each used more than once.
      for (let rounds = 0; rounds < 3; rounds++)
        await Promise.all(FILES.map((name) => readFile(join(share.mountPath, name))));
      gate.cut();
      await driverOf(bench).dropLost?.(share, AT_ONCE);
      for (const name of FILES) assert.deepEqual(await readdir(join(share.mountPath, "folders", name)), []);
    });
  }

  it("A10 a query that rclone has yet to answer is neither given up nor followed by others", async () => {
    const { bench, share } = standing();
    gate.shut();
    gate.cut();
    const dropped = bench.driver.dropLost?.(share, AT_ONCE);
    await eventually(() => gate.waiting.length > 0);
    await dropped;
    const waiting = gate.waiting.length;
    await bench.driver.dropLost?.(share, AT_ONCE);
    assert.equal(gate.waiting.length, waiting);
    assert.ok(gate.waiting.every(({ closed, readableEnded }) => !closed && !readableEnded));
    gate.open();
    await eventually(async () => (await readdir(join(share.mountPath, "folders"))).length === AT_ONCE);
  });

  it("A10 rclone answers only a caller with its password, which only its user may read", async () => {
    const { bench, share, pid } = standing();
    const files = rcloneFiles(bench.stateFolder, share.name);
    const identity = await processIdentity(pid);
    assert.ok(identity);
    const control = await controlOf(files, identity);
    assert.ok(control);
    const remote = `share:${share.shareName}`;
    assert.equal(await queryFreeSpace(control, remote, 10_000), "done");
    assert.equal(await queryFreeSpace({ ...control, password: "guessed" }, remote, 10_000), "unreachable");
    assert.equal((await stat(files.control)).mode & 0o777, 0o600);
    assert.ok(!(await readFile(`/proc/${pid}/cmdline`, "utf8")).includes(control.password));
    assert.equal(await controlOf(files, { ...identity, startTime: "another" }), null);
  });
});

describe("why a mount fails", noSkip, () => {
  it("is reported without the password; it leaves nothing behind, and the right one mounts afterwards", async (t) => {
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

describe("mounts made by others", noSkip, () => {
  it("are found by host name, address and any spelling of the share, at other paths as well; from an unknown host they have an unknown route", async (t) => {
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

describe("an rclone in the home", noSkip, () => {
  it("mounts in place of the system's, even where there is no other", async (t) => {
    const folders = (process.env["PATH"] ?? "").split(delimiter);
    const [onPath, fusermount, sh] = await Promise.all(
      ["rclone", "fusermount3", "sh"].map((name) => findProgram(name, folders)),
    );
    // Of an engine in this checkout there is no newer one to install.
    const real = (await installedRclone("/nowhere")) ?? onPath;
    assert.ok(typeof real === "string" && typeof fusermount === "string" && typeof sh === "string");
    const { stdout } = await runCommand(real, ["version"], { clock: systemClock, deadlineMs: 60_000 });
    const version = /^rclone v(\S+)/.exec(stdout)?.[1] ?? "";
    const platform = "linux-amd64";
    const folder = await temporaryFolder(t);
    // It notes by which path it was started.
    const content = `#!/bin/sh\necho "$0 $1" >> '${folder}/started'\nexec '${real}' "$@"\n`;
    const zip = zipOf([{ name: `rclone-v${version}-${platform}/rclone`, content }]);
    const path = process.env["PATH"];
    t.after(() => {
      process.env["PATH"] = path;
    });
    await using bench = await startBench(t);
    const file = join(folder, "rclone.zip");
    await writeFile(file, zip);
    const sums = { [platform]: sha256Of(zip) };
    const release = { version, folder: "http://127.0.0.1:1", redirectHosts: [], sums };
    const { signal } = new AbortController();
    const { program } = await installRclone({ home: bench.stateFolder, file, signal, platform, release });

    // The second is how versions before 1.61 call it.
    for (const name of ["fusermount3", "fusermount"]) await symlink(fusermount, join(folder, name));
    process.env["PATH"] = folder;
    const share = bench.share(PLAIN_NAME);
    const mount = await mounted(bench.driver, share, "tb");
    assert.ok((await readFile(join(folder, "started"), "utf8")).includes(`${program} mount`));
    process.env["PATH"] = path;
    assert.deepEqual(await bench.driver.unmount(share, mount, "plain", limits()), { ok: true });
  });
});

describe("the engine of a mount", noSkip, () => {
  it("A1 is in its metadata; an older one than would mount now makes the mount outdated, as another's build does, and a newer one does not", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    await mounted(bench.driver, share, "tb");
    const file = rcloneFiles(bench.stateFolder, share.name).process;
    const { engine: noted, ...note } = JSON.parse(await readFile(file, "utf8"));
    const version = await readRcloneVersion(
      systemClock,
      (await installedRclone(bench.stateFolder)) ?? "rclone",
    );
    assert.equal(noted ?? null, version?.engine ?? null);
    const program = join(bench.folder, "rclone");
    t.after(() => {
      delete process.env["MOUNTAINEER_RCLONE"];
    });
    for (const [mounts, now, isOutdated] of [
      [undefined, undefined, undefined],
      [undefined, 1, true],
      [9, 10, true],
      [10, 10, undefined],
      [10, 9, undefined],
      [10, undefined, undefined],
    ]) {
      await writeFile(file, JSON.stringify({ ...note, engine: mounts }));
      const suffix = now === undefined ? "" : `-mountaineer.${now}`;
      await writeFile(program, `#!/bin/sh\necho rclone v1.${version?.minor}.0${suffix}\n`, { mode: 0o755 });
      process.env["MOUNTAINEER_RCLONE"] = program;
      const driver = bench.freshDriver();
      assert.equal(await driver.missingRequirement(share), null);
      const [mount] = await found(driver, share);
      assert.deepEqual([mount?.madeByDriver, mount?.outdated], [true, isOutdated], `${mounts}, ${now}`);
    }
  });
});

describe("a mount that dies", noSkip, () => {
  it("A2 of a crashed process is recognized as dead at once, cleaned up and mounted again; a requested unmount is not a crash", async (t) => {
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
    const check = await bench.prober.checkMount(mount.id, mount.path, 60_000);
    assert.ok(check.state === "answered" && check.errno === "ENOTCONN");
    assert.deepEqual(await driver.unmount(share, mount, "force", limits()), { ok: true });
    for (const mode of ["plain", "force"] as const) {
      const next = await mounted(driver, share, "tb");
      assert.deepEqual(await driver.unmount(share, next, mode, limits()), { ok: true });
    }
    assert.deepEqual(heard, [PLAIN_NAME]);
    stop?.();
  });

  it("A2 is reported although an earlier unmount failed because the mount was busy", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    const mount = await mounted(bench.driver, share, "tb");
    const heard: string[] = [];
    bench.driver.onMountProcessExit?.((name) => heard.push(name));
    await using _held = await open(share.mountPath);
    const refused = await bench.driver.unmount(share, mount, "plain", limits());
    assert.ok(!refused.ok && refused.reason === "busy");
    process.kill(await server(bench, share), "SIGKILL");
    await eventually(() => heard.length > 0);
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
    const check = await bench.prober.checkMount(mount.id, mount.path, 100);
    assert.equal(check.state, "pending");
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

  it("whose server or cable is gone no longer lists, and is replaced over its remains", async (t) => {
    await using bench = await startBench(t);
    const share = bench.share(PLAIN_NAME);
    for (const [cut, mend] of [
      [() => bench.rig.killServer(), () => bench.rig.startServer()],
      [() => bench.cut(share, "tb"), () => {}],
    ] as const) {
      const mount = await mounted(bench.driver, share, "tb");
      await cut();
      const look = await eventually(async () => {
        const seen = await bench.prober.checkMount(mount.id, mount.path, 60_000);
        return seen.state === "answered" && seen.errno !== null && seen;
      });
      assert.ok(look.state === "answered" && look.errno === "EIO");
      await mend();
      assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
    }
    await mounted(bench.driver, share, "fallback");
  });

  it("by someone else is ended like ours, and its process does not take the next one with it", async (t) => {
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
  it("outlive the daemon, one at a time: one whose process id another program has is not taken for ours, and one left without a mount by an earlier life is ended first", async (t) => {
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
    const ours = (await listServing(RCLONE_PROGRAM)).filter((one) => one.arguments.includes(files.config));
    assert.equal(ours.length, 1);
    await writeFile(files.process, "{ torn");
    assert.deepEqual(await bench.freshDriver().unmount(share, next, "plain", limits()), { ok: true });
  });
});
