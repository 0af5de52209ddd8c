// The two facts of a mount, for each result of a check and each state of its connections.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type MountFact, mountFact } from "../../../src/shares/policy/mount-fact.ts";
import { INITIAL_STATE, type ReconcileState } from "../../../src/shares/policy/reconcile-state.ts";
import type { MountObservation, ShareObservation } from "../../../src/shares/policy/share-observation.ts";
import type { MountCheck } from "../../../src/shares/prober/prober.ts";
import { foundMount, probe, seenOf } from "../../daemon/shares.ts";
import { deepFreeze } from "../../support/deep-freeze.ts";
import { POLICY } from "../world.ts";

const NOW_MS = 100_000;
const healthy = { monotonicMs: 1000, wallMs: 0 };
const HEALTHY: ReconcileState = {
  ...INITIAL_STATE,
  health: { ...INITIAL_STATE.health, tb: { ...INITIAL_STATE.health.tb, healthySince: healthy } },
};

const failed = (errno: string): MountCheck => ({
  state: "answered",
  startedAtMs: NOW_MS - 100,
  finishedAtMs: NOW_MS - 50,
  errno,
});
const pending = (forMs: number): MountCheck => ({ state: "pending", startedAtMs: NOW_MS - forMs });
const lists: MountCheck = { ...failed(""), state: "answered", errno: null } as MountCheck;

type Check = readonly [check: MountCheck, firstFailedAtMs?: number];
const CHECKS: Readonly<Record<string, Check>> = {
  lists: [lists],
  never: [{ state: "never" }],
  "0.5 s": [pending(500)],
  "1.5 s": [pending(1500)],
  hung: [pending(60_000), NOW_MS],
  "EIO once": [failed("EIO")],
  "EIO twice": [failed("EIO"), NOW_MS - 5000],
  EACCES: [failed("EACCES")],
  EMFILE: [failed("EMFILE")],
  ENOTCONN: [failed("ENOTCONN")],
};

interface Setting {
  readonly mount?: Partial<MountObservation>;
  readonly observed?: Partial<ShareObservation>;
}
const gone = { atMs: NOW_MS, probe: probe("gone") };
const SETTINGS: Readonly<Record<string, Setting>> = {
  "over one route": {},
  "its route gone": { observed: { routes: { tb: gone, fallback: gone } } },
};

function factOf({ mount, observed }: Setting, [check, firstFailedAtMs]: Check): MountFact {
  const state: ReconcileState = {
    ...HEALTHY,
    firstFailedCheck: firstFailedAtMs === undefined ? null : { startedAtMs: firstFailedAtMs },
    pendingCheck:
      check.state === "pending" ? { startedAtMs: check.startedAtMs, noticedAtMs: check.startedAtMs } : null,
  };
  const input = { observed: seenOf({ atMs: NOW_MS, ...observed }), policy: POLICY, state };
  const inspected = { found: foundMount(), check, ...mount };
  const [fact, again] = [mountFact(deepFreeze(input), deepFreeze(inspected)), mountFact(input, inspected)];
  assert.deepEqual(again, fact, "asking twice gives two answers");
  return fact;
}

function shown({ verdict, use }: MountFact): string {
  const judged = verdict.state === "unproven" ? verdict.why : verdict.state;
  return use.state === "usable" ? judged : `${judged}, ${use.why}`;
}

const USABLE_ROW = {
  lists: "alive",
  never: "unchecked, unchecked",
  "0.5 s": "pending",
  "1.5 s": "pending, no_answer",
  hung: "dead, no_answer",
  "EIO once": "failed",
  "EIO twice": "dead, no_answer",
  EACCES: "alive",
  EMFILE: "shortage",
  ENOTCONN: "dead, no_answer",
};
const TABLE: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "over one route": USABLE_ROW,
  "its route gone": {
    ...Object.fromEntries(
      Object.entries(USABLE_ROW).map(([check, row]) => [
        check,
        row.startsWith("dead") ? row : `${row.split(",")[0]}, route_gone`,
      ]),
    ),
  },
};

for (const [setting, rows] of Object.entries(TABLE))
  test(`A2 a mount ${setting}: one verdict and one use for each result of a check`, () => {
    const facts = Object.entries(CHECKS).map(([name, check]) => [
      name,
      shown(factOf(SETTINGS[setting] ?? {}, check)),
    ]);
    assert.deepEqual(Object.fromEntries(facts), rows);
  });
