// Driver `fs` with a process that stands in for mountaineer-fs: what it is started with, what becomes of what it says, and how
// it is found again. Mounts of the real program are in real-program.test.ts.
import assert from "node:assert/strict";
import { chmod, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { createFsDriver } from "../../../../src/shares/drivers/fs/fs.ts";
import { fsArguments, fsFailure, fsFilesIn } from "../../../../src/shares/drivers/fs/mount-arguments.ts";
import { listProcesses } from "../../../../src/shares/drivers/fs/processes.ts";
import type { MountDriver, MountPlan } from "../../../../src/shares/drivers/mount-driver.ts";
import { shareFiles } from "../../../../src/shares/drivers/share-files.ts";
import { createMountTableLinux } from "../../../../src/shares/mounts/mount-table-linux.ts";
import { typedSignIn } from "../../../../src/shares/program/sign-in.ts";
import type { RouteName, ShareSpec } from "../../../../src/shares/share-spec.ts";
import { eventually } from "../../../support/eventually.ts";
import { fileProber } from "../../../support/file-prober.ts";
import { isGone } from "../../../support/processes.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { routeTo, shareSpec } from "../../share-spec.ts";
import { failure, found, limits } from "../driver-contract.ts";

/** Not by `exec`, which would change the short name. */
const SERVES = "while :; do sleep 1; done";
const PASSWORD = "s3cret of ann";
const proberOfFile = fileProber({ clock: systemClock, logger: noopLogger });

/**
 * Records how it was started, then does as `does` says (shell text). "Mounted" is what has a file `up` with the process that
 * serves it.
 */
async function startStandIn(t: TestContext, does: string) {
  const folder = await temporaryFolder(t);
  const program = join(folder, "mountaineer-fs");
  const up = join(folder, "up");
  await writeFile(
    program,
    `#!/bin/sh\nread -r password\nprintf '%s\\n' "$password" >${folder}/password\n` +
      `for one in "$@"; do printf '%s\\n' "$one"; done >${folder}/arguments\n` +
      `mount() { echo $$ >${up}.new; mv ${up}.new ${up}; echo mounted; }\n${does}\n`,
  );
  await chmod(program, 0o755);
  const share = shareSpec({
    folder,
    driver: "fs",
    username: "HOME\\ann",
    password: PASSWORD,
    routes: { tb: routeTo("10.0.0.1"), fallback: routeTo("10.0.0.2", { port: 4450 }) },
  });
  const servedBy = async (): Promise<number | null> => {
    const pid = Number(await readFile(up, "utf8").catch(() => "0"));
    return pid === 0 || isGone(pid) ? null : pid;
  };
  const readTable = async (): Promise<Buffer> => {
    const table = await readFile("/proc/self/mountinfo");
    if ((await servedBy()) === null) return table;
    const line = `9999 1 0:999 / ${share.mountPath} rw - fuse.mountaineer-fs //10.0.0.1/CORE rw,user_id=${process.getuid?.()}`;
    return Buffer.concat([table, Buffer.from(`${line}\n`)]);
  };
  interface Change {
    readonly filesystems?: string;
    readonly program?: string | null;
    readonly home?: string;
  }
  const fresh = (change: Change = {}) => {
    const found = change.program === undefined ? program : change.program;
    return createFsDriver({
      ...{ clock: systemClock, logger: noopLogger, prober: proberOfFile(), addressesOf: () => [] },
      mountTable: createMountTableLinux({ clock: systemClock, readTable }),
      stateFolder: join(folder, change.home ?? "home"),
      program: { find: async () => found, copy: async () => found },
      whyNoFuse: async () => null,
      filesystems: change.filesystems ?? folder,
    });
  };
  const files = fsFilesIn(shareFiles(join(folder, "home"), share.name).folder);
  const processes = async () =>
    (await listProcesses()).filter((one) => one.arguments.includes(share.mountPath));
  t.after(async () => {
    for (const { identity } of await processes()) process.kill(identity.pid, "SIGKILL");
  });
  return { folder, share, files, fresh, servedBy, processes };
}

const ENDPOINTS = {
  tb: { address: "10.0.0.1", port: 445, interfaceName: "tb0", isNamed: true },
  fallback: { address: "10.0.0.2", port: 4450, interfaceName: null },
};
const PLAN: MountPlan = {
  signIn: typedSignIn({ username: "HOME\\ann", password: PASSWORD }, ENDPOINTS),
  ...{ allowed: ["tb", "fallback"], patienceMs: 300_000, moves: true },
  ...{ onlyOn: false, logInNow: false, newServer: false },
};

/** Mounts as the engine does. */
const mountBy = (
  driver: MountDriver,
  share: ShareSpec,
  route: RouteName,
  within = limits(),
  plan: MountPlan = PLAN,
) => driver.mount(share, route, within, plan);

const said = (folder: string, what: string): Promise<string> => readFile(join(folder, what), "utf8");

describe("the driver fs", () => {
  it("A10 starts the program with both routes, the account and the modes, and the password nowhere but on its stdin", async (t) => {
    const { folder, share, files, fresh, servedBy, processes } = await startStandIn(t, `mount; ${SERVES}`);
    const driver = fresh();
    const outcome = await mountBy(driver, share, "fallback");
    assert.ok(outcome.ok, JSON.stringify(outcome));
    const { mount } = outcome;
    assert.deepEqual(
      [mount.route, mount.madeByDriver, mount.moves, mount.sameShare, mount.processGone, mount.outdated],
      ["tb", true, true, true, false, undefined],
    );
    const owner = ["-uid", `${process.getuid?.()}`, "-gid", `${process.getgid?.()}`];
    assert.deepEqual((await said(folder, "arguments")).trim().split("\n"), [
      ...["mount", "-route", "name=tb,address=10.0.0.1,port=445,interface=tb0,named=true"],
      ...["-route", "name=fallback,address=10.0.0.2,port=4450"],
      ...["-user", "ann", "-sign", "-domain", "HOME", "-share", "CORE"],
      ...["-state", files.folder, "-logons", join(folder, "home/logons")],
      ...["-wanted", "fallback", "-allowed", "tb,fallback", "-patience", "300000ms"],
      ...[...owner, "-file-mode", "0755", "-dir-mode", "0755", "-fsname", "//10.0.0.1/CORE", share.mountPath],
    ]);
    assert.equal(await said(folder, "password"), `${PASSWORD}\n`);
    const pid = await servedBy();
    assert.deepEqual(await driver.ownProcesses(share, mount), [pid]);
    for (const file of await readdir(files.folder))
      assert.ok(!(await readFile(join(files.folder, file), "utf8")).includes(PASSWORD), file);
    assert.deepEqual(await driver.setAside?.(share), []);

    // As after a restart of the daemon: the process itself tells whose it is.
    const [seen] = await found(fresh(), share);
    assert.ok(seen);
    assert.deepEqual({ ...seen, id: mount.id }, mount);
    const [outdated] = await found(driver, { ...share, fileMode: "0600", folderMode: "0700" });
    assert.equal(outdated?.outdated, true);

    // A copy of the home has the share at another path, and must not end this mount.
    const copied = { ...share, mountPath: join(folder, "copy") };
    assert.deepEqual(await found(fresh({ home: "copy" }), copied), []);
    assert.equal((await found(fresh(), copied)).length, 1);

    let ended = 0;
    driver.onMountProcessExit?.(() => ended++);
    process.kill(pid ?? 0, "SIGKILL");
    await eventually(() => ended === 1);
    await eventually(async () => (await processes()).length === 0);
  });

  const FAILURES = {
    logon_failure: "wrong_credentials",
    no_share: "no_such_share",
    no_answer: "unreachable",
    access_denied: "permission_denied",
    logon_held: "wrong_credentials",
    other_server: "different_server",
    fuse: "driver_unavailable",
    other: "other",
  };
  for (const [code, reason] of Object.entries(FAILURES))
    it(`${code}: the mount fails with ${reason}, and nothing is left`, async (t) => {
      const line = JSON.stringify({ error: { code, message: `what it says of ${PASSWORD}` } });
      const { share, fresh, processes } = await startStandIn(t, `echo 'a line'; echo '${line}'; exit 1`);
      const failed = failure(await mountBy(fresh(), share, "fallback"));
      assert.deepEqual([failed.reason, failed.text], [reason, "//10.0.0.2:4450/CORE: what it says of …"]);
      assert.deepEqual(await processes(), []);
      await assert.rejects(readdir(share.mountPath), { code: "ENOENT" });
    });

  it("a program that ends without a word, mounts too late, or is no longer wanted fails the mount, and is ended", async (t) => {
    const silent = await startStandIn(t, "exit 0");
    const ended = failure(await mountBy(silent.fresh(), silent.share, "tb"));
    assert.match(ended.text, /mountaineer-fs ended before it had mounted$/);
    const { share, fresh, processes } = await startStandIn(t, SERVES);
    const late = failure(await mountBy(fresh(), share, "tb", limits(100)));
    assert.equal(late.reason, "timed_out");
    const signal = AbortSignal.timeout(100);
    const cancelled = failure(await mountBy(fresh(), share, "tb", { deadlineMs: 60_000, signal }));
    assert.match(cancelled.text, /cancelled$/);
    assert.deepEqual(await processes(), []);
  });

  it("says what to do where the program is not installed, and on another system", async (t) => {
    const { folder, share, fresh } = await startStandIn(t, "exit 0");
    const missing = await fresh({ program: null }).missingRequirement(share);
    assert.match(`${missing?.text}; ${missing?.hint}`, /is not installed; .*npm run mount/);
    const other = await fresh({ filesystems: join(folder, "none") }).missingRequirement(share);
    assert.deepEqual(other, {
      text: "mountaineer-fs mounts on Linux only",
      hint: "leave the key driver out",
    });
    const failed = failure(await mountBy(fresh({ program: null }), share, "tb"));
    assert.equal(failed.reason, "driver_unavailable");
  });

  it("a guest, a mount that stays on its route, an IPv6 host and what a person asked for have the arguments for it", () => {
    const share: ShareSpec = shareSpec({
      routes: { tb: routeTo("fd00::1", { port: 4450 }), fallback: routeTo("nas.local") },
      ...{ allowOther: true, fileMode: "0640", folderMode: "0750", symlinks: true, readOnly: true },
      locks: "local",
    });
    const tb = { address: "fd00::1", port: 4450, interfaceName: null };
    const signIn = typedSignIn(share, { ...ENDPOINTS, tb });
    const plan = { ...PLAN, signIn, moves: false };
    const place = {
      share,
      route: "tb",
      files: fsFilesIn("/h/mounts/CORE"),
      home: "/h",
      mountPath: "/v/CORE",
    } as const;
    const stays = fsArguments({ ...place, plan }).join(" ");
    assert.match(stays, /^mount -route name=tb,address=fd00::1,port=4450 -guest -share CORE /);
    assert.match(
      stays,
      / -patience 3000ms .*-file-mode 0640 -dir-mode 0750 -symlinks true -locks local -read-only -allow-other -fsname \/\/\[fd00::1\]:4450\/CORE \/v\/CORE$/,
    );
    assert.doesNotMatch(stays, /-sign|-user|-wanted|-allowed|fallback|-only-on|-login-now|-new-server/);
    const asked = { ...PLAN, onlyOn: true, logInNow: true, newServer: true };
    assert.match(fsArguments({ ...place, plan: asked }).join(" "), / -only-on .*-login-now -new-server /);
  });

  it("takes the newest failure of a log, and none from other lines", () => {
    const line = (message: string): string => JSON.stringify({ error: { code: "no_share", message } });
    assert.equal(fsFailure(`${line("first")}\n${line("second")}\nmounted\n`)?.text, "second");
    assert.equal(fsFailure(`mounted\n{"error":"text"}\n{torn`), null);
  });
});
