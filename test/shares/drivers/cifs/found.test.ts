// Which mounts of the kernel's client are carried, and what is said of them.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { runCommand } from "../../../../src/runtime/process/child-process.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { HOSTS } from "../bound-shares.ts";
import { found, limits, mounted } from "../driver-contract.ts";
import { skip, startBench } from "./bench.ts";

describe("driver cifs, carried", { skip: skip ?? false }, () => {
  const through = { port: 24_450, patienceMs: 60_000 };

  it("A10 as root mounts the carrier's port, hard, under the preferred host's name, whichever route is asked for", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("CORE");
    const driver = bench.fresh({}, { [HOSTS.tb]: "10.10.10.1" });
    assert.ok(driver.carries?.can);
    assert.deepEqual(
      [await driver.carries.fixedPort?.(share), await driver.carries.refusal?.(share)],
      [null, null],
    );
    const outcome = await driver.mount(share, "fallback", limits(), through);
    assert.ok(outcome.ok);
    const { source, route, carriedPort, madeByDriver } = outcome.mount;
    assert.deepEqual([source, route, carriedPort, madeByDriver], ["//tb.test/CORE", "tb", 24_450, true]);
    const [call] = await bench.standIns.calls();
    // The name that the kernel looks up again at each reconnect.
    assert.equal(call?.args[0], "//127.0.0.1/CORE");
    const options = call?.args[3]?.split(",") ?? [];
    for (const option of ["port=24450", "hard", "echo_interval=21", "nosharesock"])
      assert.ok(options.includes(option), option);
    assert.ok(!options.includes("soft"));
    const [again] = await found(bench.freshDriver(), share);
    assert.deepEqual([again?.carriedPort, again?.route], [24_450, "tb"], "also after a restart");
    assert.deepEqual(await driver.unmount(share, outcome.mount, "plain", limits()), { ok: true });
    assert.equal((await mounted(driver, share, "fallback")).carriedPort, null);
  });

  it("A10 a carried mount that somebody else made is known by its line of fstab, and without one has no route", async (t) => {
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
      [known?.sameShare, known?.carriedPort, known?.route, known?.madeByDriver],
      [true, 24_451, "tb", false],
    );
    await writeFile(bench.standIns.fstab, "");
    const [unknown] = await found(bench.driver, share);
    assert.deepEqual([unknown?.carriedPort, unknown?.route], [null, null]);
    const elsewhere = { ...share, mountPath: `${share.mountPath}-elsewhere` };
    assert.deepEqual(
      await found(bench.driver, elsewhere),
      [],
      "another share of that name, for all that is known",
    );
  });

  it("A10 a server that is this machine, as behind a tunnel, is no carrier", async (t) => {
    const bench = await startBench(t);
    const core = bench.share("CORE");
    const share = {
      ...core,
      routes: { ...core.routes, tb: { ...core.routes.tb, host: "127.0.0.1", port: 4450 } },
    };
    const mount = await mounted(bench.driver, share, "tb");
    assert.deepEqual([mount.carriedPort, mount.route], [null, "tb"]);
    const theirs = { ...core, routes: { ...core.routes, tb: { ...core.routes.tb, host: "localhost" } } };
    const [again] = await found(bench.fresh({}, { localhost: "127.0.0.1" }), theirs);
    assert.equal(again?.carriedPort, null);
  });
});
