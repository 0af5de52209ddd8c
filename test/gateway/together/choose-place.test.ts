import assert from "node:assert/strict";
import { test } from "node:test";
import { byPreference, type PlaceState } from "../../../src/gateway/together/agreement.ts";

const HERE: PlaceState = { backend: "files", isOwn: true, readiness: "ready", standing: "tb", busy: 0 };
const DESKTOP: PlaceState = { ...HERE, backend: "files@desktop", isOwn: false };
const NAS: PlaceState = { ...DESKTOP, backend: "files@nas" };

const CASES: readonly [what: string, places: readonly PlaceState[], best: string][] = [
  ["equal ones: here", [DESKTOP, HERE, NAS], "files"],
  ["equal ones of others: by name", [NAS, DESKTOP], "files@desktop"],
  [
    "the better route, however busy",
    [
      { ...HERE, standing: "fallback" },
      { ...DESKTOP, busy: 99 },
    ],
    "files@desktop",
  ],
  [
    "fallback before none",
    [
      { ...HERE, standing: "none" },
      { ...NAS, standing: "fallback" },
    ],
    "files@nas",
  ],
  [
    "the least busy of the best",
    [
      { ...HERE, busy: 2 },
      { ...DESKTOP, busy: 1 },
      { ...NAS, busy: 3 },
    ],
    "files@desktop",
  ],
  [
    "one that can take it before a better one that cannot",
    [
      { ...HERE, readiness: "waits" },
      { ...NAS, standing: "fallback" },
    ],
    "files@nas",
  ],
  [
    "what may come before what does not",
    [
      { ...HERE, readiness: "refuses" },
      { ...NAS, standing: "none" },
    ],
    "files@nas",
  ],
  [
    "nothing is required: as good as it gets",
    [
      { ...HERE, standing: null, busy: 1 },
      { ...NAS, standing: null },
    ],
    "files@nas",
  ],
];

for (const [what, places, best] of CASES) {
  test(`G1 a shared call goes to ${what}`, () => {
    assert.equal(byPreference(places)[0]?.backend, best);
    assert.equal(byPreference(places.toReversed())[0]?.backend, best);
  });
}

test("G1 where no machine has the share, nobody is ready", () => {
  const away = [HERE, DESKTOP].map((place) => ({ ...place, standing: "none" as const }));
  assert.deepEqual(
    byPreference(away).map(({ backend, readiness }) => [backend, readiness]),
    [
      ["files", "waits"],
      ["files@desktop", "waits"],
    ],
  );
});
