import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import type { FleetReport } from "../../src/api/contract/fleet.ts";
import type { SentinelService } from "../../src/daemon/daemon-service.ts";
import { Calls } from "../../src/fleet/calls/calls.ts";
import type { ImportedOffer } from "../../src/fleet/calls/tunnel-registry.ts";
import {
  linesOf,
  startClient,
  startMachineProcess,
  TOOLS_SERVER,
  textOf,
  toolsBackend,
  writtenIn,
} from "../fleet/calls/machines.ts";
import { linkOptions, needsNats, startMember, startNats } from "../fleet/nats-rig.ts";
import { assertEach } from "../support/assert-each.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { createServiceRig, NEVER, overTb } from "./service-rig.ts";

const CHECKOUT = join(import.meta.dirname, "../..");

const fleetLines = (name: string, url: string, key = "FLEET_KEY"): string =>
  `[fleet]\nname = "${name}"\nservers = ["${url}"]\ncredentials = "\${${key}}"\n`;

const tomlBackend = (name: string, written: string): string =>
  `[backends.${name}]\ncommand = "${process.execPath}"\nargs = ["${TOOLS_SERVER}", "${written}"]\n`;

/** Others may stand on a machine that is busy. */
function fleetConditions({ control }: SentinelService): readonly string[] {
  const codes = control.status().global.conditions.map(({ code }) => code);
  return codes.filter((code) => code.startsWith("fleet"));
}

test(
  "G1 a service with a fleet publishes its shares, and says farewell when it stops",
  needsNats,
  async (t) => {
    const nats = await startNats(t);
    const watcher = startMember(t, nats, "nas");
    const rig = await createServiceRig(t, { FLEET_KEY: nats.key("laptop").seed });
    await rig.write((await rig.config(["CORE"])) + fleetLines("laptop", nats.url));
    const { service, until, stop } = await rig.start();
    await until("CORE", overTb);
    await eventually(() => watcher.sees("laptop").state?.shares[0]?.route === "tb");
    await eventually(async () =>
      (await service.control.fleet()).machines.some(({ name, own }) => name === "nas" && !own),
    );
    assert.deepEqual(fleetConditions(service), []);
    await service.control.unmount({ shares: ["CORE"] }, NEVER);
    await eventually(() => watcher.sees("laptop").state?.shares[0]?.phase === "unmounted");
    await stop();
    await eventually(() => watcher.sees("laptop").presence === "gone");
  },
);

test("G1 a fleet is joined, changed and left by an edit, without a restart", needsNats, async (t) => {
  const nats = await startNats(t);
  const watcher = startMember(t, nats, "nas");
  const rig = await createServiceRig(t, {
    FLEET_KEY: nats.key("laptop").seed,
    OTHER_KEY: nats.key("desktop").seed,
    WRONG_KEY: "hunter2",
  });
  const shares = await rig.config(["CORE"]);
  await rig.write(shares);
  const { service, logger } = await rig.start();
  const fleet = (): Promise<FleetReport> => service.control.fleet();
  await assert.rejects(fleet(), { code: "fleet_off" });
  await rig.write(shares + fleetLines("laptop", nats.url));
  await eventually(() => watcher.sees("laptop").presence === "here");
  assert.equal((await fleet()).name, "laptop");
  // Another name: the old one is gone from every list.
  await rig.write(shares + fleetLines("desktop", nats.url, "OTHER_KEY"));
  await eventually(() => watcher.sees("desktop").presence === "here");
  await eventually(() => watcher.report().machines.every(({ name }) => name !== "laptop"));
  // Wrong credentials are a condition of the service, and no mistake of the file.
  await rig.write(shares + fleetLines("desktop", nats.url, "WRONG_KEY"));
  const condition = await eventually(() =>
    service.control.status().global.conditions.find(({ code }) => code === "fleet_unreachable"),
  );
  assert.match(condition.title, /neither the seed/);
  assert.ok(!JSON.stringify([service.control.status(), logger.lines]).includes("hunter2"));
  await rig.write(shares + fleetLines("desktop", nats.url, "OTHER_KEY"));
  await eventually(async () => (await fleet()).link.state === "connected");
  await rig.write(shares);
  await eventually(() => watcher.report().machines.length === 1);
  await assert.rejects(fleet(), { code: "fleet_off" });
  assert.deepEqual(fleetConditions(service), []);
});

test(
  "G1 a service exports its tools and imports others', by an edit, and shows where they are",
  needsNats,
  async (t) => {
    const nats = await startNats(t);
    const written = writtenIn(nats.folder, "files");
    await startMachineProcess(t, nats, {
      name: "desktop",
      backends: [toolsBackend("files", written)],
      exports: ["files"],
      imports: ["laptop"],
    });
    const rig = await createServiceRig(t, { FLEET_KEY: nats.key("laptop").seed });
    const shares = await rig.config(["CORE"]);
    const own = tomlBackend("own", writtenIn(nats.folder, "own"));
    const server = `[server]\nport = ${await freePort()}\n`;
    const write = (...lines: readonly string[]) =>
      rig.write(`${shares}${fleetLines("laptop", nats.url)}${lines.join("\n")}\n${own}${server}`);
    await write();
    const { service, stop } = await rig.start();
    const backends = () => service.control.status().backends ?? [];
    await eventually(() => backends().some(({ name, phase }) => name === "own" && phase === "Ready"));
    await write('import = ["*"]', 'export = ["own"]');
    const borrowed = await eventually(() =>
      backends().find(({ name, tools }) => name === "files@desktop" && tools === 6),
    );
    assertEach(backends(), ({ name, type }) => [name, type], [
      ["own", "stdio"],
      ["files@desktop", "fleet"],
    ]);
    assert.ok(borrowed);
    const client = await startClient(t, { serveLines: (stream) => service.serveLines(stream) });
    assert.equal(textOf(await client.call("desktop_echo", { mark: "across" })), "across");
    let found: readonly ImportedOffer[] = [];
    const nas = new Calls({
      ...linkOptions({ url: nats.url, name: "nas", seed: nats.key("nas").seed }, { import: ["laptop"] }),
      exported: () => [],
      serve() {},
      onImported: (backends) => {
        found = backends;
      },
    });
    t.after(() => nas.end(0));
    const [lent] = await eventually(() => found.length > 0 && found);
    assert.deepEqual([lent?.backend, found.length], ["own", 1]);
    assert.ok(lent);
    const ends: string[] = [];
    const ours = await startClient(t, {
      serveLines(stream) {
        const there = nas.open(lent, ({ message }) => void ends.push(message));
        stream.pipe(there).pipe(stream);
      },
    });
    assert.equal(textOf(await ours.call("echo", { mark: "lent" })), "lent");
    assert.match(textOf(await ours.call("desktop_echo")), /^error: /);
    // An edit of something else takes nothing away.
    await write('import = ["*"]', 'export = ["own"]', "[limits]", "burst = 9000");
    assert.equal(textOf(await client.call("desktop_echo", { mark: "still" })), "still");
    // Nor does one of what is lent and borrowed, but for what is not any more.
    const slow = client.begin("desktop_slow", { mark: "goes on" });
    await eventually(async () => (await linesOf(written)).includes("slow goes on"));
    const other = 'import = ["desktop"]';
    await write(other);
    await eventually(() => found.length === 0);
    assert.deepEqual(await eventually(() => ends.length > 0 && ends), ["laptop: it is no longer offered"]);
    await write(other, 'export = ["*"]');
    await eventually(() => found.length === 1);
    assert.equal((await linesOf(written)).at(-1), "slow goes on");
    client.send({ method: "notifications/cancelled", params: { requestId: slow } });
    await eventually(async () => (await linesOf(written)).at(-1) === "cancelled");
    assert.equal(textOf(await client.call("desktop_echo", { mark: "on" })), "on");
    assert.deepEqual(fleetConditions(service), []);
    await write();
    await eventually(() => backends().length === 1);
    assert.match(textOf(await client.call("desktop_echo")), /^error: /);
    await stop();
  },
);

test("G1 an unreachable fleet delays nothing", async (t) => {
  const rig = await createServiceRig(t, { FLEET_KEY: "SU" });
  await rig.write((await rig.config(["CORE"])) + fleetLines("laptop", "nats://127.0.0.1:9"));
  const { service, until, stop } = await rig.start();
  await until("CORE", overTb);
  await eventually(() =>
    service.control.status().global.conditions.some(({ code }) => code === "fleet_unreachable"),
  );
  await stop();
});

test("G1 without [fleet] no file of the fleet and none of its libraries is loaded", needsNats, async (t) => {
  const nats = await startNats(t);
  const rig = await createServiceRig(t);
  const shares = await rig.config(["CORE"]);
  await rig.write(shares);
  const program = join(import.meta.dirname, "programs/loaded-by-service.ts");
  const env = {
    ...process.env,
    HOME: rig.folder,
    MOUNTAINEER_HOME: rig.home,
    FLEET_KEY: nats.key("laptop").seed,
    LATER: shares + fleetLines("laptop", nats.url),
  };
  const { stdout } = await promisify(execFile)(process.execPath, [program], { env, cwd: CHECKOUT });
  const { before, after }: Record<"before" | "after", readonly string[]> = JSON.parse(stdout);
  assert.ok(before.some((url) => url.endsWith("/src/daemon/fleet-part.ts")));
  const isOfFleet = (url: string): boolean => url.includes("/src/fleet/") || url.includes("@nats-io");
  assert.deepEqual(before.filter(isOfFleet), []);
  assert.ok(after.some((url) => url.endsWith("/src/fleet/fleet.ts")));
  assert.ok(after.some((url) => url.includes("@nats-io/kv")));
});
