// Events of one cause become one story: as recorded from a share whose cable was pulled.
import assert from "node:assert/strict";
import { test } from "node:test";
import { transitionLabel } from "../../../src/api/labels/event-labels.ts";
import { storiesOf, type TimedEvent } from "../../../src/api/labels/event-stories.ts";

const LINK = { tb_link: "thunderbolt", host: "10.0.0.2:445" };

function event(atMs: number, name: string, fields: object = {}): TimedEvent {
  const label = transitionLabel({ ...LINK, name, ...fields });
  assert.ok(label !== null, name);
  return { ...label, atMs };
}

const shown = (events: readonly TimedEvent[]) =>
  storiesOf(events.toReversed()).map(
    ({ tone, about, text, parts }) => `${tone} ${about}: ${text} (${parts.length})`,
  );

const pulled = (atMs: number, share: string, failure: object = {}): readonly TimedEvent[] => [
  event(atMs, "share.route_down", { share, route: "tb", reason: "connection refused" }),
  event(atMs + 10, "share.error", { share, reason: "no route is back yet", ...failure }),
  event(atMs + 200, "share.failover", { share, from: "tb", to: "fallback", duration_ms: 148 + atMs }),
  event(atMs + 201, "share.error_cleared", { share, reason: "mounted" }),
];
const inOrder = (...events: readonly TimedEvent[]) => events.toSorted((one, other) => one.atMs - other.atMs);

test("a pulled cable is one story of all shares that moved, and an error that was over within a second is its part", () => {
  const network = event(0, "network.changed", { reasons: ["tb0 went down"] });
  const both = inOrder(network, ...pulled(0, "CORE"), ...pulled(5, "MEDIA"));
  assert.deepEqual(shown(both), [
    "warning MEDIA, CORE: Failed over from Thunderbolt to Fallback in 153 ms (9)",
  ]);
  const refused = event(150, "share.error", { share: "MUSIC", reason: "login refused" });
  assert.deepEqual(shown(inOrder(...both, refused)), [
    "warning MEDIA, CORE: Failed over from Thunderbolt to Fallback in 153 ms (9)",
    "bad MUSIC: Error: login refused (1)",
  ]);
});

test("an error stays one if it was not over within a second, or a program or client got it", () => {
  const [down, failed, moved] = pulled(0, "CORE");
  assert.ok(down && failed && moved);
  assert.deepEqual(shown([down, failed, { ...moved, atMs: 1_200 }]), [
    "warning CORE: Failed over from Thunderbolt to Fallback in 148 ms (1)",
    "bad CORE: Error: no route is back yet (2)",
  ]);
  const lost = event(100, "a file of a program is not the same", { share: "CORE", path: "a", why: "gone" });
  assert.equal(shown([{ ...lost, atMs: 0 }]).length, 1);
  assert.deepEqual(
    shown(inOrder(...pulled(0, "CORE"), lost)).map((text) => text.split(" ", 1)[0]),
    ["warning", "bad"],
  );
  const ended = (fields: object) => [
    event(0, "backend.ended", { backend: "files", reason: "exit 1", ...fields }),
    event(300, "backend.ready", { backend: "files", tools: 3 }),
  ];
  assert.deepEqual(shown(ended({})), ["good files: Ready with 3 tools (2)"]);
  assert.deepEqual(shown(ended({ cut: 1 })), ["bad files: Ended: exit 1 (2)"]);
});

test("errors that came three times in an hour are one error that counts; the hour before has its own", () => {
  const minute = 60_000;
  const flaps = Array.from({ length: 41 }, (_, nth) => [
    ...pulled(nth * minute, "CORE"),
    event(nth * minute + 20_000, "share.recovered", { share: "CORE", from: "fallback", to: "tb" }),
  ]).flat();
  const [recovered, dropped] = shown(flaps);
  assert.equal(recovered, "good CORE: Went back from Fallback to Thunderbolt (1)");
  assert.equal(dropped, "bad CORE: Thunderbolt dropped 41 times in 40 min (204)");
  assert.equal(shown(flaps).length, 2);
  assert.equal(
    shown([...pulled(0, "CORE"), ...pulled(61 * minute, "CORE"), ...pulled(122 * minute, "CORE")]).length,
    3,
  );
  const other = event(10.5 * minute, "share.switched", { share: "MEDIA", from: "tb", to: "fallback" });
  assert.equal(shown(inOrder(...flaps, other)).length, 3);
});
