import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import type { FleetReport, MachineLayer } from "../../src/api/contract/fleet.ts";
import type { SentinelService } from "../../src/daemon/daemon-service.ts";
import { Calls } from "../../src/fleet/calls/calls.ts";
import type { ImportedOffer } from "../../src/fleet/calls/tunnel-registry.ts";
import { userKey } from "../../src/fleet/keys/nkey.ts";
import { signLayer } from "../../src/fleet/layer/signed-layer.ts";
import { LAYER_SUBJECT } from "../../src/fleet/nats/subjects.ts";
import {
  linesOf,
  startClient,
  startMachineProcess,
  TOOLS_SERVER,
  textOf,
  toolsBackend,
  writtenIn,
} from "../fleet/calls/machines.ts";
import { linkOptions, makeKey, type NatsRig, needsNats, startMember, startNats } from "../fleet/nats-rig.ts";
import { assertEach } from "../support/assert-each.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { createServiceRig, NEVER, overTb, type ServiceRig } from "./service-rig.ts";

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
  "G1 a service with a fleet tells what its shares are, and says farewell when it stops",
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
  "G1 a service lends its tools and borrows others', by an edit, and shows where they are",
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
      lent: () => [],
      serve() {},
      onBorrowed: (backends) => {
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
    const other = ['import = ["desktop"]', `operator = "${makeKey().publicKey}"`];
    await write(...other);
    await eventually(() => found.length === 0);
    assert.deepEqual(await eventually(() => ends.length > 0 && ends), ["laptop: it is not offered any more"]);
    await write(...other, 'export = ["*"]');
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

test("G1 a fleet that cannot be reached holds up nothing", async (t) => {
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

// The configuration that the machines of a fleet have in common: services with real files, on a real nats-server.
const KEY = randomBytes(32);
const TIME = "2026-11-20T10:00:00.000Z";

const signed = (revision: number, text: string, key: Uint8Array = KEY): string =>
  signLayer({ revision, time: TIME, by: "nas", text }, key);

interface Machine {
  readonly rig: ServiceRig;
  readonly own: string;
  /** The same without `[fleet]`. */
  readonly alone: string;
  start(): ReturnType<ServiceRig["start"]>;
}

async function machine(
  t: TestContext,
  nats: NatsRig,
  name: string,
  operator = userKey(KEY),
): Promise<Machine> {
  const rig = await createServiceRig(t, { FLEET_KEY: nats.key(name).seed });
  const fleet = ["[fleet]", `name = "${name}"`, `servers = ["${nats.url}"]`, 'credentials = "${FLEET_KEY}"'];
  const alone = `${await rig.config([])}[server]\nport = ${await freePort()}\n`;
  const own = `${alone}${fleet.join("\n")}\n${operator === "" ? "" : `operator = "${operator}"\n`}`;
  await rig.write(own);
  return { rig, own, alone, start: () => rig.start() };
}

async function put(service: SentinelService, revision: number, text: string): Promise<void> {
  const { newest } = await linked(service);
  const request = { document: signed(revision, text), expected_sequence: newest?.sequence ?? 0 };
  await service.control.putFleetLayer(request, NEVER);
}

/** Once there is a link. */
function linked(service: SentinelService) {
  return eventually(() => service.control.fleetLayer(null, NEVER).catch(() => null));
}

/** What a service says of itself to all. */
async function layerOf(service: SentinelService): Promise<MachineLayer | null> {
  const { machines } = await service.control.fleet();
  return machines[0]?.state?.layer ?? null;
}

function backendsOf(service: SentinelService): readonly string[] {
  return (service.control.status().backends ?? []).map(({ name }) => name);
}

function condition(service: SentinelService, code: string): string | undefined {
  return service.control.status().global.conditions.find((each) => each.code === code)?.title;
}

const REMOTE = (name: string): string => `[backends.${name}]\nurl = "http://127.0.0.1:9/${name}"\n`;
const PROGRAM = `[backends.program]\ncommand = "${process.execPath}"\nargs = ["-e", ""]\n`;

test(
  "G1 a layer is applied on all machines, kept, caught up with, and goes with [fleet]",
  needsNats,
  async (t) => {
    const nats = await startNats(t);
    const [one, other] = [await machine(t, nats, "laptop"), await machine(t, nats, "desktop")];
    const [laptop, desktop] = [await one.start(), await other.start()];
    await linked(desktop.service);
    await put(laptop.service, 1, REMOTE("common"));
    const begunMs = Date.now();
    for (const { service } of [laptop, desktop])
      await eventually(() => backendsOf(service).includes("common"));
    t.diagnostic(`applied on both after ${Date.now() - begunMs} ms`);
    await eventually(async () => (await layerOf(desktop.service))?.revision === 1);
    await eventually(async () => {
      const { machines } = await laptop.service.control.fleet();
      return machines.some(({ own, state }) => !own && state?.layer?.revision === 1);
    });
    const kept = join(other.rig.home, "fleet", "layer.json");
    await eventually(async () => JSON.parse(await readFile(kept, "utf8")).revision === 1);
    assert.equal((await stat(kept)).mode & 0o777, 0o600);
    // One that is away catches up.
    await desktop.stop();
    await put(laptop.service, 2, REMOTE("later"));
    await eventually(() => backendsOf(laptop.service).join() === "later");
    const back = await other.start();
    await eventually(() => backendsOf(back.service).join() === "later");
    await eventually(async () => JSON.parse(await readFile(kept, "utf8")).revision === 2);
    await back.stop();
    // Without a server what was accepted last runs.
    await nats.kill();
    const alone = await other.start();
    assert.deepEqual([backendsOf(alone.service), (await layerOf(alone.service))?.revision], [["later"], 2]);
    // The file is the machine's own, and so is what stands in it.
    assert.equal(await readFile(other.rig.configFile, "utf8"), other.own);
    await other.rig.write(other.alone);
    await eventually(() => backendsOf(alone.service).length === 0);
    // With the section it is back, whether or not a server can be asked.
    await other.rig.write(other.own);
    await eventually(() => backendsOf(alone.service).join() === "later");
  },
);

test(
  "G1 a wrong layer is refused whole, at its line, and told to all; the next one is taken",
  needsNats,
  async (t) => {
    const nats = await startNats(t);
    const [one, other] = [await machine(t, nats, "laptop"), await machine(t, nats, "desktop")];
    const share = '[[shares]]\nname = "X"\nthunderbolt_path = "/no/a"\nfallback_path = "/no/b"\n';
    await one.rig.write(`${one.own}${share}`);
    const [laptop, desktop] = [await one.start(), await other.start()];
    await put(laptop.service, 1, REMOTE("common"));
    for (const { service } of [laptop, desktop]) {
      await eventually(() => backendsOf(service).join() === "common");
    }
    // What fits everywhere else does not fit there.
    await put(laptop.service, 2, `${REMOTE("more")}requires = ["X"]\n`);
    const told = await eventually(() => condition(desktop.service, "fleet_layer_refused"));
    assert.match(told, /^Revision 2 .*fleet revision 2:3:\d+: backends\.more\.requires/);
    assert.deepEqual(
      [backendsOf(desktop.service), (await layerOf(desktop.service))?.revision],
      [["common"], 1],
    );
    await eventually(async () => {
      const { machines } = await laptop.service.control.fleet();
      return machines.some(
        ({ state }) => state?.layer?.revision === 1 && state.layer.refused?.revision === 2,
      );
    });
    await eventually(() => backendsOf(laptop.service).join() === "more");
    // Its own file makes it fit: it is taken.
    await other.rig.write(`${other.own}${share}`);
    await eventually(() => backendsOf(desktop.service).join() === "more");
    await eventually(() => condition(desktop.service, "fleet_layer_refused") === undefined);
  },
);

test(
  "G1 wrong key, old revision, another fleet's layer: nothing of it runs, and it is said so",
  needsNats,
  async (t) => {
    const nats = await startNats(t);
    const { start, rig } = await machine(t, nats, "laptop");
    const { service, stop } = await start();
    await put(service, 5, REMOTE("five"));
    await eventually(() => backendsOf(service).join() === "five");
    const thief = await nats.stranger("stranger");
    const plant = async (document: string): Promise<void> => {
      await thief.request(LAYER_SUBJECT, document);
      thief.publish("mountaineer.fleet.config");
    };
    const replayed = signed(4, REMOTE("four"));
    const forged = JSON.stringify({ ...JSON.parse(signed(6, REMOTE("six"))), text: REMOTE("evil") });
    const cases: readonly [string, RegExp][] = [
      [signed(6, REMOTE("evil"), randomBytes(32)), /another key than the operator's/],
      [forged, /the operator has not signed it/],
      [JSON.stringify({ ...JSON.parse(forged), revision: 7 }), /the operator has not signed it/],
      [replayed, /it is revision 4, and 5 was accepted here before/],
      [signed(5, REMOTE("evil")), /another revision 5/],
      ["{", /not a JSON object/],
      ["x".repeat(400 * 1024), /too long|not trusted/],
    ];
    for (const [document, said] of cases) {
      await plant(document).catch(() => {});
      if (document.length > 300_000) continue;
      await eventually(() => said.test(condition(service, "fleet_layer_not_trusted") ?? ""));
      assert.deepEqual(backendsOf(service), ["five"], String(said));
    }
    // The daemon itself puts nothing there that it would not believe.
    const unsigned = { document: signed(9, "", randomBytes(32)), expected_sequence: 0 };
    await assert.rejects(service.control.putFleetLayer(unsigned, NEVER), { code: "usage" });
    // Who was not there first hears it.
    await put(service, 6, REMOTE("six"));
    const late = { document: signed(7, ""), expected_sequence: 1 };
    await assert.rejects(
      service.control.putFleetLayer(late, NEVER),
      /revision 6, signed on nas at 2026-11-20.*first/,
    );
    await eventually(() => backendsOf(service).join() === "six");
    // Also after a restart.
    await eventually(
      async () => JSON.parse(await readFile(join(rig.home, "fleet/layer.json"), "utf8")).revision === 6,
    );
    await stop();
    await plant(replayed);
    const again = await start();
    await eventually(() =>
      /revision 4, and 6 was/.test(condition(again.service, "fleet_layer_not_trusted") ?? ""),
    );
    assert.deepEqual(backendsOf(again.service), ["six"]);
  },
);

test("G1 what a layer would run waits for approval on each machine", needsNats, async (t) => {
  const nats = await startNats(t);
  const { start } = await machine(t, nats, "laptop");
  const { service, stop } = await start();
  await put(service, 1, `${PROGRAM}${REMOTE("common")}`);
  await eventually(() => backendsOf(service).includes("common"));
  assertEach(service.control.approvals().waiting, ({ id }) => id, ["backends.program"]);
  assert.ok(condition(service, "waiting_for_approval"));
  await eventually(async () => (await layerOf(service))?.revision === 1);
  await stop();
  const again = await start();
  const [waiting] = again.service.control.approvals().waiting;
  assert.ok(waiting);
  const isOn = ({ control }: SentinelService): boolean | undefined =>
    control.status().backends?.find(({ name }) => name === "program")?.enabled;
  assert.equal(isOn(again.service), false);
  await again.service.control.approve({ entries: [{ id: waiting.id, digest: waiting.digest }] });
  assert.deepEqual(again.service.control.approvals().waiting, []);
  assert.equal(isOn(again.service), true);
});

test(
  "G1 a machine that knows no operator takes no layer, and says so only when there is one",
  needsNats,
  async (t) => {
    const nats = await startNats(t);
    const [one, other] = [await machine(t, nats, "laptop"), await machine(t, nats, "desktop", "")];
    const [laptop, desktop] = [await one.start(), await other.start()];
    await linked(desktop.service);
    assert.equal(condition(desktop.service, "fleet_layer_unheeded"), undefined);
    await put(laptop.service, 1, REMOTE("common"));
    await eventually(() => condition(desktop.service, "fleet_layer_unheeded"));
    assert.deepEqual(backendsOf(desktop.service), []);
  },
);
