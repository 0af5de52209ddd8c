// Driver `cifs` as root, with programs that stand in for the kernel's.
import assert from "node:assert/strict";
import { chmod, chown, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { runCommand } from "../../../../src/runtime/process/child-process.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { HOSTS } from "../bound-shares.ts";
import { describeDriver, failure, found, limits, mounted } from "../driver-contract.ts";
import { skip, startBench } from "./bench.ts";

describeDriver("cifs", skip, startBench);

const REAL = 'exec /usr/bin/umount "$@"';

/** From now on that script is run for umount. */
async function umountIs({ standIns }: Awaited<ReturnType<typeof startBench>>, script: string): Promise<void> {
  const umount = join(standIns.programs, "umount");
  await writeFile(umount, `#!/bin/sh\n${script}\n`);
  await chmod(umount, 0o755);
}

describe("driver cifs as root", { skip: skip ?? false }, () => {
  it("mount.cifs gets every option that the kernel's client needs, and the password only through the environment", async (t) => {
    const bench = await startBench(t);
    const share = { ...bench.share("CORE"), username: "OFFICE\\ann" };
    await mounted(bench.fresh({}, { [HOSTS.tb]: "10.10.10.1" }), share, "tb");
    const [call, ...more] = await bench.standIns.calls();
    assert.ok(call && more.length === 0);
    assert.equal(call.program, "mount.cifs");
    assert.deepEqual(call.args.slice(0, 3), ["//tb.test/CORE", share.mountPath, "-o"]);
    const options = call.args[3]?.split(",") ?? [];
    assert.deepEqual(options, [
      ...["username=ann", "domain=OFFICE", "ip=10.10.10.1", "soft", "echo_interval=5", "nosharesock"],
      ...["nohandlecache", "actimeo=1", "iocharset=utf8", "uid=0", "gid=0", "forceuid", "forcegid"],
      ...["file_mode=0700", "dir_mode=0700", "nosuid", "nodev"],
    ]);
    assert.equal(call.password, "s3cret, too");
    assert.ok(!call.args.join(" ").includes("s3cret"));
    assert.ok(!bench.logged().includes("s3cret"));
    const home = await readdir(join(bench.folder, "home"), { recursive: true, withFileTypes: true });
    for (const file of home.filter((one) => one.isFile())) {
      assert.ok(!(await readFile(join(file.parentPath, file.name), "utf8")).includes("s3cret"), file.name);
    }
  });

  it("a guest mount asks for no password, gives files the mount root's owner and passes the port", async (t) => {
    const bench = await startBench(t);
    const core = bench.share("CORE");
    const route = { ...core.routes.tb, port: 4450 };
    const share = { ...core, password: null, routes: { ...core.routes, tb: route } };
    await mkdir(join(bench.folder, "volumes"));
    await chown(join(bench.folder, "volumes"), 1234, 1235);
    const mount = await mounted(bench.driver, share, "tb");
    const [call] = await bench.standIns.calls();
    assert.match(call?.args[3] ?? "", /^guest,port=4450,.*,uid=1234,gid=1235,/);
    assert.equal(call?.password, null);
    // The kernel's table tells no port: a note of ours does, over a restart, too.
    assert.deepEqual([mount.route, mount.source], ["tb", "//tb.test:4450/CORE"]);
    const [again] = await found(bench.freshDriver(), share);
    assert.deepEqual([again?.route, again?.madeByDriver], ["tb", true]);
  });

  it("a failed mount.cifs is reported by its reason, with the source but no password; it leaves nothing behind, and the next mount succeeds", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("CORE");
    const connecting = "could not connect to 10.0.0.1Unable to find suitable address.";
    for (const [says, reason, text, exitCode = 32] of [
      ["(13): Permission denied", "wrong_credentials", /wrong \(mount error\(13\): Permission denied\)/],
      ["(2): No such file or directory", "no_such_share", /no such share/],
      ["(6): No such device or address", "no_such_share", /no such share/],
      [`(111): ${connecting}`, "refused", /refuses/],
      [`(113): ${connecting}`, "unreachable", /no route/],
      ["(115): Operation now in progress", "unreachable", /does not answer/],
      ["(101): Network is unreachable", "unreachable", /cannot be reached/],
      ["(112): Host is down", "unreachable", /down/],
      ["(16): Device or resource busy", "path_taken", /in use/],
      [
        ": cifs filesystem not supported\nmount error(19): No such device",
        "driver_unavailable",
        /modprobe cifs/,
      ],
      ["(79): Can not access a needed shared library", "driver_unavailable", /nls_utf8/],
      ["(1): Operation not permitted", "permission_denied", /CAP_SYS_ADMIN/],
      [": could not resolve address for nas: Name not known", "unreachable", /no address/, 1],
      [": new about s3cret, too", "other", /ended with 4 \(mount error: new about …\)/, 4],
    ] as const) {
      const manual = "Refer to the mount.cifs(8) manual page";
      await bench.standIns.answer({
        exitCode,
        says: `mount error${says}\n${exitCode === 32 ? `${manual}\n` : ""}`,
      });
      const failed = failure(await bench.driver.mount(share, "tb", limits()));
      assert.equal(failed.reason, reason, `${says}: ${failed.text}`);
      assert.match(failed.text, text);
      assert.match(failed.text, /^\/\/tb\.test\/CORE: /);
      assert.ok(!failed.text.includes("s3cret"));
      assert.deepEqual(await readdir(join(bench.folder, "volumes")), []);
    }
    await bench.standIns.answer(null);
    await bench.standIns.before(
      '[ -f "$here/said" ] || { touch "$here/said"; echo \'mount error(112)\'; exit 32; }\n',
    );
    const failed = failure(await bench.driver.mount(share, "tb", limits()));
    assert.equal(failed.reason, "unreachable", "said where results belong");
    await mounted(bench.driver, share, "tb");
  });

  it("a mount that hangs is given up at its deadline, and leaves no folder", async (t) => {
    const bench = await startBench(t);
    await bench.standIns.before("sleep 600\n");
    const failed = failure(await bench.driver.mount(bench.share("CORE"), "tb", limits(300)));
    assert.equal(failed.reason, "timed_out");
    assert.deepEqual(await readdir(join(bench.folder, "volumes")), []);
  });

  it("a mount in progress ends when the step is cancelled", async (t) => {
    const bench = await startBench(t);
    await bench.standIns.before("sleep 600\n");
    const cancel = new AbortController();
    const mounting = bench.driver.mount(bench.share("CORE"), "tb", {
      deadlineMs: 60_000,
      signal: cancel.signal,
    });
    setImmediate(() => cancel.abort());
    assert.match(failure(await mounting).text, /cancelled/);
    assert.deepEqual(await found(bench.driver, bench.share("CORE")), []);
  });

  it("a share that another program mounts during the mount is adopted, and never undone", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("CORE");
    await bench.standIns.before(
      `source=//fallback.test/CORE; path=$2; ( . "$here/do-mount" ); echo 'mount error(16): Device or resource busy' >&2; exit 32\n`,
    );
    const outcome = await bench.driver.mount(share, "tb", limits());
    assert.ok(outcome.ok && outcome.adopted);
    assert.deepEqual([outcome.mount.route, outcome.mount.madeByDriver], ["fallback", false]);
  });

  it("another share that was mounted at its path is not mistaken for it, and stays", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("CORE");
    await bench.standIns.before(`source='//tb.test/My Share'; path=$2; . "$here/do-mount"; exit 0\n`);
    failure(await bench.driver.mount(share, "tb", limits()));
    const [there] = await found(bench.driver, share);
    assert.deepEqual([there?.sameShare, there?.madeByDriver], [false, false]);
    const failed = failure(await bench.driver.mount(share, "tb", limits()));
    assert.equal(failed.reason, "path_taken");
  });

  it("a user name with a comma, which no option can contain, is refused before anything runs", async (t) => {
    const bench = await startBench(t);
    const share = { ...bench.share("CORE"), username: "ann,sec=none" };
    assert.match(failure(await bench.driver.mount(share, "tb", limits())).text, /comma/);
    assert.deepEqual(await bench.standIns.calls(), []);
  });

  it("files that a program wrote into the bare folder before the mount are set aside", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("CORE");
    await bench.standIns.before('echo early >"$2/early"\n');
    await mounted(bench.driver, share, "tb");
    const [aside] = (await bench.driver.setAside?.(share)) ?? [];
    assert.equal(await readFile(join(aside?.folder ?? "", "early"), "utf8"), "early\n");
    assert.deepEqual(await readdir(bench.behind(share, "tb")), []);
  });

  it("a dead mount is unmounted forcibly and lazily or, where force is refused, only lazily", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("CORE");
    const mount = await mounted(bench.driver, share, "tb");
    const log = join(bench.folder, "umounts");
    await umountIs(
      bench,
      `echo "$*" >>'${log}'\n[ "$1" = -f ] && { echo "umount: $4: not supported" >&2; exit 32; }\n${REAL}`,
    );
    assert.deepEqual(await bench.driver.unmount(share, mount, "force", limits()), { ok: true });
    assert.equal(await readFile(log, "utf8"), `-f -l -- ${share.mountPath}\n-l -- ${share.mountPath}\n`);
  });

  it("the mount table decides whether an unmount succeeded, whatever umount prints", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("CORE");
    const mount = await mounted(bench.driver, share, "tb");
    await umountIs(bench, "exit 0");
    for (const mode of ["plain", "force"] as const) {
      const outcome = await bench.driver.unmount(share, mount, mode, limits());
      assert.ok(!outcome.ok && outcome.reason === "failed", mode);
    }
    await umountIs(bench, '/usr/bin/umount "$@"\necho "umount: not mounted" >&2\nexit 32');
    assert.deepEqual(await bench.driver.unmount(share, mount, "plain", limits()), { ok: true });
  });

  it("an umount that hangs is given up at its deadline; a refused one is reported with the fix", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("CORE");
    const mount = await mounted(bench.driver, share, "tb");
    await umountIs(bench, "exec sleep 600");
    const late = await bench.driver.unmount(share, mount, "plain", limits(200));
    assert.ok(!late.ok && late.reason === "failed");
    assert.match(late.text, /did not end/);
    await umountIs(bench, "echo 'umount: /x: must be superuser to unmount.' >&2\nexit 32");
    const refused = await bench.driver.unmount(share, mount, "plain", limits());
    assert.ok(!refused.ok);
    assert.match(refused.text, /`users`/);
    await umountIs(bench, REAL);
    assert.deepEqual(await bench.driver.unmount(share, mount, "plain", limits()), { ok: true });
  });

  it("on another system, or without mount.cifs, it is unavailable, with the setting or package to use", async (t) => {
    const bench = await startBench(t);
    const elsewhere = bench.fresh({ filesystems: join(bench.folder, "none") });
    assert.match((await elsewhere.missingRequirement())?.hint ?? "", /auto/);
    const driver = bench.fresh({ programFolders: [] });
    assert.match((await driver.missingRequirement())?.hint ?? "", /cifs-utils/);
    assert.equal(
      failure(await driver.mount(bench.share("CORE"), "tb", limits())).reason,
      "driver_unavailable",
    );
  });
});

describe("driver cifs, relayed", { skip: skip ?? false }, () => {
  const through = { port: 24_450, patienceMs: 60_000 };

  it("A10 root mounts through the relay's port, hard, under the preferred host's name, whichever route is requested", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("CORE");
    const driver = bench.fresh({}, { [HOSTS.tb]: "10.10.10.1" });
    assert.ok(driver.relaying);
    assert.deepEqual(
      [await driver.relaying.fixedPort?.(share), await driver.relaying.refusal?.(share)],
      [null, null],
    );
    const outcome = await driver.mount(share, "fallback", limits(), through);
    assert.ok(outcome.ok);
    const { source, route, relayPort, madeByDriver } = outcome.mount;
    assert.deepEqual([source, route, relayPort, madeByDriver], ["//tb.test/CORE", "tb", 24_450, true]);
    const [call] = await bench.standIns.calls();
    // The name that the kernel looks up again at each reconnect.
    assert.equal(call?.args[0], "//127.0.0.1/CORE");
    const options = call?.args[3]?.split(",") ?? [];
    for (const option of ["port=24450", "hard", "echo_interval=21", "nosharesock"])
      assert.ok(options.includes(option), option);
    assert.ok(!options.includes("soft"));
    const [again] = await found(bench.freshDriver(), share);
    assert.deepEqual([again?.relayPort, again?.route], [24_450, "tb"], "also after a restart");
    assert.deepEqual(await driver.unmount(share, outcome.mount, "plain", limits()), { ok: true });
    assert.equal((await mounted(driver, share, "fallback")).relayPort, null);
  });

  it("A10 a relayed mount made by another program is recognized by its fstab line, and has no route without one", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("CORE");
    await writeFile(
      bench.standIns.fstab,
      `//127.0.0.1/CORE ${share.mountPath} cifs users,port=24451,hard 0 0\n`,
    );
    await mkdir(share.mountPath, { recursive: true });
    const mount = join(bench.standIns.programs, "mount");
    const theirs = await runCommand(mount, ["--", share.mountPath], {
      clock: systemClock,
      deadlineMs: 60_000,
    });
    assert.equal(theirs.exitCode, 0, theirs.stderr);
    const [known] = await found(bench.driver, share);
    assert.deepEqual(
      [known?.sameShare, known?.relayPort, known?.route, known?.madeByDriver],
      [true, 24_451, "tb", false],
    );
    await writeFile(bench.standIns.fstab, "");
    const [unknown] = await found(bench.driver, share);
    assert.deepEqual([unknown?.relayPort, unknown?.route], [null, null]);
    const elsewhere = { ...share, mountPath: `${share.mountPath}-elsewhere` };
    assert.deepEqual(
      await found(bench.driver, elsewhere),
      [],
      "another share of that name, for all that is known",
    );
  });

  it("A10 a server on this machine, as behind a tunnel, does not pass for the relay", async (t) => {
    const bench = await startBench(t);
    const core = bench.share("CORE");
    const share = {
      ...core,
      routes: { ...core.routes, tb: { ...core.routes.tb, host: "127.0.0.1", port: 4450 } },
    };
    const mount = await mounted(bench.driver, share, "tb");
    assert.deepEqual([mount.relayPort, mount.route], [null, "tb"]);
    const theirs = { ...core, routes: { ...core.routes, tb: { ...core.routes.tb, host: "localhost" } } };
    const [again] = await found(bench.fresh({}, { localhost: "127.0.0.1" }), theirs);
    assert.equal(again?.relayPort, null);
  });
});
