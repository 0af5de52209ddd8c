// A daemon as it is published, two more machines on its server, and what `mountaineer fleet status` says of them.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { FleetReport } from "../../src/api/fleet-contract.ts";
import { sampleShare } from "../api/sample-report.ts";
import { runCommand, startCommand } from "../cli/command-line.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { needsNats, startMember, startNats } from "./nats-rig.ts";

test(
  "G1 a daemon and other machines see each other, and one that is killed is missed",
  needsNats,
  async (t) => {
    const nats = await startNats(t);
    const running: ReturnType<typeof startCommand>[] = [];
    t.after(async () => {
      for (const { child, ended } of running) {
        child.kill("SIGTERM");
        await ended;
      }
    });
    const home = join(await temporaryFolder(t), "laptop");
    for (const route of ["tb", "fallback"]) await mkdir(join(home, route), { recursive: true });
    const lines = [
      "[[shares]]",
      'name = "LAPTOP"',
      'driver = "local"',
      `thunderbolt_path = "${join(home, "tb")}"`,
      `fallback_path = "${join(home, "fallback")}"`,
      "[fleet]",
      'name = "laptop"',
      `servers = ["${nats.url}"]`,
      'credentials = "${FLEET_KEY}"',
      "",
    ];
    await writeFile(join(home, "config.toml"), lines.join("\n"), { mode: 0o600 });
    const start = (): ReturnType<typeof startCommand> => {
      const daemon = startCommand(["monitor"], { home, env: { FLEET_KEY: nats.key("laptop").seed } });
      running.push(daemon);
      return daemon;
    };
    const ran = (...args: string[]) => runCommand(args, { home });
    const told = async (): Promise<FleetReport> =>
      JSON.parse((await ran("fleet", "status", "--json")).stdout);
    const killed = start();
    const [desktop, nas] = (["desktop", "nas"] as const).map((name) => {
      const member = startMember(t, nats, name);
      member.become({ shares: [sampleShare({ name: name.toUpperCase() })] });
      return member;
    });
    assert.ok(desktop !== undefined && nas !== undefined);
    for (const report of [told, desktop.report, nas.report]) {
      await eventually(async () => {
        const { machines } = await report();
        const shares = machines.map(({ state }) => `${state?.shares[0]?.name} ${state?.shares[0]?.route}`);
        assert.deepEqual(shares.toSorted(), ["DESKTOP tb", "LAPTOP tb", "NAS tb"]);
        return machines.every(({ presence }) => presence === "here");
      });
    }
    const { stdout, code } = await ran("fleet", "status");
    assert.equal(code, 0);
    assert.match(
      stdout,
      /^Fleet, as laptop .*connected[\s\S]*laptop \(this machine\)[\s\S]*desktop[\s\S]*nas/,
    );
    const one = await ran("fleet", "status", "nas");
    assert.match(one.stdout, /nas[^\n]*here[\s\S]*NAS mounted over Thunderbolt/);
    assert.ok(!one.stdout.includes("desktop"));
    const none = await ran("fleet", "status", "moon");
    assert.equal(none.code, 2);
    assert.match(none.stderr, /no machine of the fleet is called moon/);
    // One of them ends in order, the daemon is killed and comes back.
    await nas.fleet.end("stopped");
    await eventually(async () => {
      const { machines } = await told();
      return machines.some(({ name, presence }) => name === "nas" && presence === "gone");
    });
    killed.child.kill("SIGKILL");
    await once(killed.child, "exit");
    start();
    await eventually(async () => (await told()).machines.length === 3);
    for (const report of [told, desktop.report]) {
      const { machines, conditions } = await report();
      assert.deepEqual(conditions, []);
      const problems = machines.map(({ name, problem }) => `${name} ${problem}`);
      assert.deepEqual(problems.toSorted(), ["desktop null", "laptop null", "nas null"]);
    }
    const status = await ran("status");
    assert.ok(!/fleet/i.test(status.stdout), status.stdout);
    await nats.kill();
    await eventually(async () => /The fleet is not reached/.test((await ran("status")).stdout));
  },
);

test("G1 fleet status says what is missing where there is no fleet to ask about", async (t) => {
  const home = await temporaryFolder(t);
  const { code, stderr } = await runCommand(["fleet", "status"], { home });
  assert.equal(code, 8);
  assert.match(stderr, /no daemon runs/);
});
