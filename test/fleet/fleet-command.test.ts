// Three daemons as they are published, on one server, and what `mountaineer fleet status` says of them.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { FleetReport } from "../../src/api/fleet-contract.ts";
import { runCommand, startCommand } from "../cli/command-line.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { needsNats, startNats } from "./nats-rig.ts";

const NAMES = ["laptop", "desktop", "nas"] as const;

test("G1 three daemons see each other, and one that is killed is missed", needsNats, async (t) => {
  const nats = await startNats(t);
  const running: ReturnType<typeof startCommand>[] = [];
  t.after(async () => {
    for (const { child, ended } of running) {
      child.kill("SIGTERM");
      await ended;
    }
  });
  const folder = await temporaryFolder(t);
  const homes = new Map<string, string>();
  const start = (name: string): ReturnType<typeof startCommand> => {
    const home = homes.get(name) ?? "";
    const daemon = startCommand(["monitor"], { home, env: { FLEET_KEY: nats.key(name).seed } });
    running.push(daemon);
    return daemon;
  };
  for (const name of NAMES) {
    const home = join(folder, name);
    homes.set(name, home);
    for (const route of ["tb", "fallback"]) await mkdir(join(home, route), { recursive: true });
    const lines = [
      "[[shares]]",
      `name = "${name.toUpperCase()}"`,
      'driver = "local"',
      `thunderbolt_path = "${join(home, "tb")}"`,
      `fallback_path = "${join(home, "fallback")}"`,
      "[fleet]",
      `name = "${name}"`,
      `servers = ["${nats.url}"]`,
      'credentials = "${FLEET_KEY}"',
      "",
    ];
    await writeFile(join(home, "config.toml"), lines.join("\n"), { mode: 0o600 });
  }
  const daemons = new Map(NAMES.map((name) => [name, start(name)]));
  const told = async (name: string): Promise<FleetReport> => {
    const { stdout } = await runCommand(["fleet", "status", "--json"], { home: homes.get(name) ?? "" });
    return JSON.parse(stdout);
  };
  for (const name of NAMES) {
    await eventually(async () => {
      const { machines } = await told(name);
      const shares = machines.map(({ state }) => `${state?.shares[0]?.name} ${state?.shares[0]?.route}`);
      assert.deepEqual(shares.toSorted(), ["DESKTOP tb", "LAPTOP tb", "NAS tb"]);
      return machines.every(({ presence }) => presence === "here");
    });
  }
  const { stdout, code } = await runCommand(["fleet", "status"], { home: homes.get("laptop") ?? "" });
  assert.equal(code, 0);
  assert.match(stdout, /^Fleet, as laptop .*connected[\s\S]*laptop \(this machine\)[\s\S]*desktop[\s\S]*nas/);
  const one = await runCommand(["fleet", "status", "nas"], { home: homes.get("laptop") ?? "" });
  assert.match(one.stdout, /nas[^\n]*here[\s\S]*NAS mounted over Thunderbolt/);
  assert.ok(!one.stdout.includes("desktop"));
  const none = await runCommand(["fleet", "status", "moon"], { home: homes.get("laptop") ?? "" });
  assert.equal(none.code, 2);
  assert.match(none.stderr, /no machine of the fleet is called moon/);
  // One of them ends in order, another is killed and comes back.
  daemons.get("nas")?.child.kill("SIGTERM");
  await eventually(async () => {
    const { machines } = await told("laptop");
    return machines.some(({ name, presence }) => name === "nas" && presence === "gone");
  });
  const killed = daemons.get("desktop");
  assert.ok(killed !== undefined);
  killed.child.kill("SIGKILL");
  await once(killed.child, "exit");
  start("desktop");
  await eventually(async () => (await told("desktop")).machines.length === 3);
  const { machines, conditions } = await told("laptop");
  assert.deepEqual(conditions, []);
  assert.deepEqual(
    machines.map(({ name, problem }) => [name, problem]),
    [
      ["laptop", null],
      ["desktop", null],
      ["nas", null],
    ],
  );
  const status = await runCommand(["status"], { home: homes.get("laptop") ?? "" });
  assert.ok(!/fleet/i.test(status.stdout), status.stdout);
  await nats.kill();
  await eventually(async () => {
    const { stdout: words } = await runCommand(["status"], { home: homes.get("laptop") ?? "" });
    return /The fleet is not reached/.test(words);
  });
});

test("G1 fleet status says what is missing where there is no fleet to ask about", async (t) => {
  const home = await temporaryFolder(t);
  const { code, stderr } = await runCommand(["fleet", "status"], { home });
  assert.equal(code, 8);
  assert.match(stderr, /no daemon runs/);
});
