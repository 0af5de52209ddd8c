// Servers that die, are swapped and are edited in and out, at random: what the trust lets through is always whose it is.
import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type RouteInUse, ServerTrust } from "../../../src/shares/engine/server-trust.ts";
import type { RouteSeen, TrustSeen } from "../../../src/shares/policy/share-seen.ts";
import type { ProofEndpoint, ProofVerdict } from "../../../src/shares/server-proof/server-proof.ts";
import { ROUTE_NAMES, type RouteName } from "../../../src/shares/share-spec.ts";
import { pick, randomFrom } from "../../lab/random.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { SPEC } from "../world.ts";

const SEQUENCES = 500;
const STEPS = 40;
const SEED = 260_101;
/** Two of them share a ServerGuid. */
const GUIDS: Readonly<Record<string, string>> = { nas: "aa", clone: "aa", other: "bb" };
const SERVERS = Object.keys(GUIDS);
const ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"];

interface Mount {
  readonly server: string;
  readonly route: RouteName;
  address: string;
  outage: number;
  /** Since the server was last proved, its connections have not ended. */
  open: boolean;
}

/** One share, its addresses, and what is mounted; each proof answers what was there when it was asked. */
function world(random: () => number) {
  const behind = new Map<string, string | null>(ADDRESSES.map((address) => [address, "nas"]));
  const hosts: Record<RouteName, string> = { tb: "10.0.0.1", fallback: "10.0.0.2" };
  let mount: Mount | null = null;
  let trust: ServerTrust;
  const answers: (() => void)[] = [];
  const later = (verdict: ProofVerdict): Promise<ProofVerdict> =>
    new Promise((resolve) => answers.push(() => resolve(verdict)));
  const at = (address: string): string | null => behind.get(address) ?? null;
  const same = (server: string | null): ProofVerdict =>
    server === null ? { kind: "unproved", text: "gone" } : { kind: "same", server };
  const proof = {
    compare(_share: unknown, ends: Readonly<Record<RouteName, ProofEndpoint>>) {
      const [one, other] = [at(ends.tb.address), at(ends.fallback.address)];
      return later(one === other ? same(one) : { kind: "different", text: "two servers" });
    },
    recognise(_s: unknown, _r: RouteName, end: ProofEndpoint, { server }: { server: string | null }) {
      const there = at(end.address);
      if (there === null || server === null || server === there) return later(same(there));
      return later({ kind: "different", text: "another server", server: there });
    },
  };
  const clock = createManualClock();
  const begin = (): void => {
    trust = new ServerTrust({ clock, proof, outage: () => mount?.outage ?? null }, () => {});
  };
  begin();
  const probe = (address: string): RouteSeen => {
    const server = at(address);
    const place = { address, interfaceName: null, localAddress: null, text: "" };
    return server === null
      ? { atMs: 0, probe: { ...place, verdict: "gone", tcpAnswered: false, serverGuid: null } }
      : {
          atMs: 0,
          probe: { ...place, verdict: "answers", tcpAnswered: true, serverGuid: GUIDS[server] ?? null },
        };
  };
  const inUse = (): RouteInUse | null => {
    if (mount === null) return null;
    const { route, server, outage, open, address } = mount;
    const detour = address === hosts[route] ? null : { seen: probe(address), port: 445 };
    return { route, server, outage, goesOn: open, detour };
  };
  const look = (): TrustSeen => {
    const routes = { tb: probe(hosts.tb), fallback: probe(hosts.fallback) };
    return trust.note({ spec: SPEC, routes, wanted: true, inUse: inUse() });
  };
  /** What follows from a look, as the rules have it. */
  const act = (seen: TrustSeen): void => {
    if (mount === null) {
      for (const route of ROUTE_NAMES) {
        const id = seen.servers?.[route].id ?? null;
        if (id === null || mount !== null) continue;
        assert.equal(id, at(hosts[route]), "a cache is mounted on another server");
        mount = { server: id, route, address: hosts[route], outage: 1, open: true };
      }
      return;
    }
    const isDetour = mount.address !== hosts[mount.route];
    if (!mount.open && (isDetour ? seen.detourProved === true : seen.proved[mount.route])) {
      assert.equal(at(mount.address), mount.server, "connections go on to another server");
      mount.open = true;
    }
    if (isDetour && seen.proved[mount.route]) {
      assert.equal(at(hosts[mount.route]), mount.server, "open files move to another server");
      mount.address = hosts[mount.route];
      mount.open = true;
    }
  };
  const change = (address: string, to: string | null): void => {
    if (at(address) === to) return;
    behind.set(address, null);
    // Its connections end, and the carrier tells at once.
    if (mount?.address === address) {
      mount.open = false;
      mount.outage++;
    }
    // Nobody watches an address that is not in use but by looks.
    look();
    behind.set(address, to);
  };
  const steps: readonly (() => void)[] = [
    () => change(pick(random, ADDRESSES), pick(random, SERVERS)),
    () => change(pick(random, ADDRESSES), null),
    () => {
      const route = pick(random, ROUTE_NAMES);
      hosts[route] = pick(random, ADDRESSES);
      trust.retry([route]);
    },
    () => {
      mount = null;
    },
    () => begin(),
    () => trust.retry(),
    () => {
      for (const answer of answers.splice(0)) answer();
    },
    () => act(look()),
  ];
  return async (): Promise<void> => {
    pick(random, [...steps, ...steps.slice(-2), ...steps.slice(-2)])();
    await turn();
    act(look());
    await clock.advance(500);
  };
}

test(`A13 in ${SEQUENCES} random sequences nothing passes to another server than its own`, async (t) => {
  t.diagnostic(`seed ${SEED}`);
  for (let index = 0; index < SEQUENCES; index++) {
    const step = world(randomFrom(SEED + index));
    try {
      for (let count = 0; count < STEPS; count++) await step();
    } catch (error) {
      throw new Error(`sequence ${index}, seed ${SEED + index}`, { cause: error });
    }
  }
});
