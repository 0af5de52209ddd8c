import assert from "node:assert/strict";
import { test } from "node:test";
import type { FlowEvent, GlobalStatus, ShareStatus } from "../../../../src/api/contract/contract.ts";
import type { FleetReport } from "../../../../src/api/contract/fleet.ts";
import { wholeText } from "../../../../src/api/labels/label.ts";
import { cableText } from "../../../../src/api/labels/share-labels.ts";
import { type Flow, flowAfter, rateOf } from "../../../../src/web/page/daemon/flow.ts";
import { drawingOf, type Picture, pictureOf } from "../../../../src/web/page/home/picture.ts";
import { findTroubles } from "../../../../src/web/page/home/troubles.ts";
import { sampleApprovals } from "../../../api/sample-config.ts";
import { sampleFleet } from "../../../api/sample-fleet.ts";
import { gatewayReport, sampleBackend } from "../../../api/sample-gateway.ts";
import { SAMPLE_MOVES, sampleReport, sampleShare } from "../../../api/sample-report.ts";
import { pluck } from "../../../support/pluck.ts";

const event = (bytes: number, calls = 0): FlowEvent => ({
  kind: "flow",
  shares: [{ name: "CORE", to_server: bytes, from_server: 0 }],
  backends: [{ name: "files", calls }],
  clients: [{ name: "Zed", sessions: 2, calls }],
});

const flowed = (...told: readonly (readonly [ms: number, bytes: number, calls: number])[]): Flow | null =>
  told.reduce<Flow | null>((last, [ms, bytes, calls]) => flowAfter(last, event(bytes, calls), ms), null);

const picture = (
  shares: readonly ShareStatus[],
  flow: Flow | null = null,
  fleet: FleetReport | null = null,
): Picture => pictureOf({ status: gatewayReport(undefined, { shares: [...shares] }), fleet, flow }, 1500);

/** `KIND title: text` of each, with its wires. */
const told = ({ joined }: Picture): readonly string[] =>
  joined.map(({ kind, title, text, wires }) =>
    [
      `${kind} ${title}: ${text}`,
      ...wires.map(({ state, label, rate }) => `${state} ${label} ${rate}`.trim()),
    ].join(" | "),
  );

test("F4 a cable is in use, ready, unverified or down, in the words of all UIs", () => {
  const unproved = {
    ...{ code: "server_unproved", severity: "warning" as const, title: "t", hint: null },
    since: "2026-01-01T00:00:00.000Z",
  };
  const cables = (changes: Partial<ShareStatus>): readonly string[] =>
    cableText(sampleShare(changes)).map(
      ({ label, state, text, tone }) => `${label} ${state} ${text} ${tone}`,
    );
  assert.deepEqual(cables({}), ["Thunderbolt used in use good", "Fallback ready ready plain"]);
  assert.deepEqual(cables({ active_interface: "fallback", tb_reachable: false, tb_reachable_since: null }), [
    "Thunderbolt down no answer bad",
    "Fallback used in use good",
  ]);
  assert.deepEqual(cables({ conditions: [unproved] }), [
    "Thunderbolt used in use good",
    "Fallback unproved not proved warning",
  ]);
  assert.deepEqual(
    cables({ tb_reachable: false, tb_reachable_since: null })[0],
    "Thunderbolt used in use, no answer bad",
  );
});

test("F4 the picture has the NAS once with its cables, agents, servers and other machines; a move shows on the cables", () => {
  const shares = [sampleShare(), sampleShare({ name: "MEDIA" })];
  const flow = flowed([0, 0, 0], [1000, 50_000_000, 1]);
  assert.deepEqual(told(picture(shares, flow)), [
    "agent Zed × 2: 1 call | plain",
    "nas 192.168.1.20: CORE, MEDIA | used Thunderbolt · in use 50.0 MB/s | ready Fallback · ready",
    "server files: Ready · 1 call | plain",
  ]);
  const onNas = shares.map((share) => ({ ...share, nas: "home" }));
  assert.match(told(picture(onNas, flow))[1] ?? "", /^nas home: CORE, MEDIA \|/, "by its name in the file");
  const onTwo = [...onNas, sampleShare({ name: "OTHER", nas: "again" })];
  assert.match(told(picture(onTwo, flow))[1] ?? "", /^nas 192\.168\.1\.20: CORE, MEDIA, OTHER \|/);
  const moved = shares.map((share) => ({
    ...share,
    active_interface: "fallback" as const,
    tb_reachable: false,
  }));
  assert.match(
    told(picture(moved, flow))[1] ?? "",
    /down Thunderbolt .* \| used Fallback · in use 50\.0 MB\/s$/,
  );
  assert.match(told(picture([sampleShare({ tb_host: null, fb_host: null })]))[0] ?? "", /^nas CORE: {2}\|/);
  const fleet = sampleFleet();
  const machines = picture([], null, fleet).joined.filter(({ kind }) => kind === "peer");
  assert.deepEqual(
    machines.map(({ title }) => title).sort(),
    fleet.machines
      .filter(({ own }) => !own)
      .map(({ name }) => name)
      .sort(),
  );
  assert.deepEqual(
    pictureOf({ status: sampleReport(), fleet: null, flow }, 0).joined.length,
    1,
    "no gateway",
  );
});

test("F4 the cables show that Thunderbolt is ready again, and no cut line below", () => {
  const ready = sampleShare({ active_interface: "fallback", tb_recovery_pending: true });
  const nas = picture([ready]).joined.find(({ kind }) => kind === "nas");
  assert.deepEqual(pluck(nas?.wires ?? [], "label"), ["Thunderbolt · ready", "Fallback · in use"]);
  assert.equal(nas?.trouble, "");
});

test("F4 from eight servers on they are one thing with the worst tone, and on a narrow page from three on", () => {
  const backends = Array.from({ length: 60 }, (_, at) =>
    sampleBackend({ name: `s${at}`, phase: at === 59 ? "Failed" : "Ready" }),
  );
  const titles = (count: number, isNarrow: boolean) =>
    pictureOf({ status: gatewayReport(backends.slice(-count)), fleet: null, flow: null }, 0, isNarrow)
      .joined.filter(({ kind }) => kind === "server")
      .map(({ title, text, tone }) => `${title}: ${text} ${tone}`);
  assert.deepEqual(titles(60, false), ["60 servers: 1 Failed, 59 Ready bad"]);
  assert.deepEqual(titles(8, false), ["8 servers: 1 Failed, 7 Ready bad"]);
  assert.equal(titles(7, false).length, 7);
  assert.match(titles(7, false)[0] ?? "", /^s59/);
  assert.deepEqual(titles(3, true), ["3 servers: 1 Failed, 2 Ready bad"]);
});

test("F4 a rate is the present one; calls pass once, and no longer than a second", () => {
  const flow = flowed([0, 0, 0], [500, 10_000_000, 0], [1000, 20_000_000, 2]);
  assert.deepEqual(
    flow?.passing,
    new Map([
      ["server files", [1000]],
      ["client Zed", [1000]],
    ]),
  );
  assert.equal(rateOf(flow, "CORE", 1500), 20_000_000);
  assert.equal(rateOf(flow, "CORE", 3500), 0, "nothing more was told");
  assert.equal(rateOf(flow, "OTHER", 1500), 0);
  const later = flowed([0, 0, 0], [1000, 0, 2], [1500, 0, 3], [2400, 0, 3]);
  assert.deepEqual(later?.passing.get("server files"), [1500]);
  const anew = flowed([0, 5_000, 7], [1000, 0, 0]);
  assert.deepEqual([rateOf(anew, "CORE", 1000), anew?.passing.size], [0, 0], "a daemon that begins anew");
});

test("F4 wide and narrow, nothing overlaps another or leaves the picture, and each wire reaches its target", () => {
  const shares = ["a", "b", "c"].map((name) => sampleShare({ name, fb_host: `${name}.local` }));
  const whole = picture(shares, flowed([0, 0, 0]), sampleFleet());
  for (const isNarrow of [false, true]) {
    const { things, wires, left, width, height } = drawingOf(whole, isNarrow);
    assert.equal(things.length, whole.joined.length + 1);
    assert.equal(wires.length, whole.joined.flatMap((each) => each.wires).length);
    for (const { thing, box } of things) {
      assert.ok(box.x >= left && box.x + box.width <= left + width, thing.id);
      assert.ok(box.y >= 0 && box.y + box.height <= height, thing.id);
      for (const { thing: other, box: that } of things) {
        const apart =
          box.x + box.width <= that.x ||
          that.x + that.width <= box.x ||
          box.y + box.height <= that.y ||
          that.y + that.height <= box.y;
        assert.ok(thing === other || apart, `${thing.id} and ${other.id}, narrow ${isNarrow}`);
      }
    }
    assert.ok(wires.every(({ labelY }) => labelY >= 0 && labelY <= height));
  }
});

const fallback = { active_interface: "fallback", tb_reachable: false, tb_reachable_since: null } as const;

const moving = { ...fallback, moves: SAMPLE_MOVES };

/** `ABOUT: TEXT / HINT [BUTTON]` of each. */
function troublesOf(
  shares: readonly Partial<ShareStatus>[],
  global: Partial<GlobalStatus> = {},
): readonly string[] {
  const status = sampleReport(shares.map(sampleShare), global);
  return findTroubles(status, null).map(
    (trouble) => `${wholeText(trouble)} / ${trouble.hint} [${trouble.action?.label ?? ""}]`,
  );
}

test("F4 a cable's loss is reported once for all shares of a NAS, with the consequences", () => {
  assert.deepEqual(
    troublesOf([{ name: "CORE", ...moving }, { name: "MEDIA", ...moving }, { name: "OTHER" }]),
    [
      "CORE, MEDIA: mounted over Fallback, Thunderbolt does not answer / Work continues. It returns once Thunderbolt has answered for 30 s. []",
    ],
  );
  assert.deepEqual(troublesOf([{ ...fallback, tb_reachable: true }]), [
    "CORE: mounted over Fallback, Thunderbolt answers again / Work continues. It returns once Thunderbolt has answered for 30 s and no file is open. []",
  ]);
  assert.deepEqual(troublesOf([moving], { auto_failback: false, lsof_recheck: false }), [
    "CORE: mounted over Fallback, Thunderbolt does not answer / Work continues. It returns to Thunderbolt when you switch it. []",
  ]);
});

test("F4 a share over its second cable with a further problem is listed by that problem, and with its button", () => {
  assert.deepEqual(
    troublesOf([
      { ...fallback, last_error: "no login" },
      { ...fallback, name: "MEDIA" },
    ]),
    [
      "CORE: mounted over Fallback: no login / null [Check now]",
      "MEDIA: mounted over Fallback, Thunderbolt does not answer / Work continues. It returns once Thunderbolt has answered for 30 s and no file is open. []",
    ],
  );
  assert.deepEqual(troublesOf([{ ...fallback, override: "fallback" }]), []);
  const waiting = { ...fallback, moves: { ...SAMPLE_MOVES, phase: "waiting" as const } };
  assert.match(
    troublesOf([waiting]).join(),
    /^CORE: mounted, programs wait for a route \/ null \[Check now\]$/,
  );
});

test("F4 a TB Ready share explains the term, and has the button", () => {
  const ready = { ...fallback, tb_reachable: true, tb_recovery_pending: true };
  assert.deepEqual(troublesOf([ready], { lsof_recheck: false }), [
    "CORE: mounted over Fallback, TB Ready / TB Ready: Thunderbolt is back. It waits for you to switch it. [Switch to Thunderbolt]",
  ]);
});

test("F4 a server's problem has its name once", () => {
  const reason = "server tickets: cannot reach it";
  const condition = { code: "x", severity: "error" as const, title: reason, hint: null, since: "" };
  const backend = sampleBackend({ name: "tickets", phase: "Failed", conditions: [condition] });
  const [trouble] = findTroubles(gatewayReport([backend]), null);
  assert.ok(trouble !== undefined);
  assert.equal(wholeText(trouble), "tickets: Failed: cannot reach it");
  const waits = { ...condition, code: "waiting_for_approval", severity: "warning" as const };
  const off = sampleBackend({ name: "new", enabled: false, phase: "Failed", conditions: [waits] });
  const told = findTroubles(gatewayReport([off]), sampleApprovals());
  assert.deepEqual(told.map(wholeText), ["1 change waits for your approval"], "told once");
  assert.deepEqual(findTroubles(gatewayReport([sampleBackend({ enabled: false })]), null), []);
});
