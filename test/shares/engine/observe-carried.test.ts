// What the carrier's report and the proofs of servers make of a mount.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LOCAL_NETWORK_LINE } from "../../../src/network/local-network-privacy.ts";
import type { Carriage, CarriedState } from "../../../src/shares/drivers/carriage.ts";
import type { FoundMount, MountDriver } from "../../../src/shares/drivers/mount-driver.ts";
import { carriedIfProved, observeCarry, withCarried } from "../../../src/shares/engine/observe-carried.ts";
import type { TrustInput } from "../../../src/shares/engine/server-trust.ts";
import type { LookTools, ObserveTools } from "../../../src/shares/engine/share-subject.ts";
import {
  type CarriedSeen,
  type MountSeen,
  NO_TRUST,
  type RouteSeen,
} from "../../../src/shares/policy/share-seen.ts";
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
} as Partial<CarriedState> as CarriedState;
const FOUND: FoundMount = {
  id: "1",
  path: SPEC.mountPath,
  source: "//127.0.0.1/CORE",
  ...{ sameShare: true, route: "tb", processGone: false, madeByDriver: true, carriedPort: PORT },
};

function probed(answers: boolean, address = "10.0.1.2"): RouteSeen {
  const verdict = answers ? "answers" : "gone";
  return { atMs: 0, probe: { verdict, tcpAnswered: answers, address, interfaceName: null, text: verdict } };
}

const ROUTES = { tb: probed(true), fallback: probed(true, "10.0.2.2") };
const LOOK = { state: "never" } as const;
const clock = createManualClock();

interface Case {
  readonly found?: Partial<FoundMount>;
  readonly state?: CarriedState | null;
  readonly absentMs?: number;
  readonly tools?: Partial<LookTools>;
}

function seen({ found, state = STATE, absentMs, tools }: Case): MountSeen {
  const absentSinceMs = absentMs === undefined ? null : clock.monotonicMs() - absentMs;
  const carriage = { of: () => state, absentSinceMs } as Partial<Carriage> as Carriage;
  const driver = { keepsUnsent: true } as Partial<MountDriver> as MountDriver;
  const look = { clock, carriage, ...tools } as LookTools;
  const mount = { found: { ...FOUND, ...found }, look: LOOK };
  return withCarried(look, { spec: SPEC, policy: POLICY, driver }, ROUTES, mount);
}

const MOUNTS: readonly (readonly [what: string, input: Case, expected: string])[] = [
  ["one that the carrier reports is carried", {}, "carried, by s1"],
  ["its own note of its server counts most", { found: { server: "s2" } }, "carried, by s2"],
  ["one that is pinned is guarded alone", { found: { pinned: true } }, "pinned, by s1"],
  [
    "unless later proofs allowed moves",
    { found: { pinned: true }, tools: { rememberedPort: () => PORT } },
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
    const { carried, pinned, found } = seen(input);
    const through = carried ? `carried, by ${carried.server}` : pinned ? `pinned, by ${pinned.server}` : null;
    const other = found.processGone ? "dead" : "ordinary";
    assert.equal(through ?? other, expected);
  });
}

const PINNED = { ...STATE, rerouted: false } as CarriedSeen;
const PROVED = { ...NO_TRUST, state: "same", proved: { tb: true, fallback: false } } as const;
const DOWN = { ...ROUTES, fallback: probed(false) };

test("A10 a pinned mount is carried from the proof of all routes that answer on", () => {
  const isCarried = (
    change: Partial<typeof PROVED>,
    unable: string | null = null,
    pinned = PINNED,
    routes = DOWN,
  ) => {
    const mount = { found: { ...FOUND, pinned: true }, look: LOOK, pinned };
    const carry = { unable, trust: { ...PROVED, ...change } };
    return carriedIfProved(mount, carry, routes)?.carried !== undefined;
  };
  assert.equal(isCarried({}), true);
  assert.equal(isCarried({}, null, PINNED, ROUTES), false, "the other one answers, and is not proved");
  assert.equal(isCarried({ proved: { tb: true, fallback: true } } as object, null, PINNED, ROUTES), true);
  assert.equal(isCarried({ proved: { tb: false, fallback: false } } as object), false);
  assert.equal(isCarried({ state: "unproved" } as object), false);
  assert.equal(isCarried({}, "smbclient is missing"), false);
  assert.equal(isCarried({}, null, { ...PINNED, phase: "unconfirmed" }), false);
});

test("A14 a server is asked only with a password that is there, and for a login only while logins are held back", async () => {
  const asked = async (logon: object | null, missingVariable: string | null = null) => {
    const noted: TrustInput[] = [];
    const tools = {
      carriage: { of: () => STATE, keepEndpoints() {} },
      trust: {
        note(input: TrustInput) {
          noted.push(input);
          return NO_TRUST;
        },
      },
      logon: () => logon,
    } as object as ObserveTools;
    const driver = { name: "rclone", carries: { can: true }, keepsUnsent: true } as object as MountDriver;
    const subject = { spec: { ...SPEC, missingVariable }, policy: POLICY, driver };
    await observeCarry(tools, subject, { routes: ROUTES, configured: ROUTES, away: null }, null);
    return [noted[0]?.wanted, noted[0]?.asksLogin];
  };
  const logon = { may: true, accepted: false, shut: "same" };
  assert.deepEqual(await asked(null), [true, false]);
  assert.deepEqual(await asked(null, "NAS"), [false, false]);
  assert.deepEqual(await asked({ ...logon, may: false }), [false, true]);
  assert.deepEqual(await asked(logon), [true, true]);
  assert.deepEqual(await asked({ ...logon, accepted: true }), [true, false]);
  assert.deepEqual(await asked({ ...logon, shut: null }), [true, false]);
});

test("A10 a share whose host macOS keeps from this program is mounted by the system, and not carried", async () => {
  const observe = async (blocked: boolean) => {
    let wanted: boolean | null = null;
    const tools = {
      carriage: { of: () => null },
      trust: {
        note(input: TrustInput) {
          wanted = input.wanted;
          return NO_TRUST;
        },
      },
    } as object as ObserveTools;
    const driver = { name: "netfs", carries: {} } as object as MountDriver;
    const tb: RouteSeen = blocked ? { ...ROUTES.tb, probe: { ...ROUTES.tb.probe, blocked } } : ROUTES.tb;
    const routes = { ...ROUTES, tb };
    const spec = { ...SPEC, missingVariable: null };
    const subject = { spec, policy: { ...POLICY, carry: "auto" as const }, driver };
    const carry = await observeCarry(tools, subject, { routes, configured: routes, away: null }, null);
    return [carry?.unable ?? null, wanted];
  };
  assert.deepEqual(await observe(false), [null, true]);
  assert.deepEqual(await observe(true), [LOCAL_NETWORK_LINE, false], "its server could not be proved either");
});
