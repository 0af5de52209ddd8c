// The whole share engine against three servers that die, are swapped and are edited in and out, at random, beside daemons
// that are killed at any point: each byte is on the server that it was written for, or kept for it.
import assert from "node:assert/strict";
import test from "node:test";
import type { ShareRequest } from "../../../src/shares/policy/share-request.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../../../src/shares/share-spec.ts";
import { pick, randomFrom } from "../../lab/random.ts";
import { createManualClock, type ManualClock } from "../../support/manual-clock.ts";
import { runsOf } from "../../support/properties.ts";
import { routeTo } from "../share-spec.ts";
import { SPEC } from "../world.ts";
import { type SimDaemon, startSimDaemon, TICK_MS } from "./sim-daemon.ts";
import { SimMachine } from "./sim-machine.ts";
import { SimNetwork, type SimServer } from "./sim-network.ts";

/** A few in `npm test`; all by `.ci/nightly properties`. */
const SEQUENCES = runsOf(500) < 500 ? 20 : 500;
const STEPS = 40;
const SEED = Number(process.env["MOUNTAINEER_SEED"] ?? 270_500);
const FOLDERS = { tb: routeTo(null, { folder: "/tb" }), fallback: routeTo(null, { folder: "/fallback" }) };
const ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"];
/** In which what waits for a server that is back has to be sent. */
const SENT_WITHIN_MS = 240_000;
const LOOK_EVERY_MS = 10_000;

/** `nas` and `clone` share a ServerGuid and all entries, but for the times at which these were created. */
function threeServers(): readonly SimServer[] {
  const server = (name: string, guid: string, files: readonly string[], createdMs: number): SimServer => ({
    ...{ name, guid, rootCreatedMs: createdMs },
    entries: new Map(
      files.map((file) => [
        file,
        { name: file, isFolder: false, size: file.length, modifiedMs: 1_600_000_000_000, createdMs },
      ]),
    ),
  });
  const files = ["letters", "photos", "taxes"];
  return [
    server("nas", "aa", files, 1_500_000_000_000),
    server("clone", "aa", [...files, "one more"], 1_550_000_000_000),
    server("other", "bb", ["music", "letters"], 1_580_000_000_000),
  ];
}

const REQUESTS: readonly Pick<ShareRequest, "kind">[] = [
  { kind: "mount" },
  { kind: "switch", to: "tb", force: false, wait: false },
  { kind: "switch", to: "fallback", force: false, wait: false },
  { kind: "switch", to: "auto", force: true, wait: false },
  { kind: "unmount", force: true, hold: false },
] as Pick<ShareRequest, "kind">[];

async function play(seed: number): Promise<number> {
  const random = randomFrom(seed);
  const clock: ManualClock = createManualClock();
  const servers = threeServers();
  const network = new SimNetwork(clock);
  const machine = new SimMachine(clock, network, servers);
  const onRouteChange = pick(random, ["move", "move", "remount"] as const);
  let spec = SPEC;
  /** What the share is instead; null: it is on the servers. */
  let folders: ShareSpec | null = null;
  const lead = (route: RouteName, host: string): void => {
    spec = { ...spec, routes: { ...spec.routes, [route]: routeTo(host) } };
  };
  const life: { daemon: SimDaemon | null } = { daemon: null };
  const begin = (): void => {
    life.daemon = startSimDaemon(machine, clock, folders ?? spec, onRouteChange);
  };
  const kill = (): void => {
    life.daemon?.kill();
    life.daemon = null;
  };
  const [nas, clone, other] = servers;
  lead("tb", "10.0.0.1");
  lead("fallback", "10.0.0.2");
  for (const [index, server] of [nas, nas, clone, other].entries())
    network.put(ADDRESSES[index] ?? "", server ?? null);
  begin();
  await clock.advance(5_000);

  const swap = async (address: string, to: SimServer | null): Promise<void> => {
    if (to === network.at(address)) return;
    const isSeen = machine.watches(address);
    network.put(address, null);
    // Only looks tell of an address that nothing is joined to: no NAS takes another's place between two of them.
    await clock.advance(isSeen ? pick(random, [0, 50, 3_000]) : 2 * TICK_MS);
    network.put(address, to);
  };
  const edit = (): void => {
    lead(pick(random, ROUTE_NAMES), pick(random, ADDRESSES));
    life.daemon?.apply(folders ?? spec);
  };
  /** A folder of this machine takes the servers' place, or they take its. */
  const editDriver = (): void => {
    const { mountPath } = spec;
    folders = folders === null ? { ...SPEC, driver: "local", routes: FOLDERS, mountPath } : null;
    life.daemon?.apply(folders ?? spec);
  };
  const heal = (): void => {
    for (const address of ADDRESSES) network.cut(address, false);
  };
  const steps: readonly (() => unknown)[] = [
    () => swap(pick(random, ADDRESSES), pick(random, servers)),
    () => swap(pick(random, ADDRESSES), pick(random, servers)),
    () => swap(pick(random, ADDRESSES), nas ?? null),
    () => network.put(pick(random, ADDRESSES), null),
    () => network.cut(pick(random, ADDRESSES), true),
    heal,
    heal,
    edit,
    edit,
    editDriver,
    () => machine.killRclone(),
    () => kill(),
    () => (life.daemon === null ? begin() : undefined),
    () => {
      const base = { force: false, keepUnmounted: false, waitUntilMs: clock.monotonicMs() + 5_000 };
      const request = { ...base, ...pick(random, REQUESTS) } as ShareRequest;
      void life.daemon?.engine.request("CORE", request, new AbortController().signal).catch(() => {});
    },
    () => life.daemon?.engine.triggerAll("network", clock.monotonicMs()),
    () => {
      machine.holders = pick(random, [0, 0, 2]);
    },
  ];
  for (let count = 0; count < STEPS; count++) {
    await pick(random, steps)();
    machine.write();
    await clock.advance(pick(random, [0, 20, 100, 500, 2_000, 8_000]));
    machine.write();
    check(machine, servers, network);
  }

  // Each server comes back in its turn, and gets what is kept for it.
  machine.holders = 0;
  if (folders !== null) editDriver();
  for (const server of servers) {
    for (const address of ADDRESSES) {
      network.cut(address, false);
      await swap(address, server);
    }
    if (life.daemon === null) begin();
    const word: ShareRequest = { kind: "mount", waitUntilMs: clock.monotonicMs() + 5_000 };
    void life.daemon?.engine.request("CORE", word, new AbortController().signal).catch(() => {});
    const keptFor = (): readonly string[] =>
      [...machine.caches.keys()].filter(
        (id) =>
          machine.whose(id) === server.name &&
          machine.known.some((one) => one.id === id && one.witness !== null),
      );
    for (let waitedMs = 0; keptFor().length > 0 && waitedMs < SENT_WITHIN_MS; waitedMs += LOOK_EVERY_MS)
      await clock.advance(LOOK_EVERY_MS);
    assert.deepEqual(keptFor(), [], `what is kept for ${server.name} is not sent although it is back`);
    check(machine, servers, network);
  }
  assert.deepEqual([machine.link, machine.isMounted], [null, true], "a link stands that nobody owns");
  kill();
  machine.end();
  return machine.acknowledged.length;
}

/** All that was acknowledged is where it belongs, or listed with the name of that server; nothing is anywhere else. */
function check(
  { acknowledged, caches, known }: SimMachine,
  servers: readonly SimServer[],
  network: SimNetwork,
) {
  const kept = new Map([...caches].flatMap(([id, files]) => files.map(({ name }) => [name, id] as const)));
  for (const { name, server } of acknowledged) {
    const on = servers.filter(({ entries }) => entries.has(name)).map((one) => one.name);
    const id = kept.get(name);
    if (id === undefined) {
      assert.deepEqual(on, [server], `${name} was written for ${server}`);
      continue;
    }
    assert.deepEqual(on, [], `${name} is sent and kept`);
    const source = known.find((one) => one.id === id)?.source ?? "";
    const host = source.slice(2).split("/")[0] ?? "";
    assert.ok(network.met.get(host)?.has(server), `${name} of ${server} is listed as ${source}'s`);
  }
}

test(`A13 in ${SEQUENCES} random sequences all written data is on its server, or kept for it`, async (t) => {
  t.diagnostic(`seed ${SEED} (MOUNTAINEER_SEED)`);
  let written = 0;
  for (let index = 0; index < SEQUENCES; index++) {
    try {
      written += await play(SEED + index);
    } catch (error) {
      throw new Error(`sequence ${index}, seed ${SEED + index}`, { cause: error });
    }
  }
  t.diagnostic(`${written} files written`);
  assert.ok(written > SEQUENCES * 10, `only ${written} files were written`);
});
