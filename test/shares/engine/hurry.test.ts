import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { createHurry } from "../../../src/shares/engine/hurry.ts";
import { ServerTrust } from "../../../src/shares/engine/server-trust.ts";
import type { RouteSeen, TrustSeen } from "../../../src/shares/policy/share-seen.ts";
import type { ProofVerdict } from "../../../src/shares/server-proof/server-proof.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { SPEC } from "../world.ts";

const USUAL = Number.POSITIVE_INFINITY;
const CALM = {
  phase: "carrying",
  route: "tb",
  inDoubt: false,
  tookMs: { tb: null, fallback: 20 },
} as const;

test("A10 in calm no host is hurried, in doubt only the one in use", () => {
  const hurry = createHurry();
  assert.deepEqual(hurry(CALM), {});
  assert.deepEqual(hurry({ ...CALM, inDoubt: true }), { tb: 300 });
  assert.deepEqual(hurry({ ...CALM, phase: null, route: null, inDoubt: true }), {});
});

test("A10 while programs wait both hosts are hurried, and those that are slow get a chance now and then", () => {
  const hurry = createHurry();
  const looks = Array.from({ length: 8 }, () => hurry({ ...CALM, phase: "waiting" }));
  assert.deepEqual(
    looks.map(({ tb }) => tb),
    [300, 300, 300, USUAL, 300, 300, 300, USUAL],
  );
  assert.ok(looks.every(({ tb, fallback }) => tb === fallback));
  assert.deepEqual(hurry({ ...CALM, phase: "refusing" }), {}, "their patience is over");
});

test("A10 a host that is slow keeps its time, as long as it answers", () => {
  const hurry = createHurry();
  const waiting = { ...CALM, phase: "waiting" } as const;
  const tookMs = { tb: null, fallback: 500 };
  assert.deepEqual(hurry({ ...waiting, tookMs }), { tb: 300, fallback: USUAL });
  assert.deepEqual(hurry({ ...waiting, tookMs }), { tb: 300, fallback: USUAL });
  assert.deepEqual(hurry(waiting), { tb: 300, fallback: 300 });
});

for (const first of [1500, null]) {
  test(`A10 a host that answers in 1.5 s is proved while programs wait; at first it took ${first} ms`, async () => {
    const hurry = createHurry();
    const verdict = Promise.withResolvers<ProofVerdict>();
    const proof = { compare: () => verdict.promise, recognise: () => verdict.promise };
    const trust = new ServerTrust({ clock: createManualClock(), proof, outage: () => 1 }, () => {});
    const inUse = { route: "tb", server: "s1", outage: 1, goesOn: false } as const;
    let fallbackMs: number | null = first;
    const look = (): TrustSeen => {
      const tookMs = { tb: null, fallback: fallbackMs };
      const { fallback = 0 } = hurry({ ...CALM, phase: "waiting", tookMs });
      fallbackMs = fallback >= 1500 ? 1500 : null;
      const routes = { tb: seen(false), fallback: seen(fallbackMs !== null) };
      return trust.note({ spec: SPEC, routes, wanted: true, inUse });
    };
    for (let looks = 1; looks <= 5; looks++) look();
    assert.equal(look().asking, true);
    verdict.resolve({ kind: "same", server: "s1" });
    await turn();
    assert.equal(look().proved.fallback, true, "what waits may be moved there");
  });
}

function seen(answers: boolean): RouteSeen {
  const place = { interfaceName: null, text: "", localAddress: null };
  const probe = answers
    ? ({ ...place, verdict: "answers", tcpAnswered: true, address: "10.0.0.1", serverGuid: "aa" } as const)
    : ({ ...place, verdict: "silent", tcpAnswered: false, address: null, serverGuid: null } as const);
  return { atMs: 0, probe };
}
