// What the carrier's report and the proofs of servers make of a mount.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LOCAL_NETWORK_LINE } from "../../../src/network/local-network-privacy.ts";
import type { FoundMount, MountDriver } from "../../../src/shares/drivers/mount-driver.ts";
import type { RelayClient, RelayedState } from "../../../src/shares/drivers/relay-contract.ts";
import {
  observeEligibility,
  relayedIfProved,
  withPortOfRelay,
  withRelay,
} from "../../../src/shares/engine/observe-relayed.ts";
import type { IdentityInput } from "../../../src/shares/engine/server-identities.ts";
import type { CycleObserveServices, ObserveServices } from "../../../src/shares/engine/share-subject.ts";
import {
  type MountObservation,
  NO_IDENTITY,
  type RelayObservation,
  type RouteObservation,
} from "../../../src/shares/policy/share-observation.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { POLICY, SPEC } from "../world.ts";

const PORT = 40_000;
const STATE = {
  port: PORT,
  route: "tb",
  phase: "carrying",
  endpoint: { address: "10.0.1.2", port: 445, localAddress: null },
  outage: 1,
  server: "s1",
} as Partial<RelayedState> as RelayedState;
const FOUND: FoundMount = {
  id: "1",
  path: SPEC.mountPath,
  source: "//127.0.0.1/CORE",
  ...{ sameShare: true, route: "tb", processGone: false, madeByDriver: true, relayPort: PORT },
};

function probed(answers: boolean, address = "10.0.1.2"): RouteObservation {
  const verdict = answers ? "answers" : "gone";
  return { atMs: 0, probe: { verdict, tcpAnswered: answers, address, interfaceName: null, text: verdict } };
}

const ROUTES = { tb: probed(true), fallback: probed(true, "10.0.2.2") };
const LOOK = { state: "never" } as const;
const clock = createManualClock();

interface Case {
  readonly found?: Partial<FoundMount>;
  readonly state?: RelayedState | null;
  readonly absentMs?: number;
  readonly tools?: Partial<ObserveServices>;
}

function seen({ found, state = STATE, absentMs, tools }: Case): MountObservation {
  const absentSinceMs = absentMs === undefined ? null : clock.monotonicMs() - absentMs;
  const relay = { of: () => state, absentSinceMs } as Partial<RelayClient> as RelayClient;
  const driver = { onlyThroughRelay: true } as Partial<MountDriver> as MountDriver;
  const look = { clock, relay, ...tools } as ObserveServices;
  const mount = { found: { ...FOUND, ...found }, check: LOOK };
  return withRelay(look, { spec: SPEC, policy: POLICY, driver }, ROUTES, mount);
}

const MOUNTS: readonly (readonly [what: string, input: Case, expected: string])[] = [
  ["one that the carrier reports is carried", {}, "carried, by s1"],
  ["its own note of its server counts most", { found: { server: "s2" } }, "carried, by s2"],
  ["one that is pinned is guarded alone", { found: { guarded: true } }, "pinned, by s1"],
  [
    "unless later proofs allowed moves",
    { found: { guarded: true }, tools: { rememberedPort: () => PORT } },
    "carried, by s1",
  ],
  ["one of an earlier configuration is judged by looks alone", { found: { former: true } }, "ordinary"],
  ["one of another share is left as it is", { found: { sameShare: false } }, "ordinary"],
  [
    "somebody else's tunnel to a local port is ordinary",
    { found: { madeByDriver: false }, state: null },
    "ordinary",
  ],
  [
    "one that was carried by an earlier daemon is not, and dead without a carrier",
    { found: { madeByDriver: false }, state: null, tools: { rememberedPort: () => PORT } },
    "dead",
  ],
  ["one at another port than the share's is dead", { state: { ...STATE, port: PORT + 1 } }, "dead"],
  [
    "a carrier that was away for less than ten seconds may return",
    { state: null, absentMs: 9_999 },
    "ordinary",
  ],
  ["one that was away for longer does not", { state: null, absentMs: 10_000 }, "dead"],
];

for (const [what, input, expected] of MOUNTS) {
  test(`A10 ${what}`, () => {
    const { relayed, guarded, found } = seen(input);
    const through = relayed
      ? `carried, by ${relayed.server}`
      : guarded
        ? `pinned, by ${guarded.server}`
        : null;
    const other = found.processGone ? "dead" : "ordinary";
    assert.equal(through ?? other, expected);
  });
}

test("A10 a mount that the relay knows stays relayed when the driver in the file is another one", () => {
  const other = { ...FOUND, madeByDriver: false, relayPort: null };
  const withMount = { ...STATE, mount: { id: FOUND.id, path: FOUND.path, process: null } };
  const relayOf = (state: RelayedState | null) =>
    ({ of: () => state, absentSinceMs: null }) as Partial<RelayClient> as RelayClient;
  const known = withPortOfRelay({ relay: relayOf(withMount) }, SPEC, other);
  const tools = { rememberedPort: () => PORT };
  assert.equal(
    seen({ found: known, state: { ...withMount, route: "fallback" }, tools }).relayed?.route,
    "fallback",
  );
  for (const state of [null, STATE, { ...withMount, mount: { ...withMount.mount, id: "another" } }])
    assert.equal(withPortOfRelay({ relay: relayOf(state) }, SPEC, other).relayPort, null);
  const gone = { ...other, processGone: true };
  assert.equal(withPortOfRelay({ relay: relayOf(withMount) }, SPEC, gone), gone);
});

const PINNED = { ...STATE, rerouted: false } as RelayObservation;
const PROVED = { ...NO_IDENTITY, state: "same", proved: { tb: true, fallback: false } } as const;
const DOWN = { ...ROUTES, fallback: probed(false) };

test("A10 a guarded mount is relayed once all routes that answer are proved", () => {
  const isCarried = (
    change: Partial<typeof PROVED>,
    obstacle: string | null = null,
    guarded = PINNED,
    routes = DOWN,
  ) => {
    const mount = { found: { ...FOUND, guarded: true }, check: LOOK, guarded };
    const carry = { obstacle, identity: { ...PROVED, ...change } };
    return relayedIfProved(mount, carry, routes)?.relayed !== undefined;
  };
  assert.equal(isCarried({}), true);
  assert.equal(isCarried({}, null, PINNED, ROUTES), false, "the other one answers, and is not proved");
  assert.equal(isCarried({ proved: { tb: true, fallback: true } } as object, null, PINNED, ROUTES), true);
  assert.equal(isCarried({ proved: { tb: false, fallback: false } } as object), false);
  assert.equal(isCarried({ state: "unproved" } as object), false);
  assert.equal(isCarried({}, "smbclient is missing"), false);
  assert.equal(isCarried({}, null, { ...PINNED, phase: "unconfirmed" }), false);
});

test("A14 a server is contacted only with a password that exists, and about a login only while logins are paused", async () => {
  const asked = async (logon: object | null, missingVariable: string | null = null) => {
    const noted: IdentityInput[] = [];
    const tools = {
      relay: { of: () => STATE, keepEndpoints() {} },
      trust: {
        observe(input: IdentityInput) {
          noted.push(input);
          return NO_IDENTITY;
        },
      },
      login: () => logon,
    } as object as CycleObserveServices;
    const driver = {
      name: "rclone",
      canBeRelayed: true,
      onlyThroughRelay: true,
    } as object as MountDriver;
    const subject = { spec: { ...SPEC, missingVariable }, policy: POLICY, driver };
    await observeEligibility(tools, subject, { routes: ROUTES, configured: ROUTES, offNetwork: null }, null);
    return [noted[0]?.wanted, noted[0]?.checksLogin];
  };
  const logon = { may: true, accepted: false, refusedAs: "same" };
  assert.deepEqual(await asked(null), [true, false]);
  assert.deepEqual(await asked(null, "NAS"), [false, false]);
  assert.deepEqual(await asked({ ...logon, may: false }), [false, true]);
  assert.deepEqual(await asked(logon), [true, true]);
  assert.deepEqual(await asked({ ...logon, accepted: true }), [true, false]);
  assert.deepEqual(await asked({ ...logon, refusedAs: null }), [true, false]);
});

test("A10 a share whose host macOS hides from this program is mounted by the system, and not relayed", async () => {
  const observe = async (blocked: boolean) => {
    let wanted: boolean | null = null;
    const tools = {
      relay: { of: () => null },
      trust: {
        observe(input: IdentityInput) {
          wanted = input.wanted;
          return NO_IDENTITY;
        },
      },
    } as object as CycleObserveServices;
    const driver = { name: "netfs", canBeRelayed: true } as object as MountDriver;
    const tb: RouteObservation = blocked
      ? { ...ROUTES.tb, probe: { ...ROUTES.tb.probe, blocked } }
      : ROUTES.tb;
    const routes = { ...ROUTES, tb };
    const spec = { ...SPEC, missingVariable: null };
    const subject = { spec, policy: { ...POLICY, onRouteChange: "move" as const }, driver };
    const carry = await observeEligibility(
      tools,
      subject,
      { routes, configured: routes, offNetwork: null },
      null,
    );
    return [carry?.obstacle ?? null, wanted];
  };
  assert.deepEqual(await observe(false), [null, true]);
  assert.deepEqual(await observe(true), [LOCAL_NETWORK_LINE, false], "its server could not be proved either");
});
