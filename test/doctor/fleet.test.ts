import assert from "node:assert/strict";
import { test } from "node:test";
import type { DaemonClient } from "../../src/api/client/client.ts";
import type { FleetCheckReport, FleetReport } from "../../src/api/contract/fleet.ts";
import { callerOf } from "../../src/api/operations/operations.ts";
import { examineFleet } from "../../src/doctor/fleet.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { sampleFleet } from "../api/sample-fleet.ts";
import { accepted } from "../config/support.ts";
import { assertEach } from "../support/assert-each.ts";
import { pluck } from "../support/pluck.ts";

const { signal } = new AbortController();
const FLEET = '[fleet]\nname = "laptop"\nservers = ["tls://nas.example"]\ncredentials = "secret:fleet"\n';
const VALUES = { "secret:fleet": "SU" };

const CHECK: FleetCheckReport = {
  lacks: [],
  exceeds: [],
  authority_until: null,
};

/** Nothing else of it is asked. */
function daemonOf(report: Partial<FleetReport>, check: Partial<FleetCheckReport> = {}): DaemonClient {
  const fleet = async (): Promise<FleetReport> => sampleFleet(report);
  const fleetCheck = async (): Promise<FleetCheckReport> => ({ ...CHECK, ...check });
  return { call: callerOf<"fleet" | "fleetCheck">({ fleet, fleetCheck }) } as unknown as DaemonClient;
}

async function look(
  report: Partial<FleetReport> | null,
  values: Record<string, string> = VALUES,
  check: Partial<FleetCheckReport> = {},
  more = "",
) {
  const snapshot = await accepted(FLEET + more);
  const daemon = report === null ? null : daemonOf(report, check);
  const clock = { ...systemClock, wallMs: () => Date.parse("2026-11-20T10:00:00.000Z") };
  const findings = await examineFleet({ snapshot, values, daemon, signal, clock });
  return findings.map(({ severity, code, text }) => ({ severity, code, text }));
}

test("G1 the doctor does not mention a fleet that is not configured", async () => {
  const snapshot = await accepted("");
  assert.deepEqual(
    await examineFleet({ snapshot, values: {}, daemon: null, signal, clock: systemClock }),
    [],
  );
});

test("G1 the doctor reports that the fleet is reached, and the unreadable machines", async () => {
  assert.deepEqual(await look({}), [
    {
      severity: "ok",
      code: "fleet",
      text: "laptop is in the fleet over tls://nas.example:4222, with 3 other machines",
    },
    { severity: "warning", code: "fleet_machine", text: "phone: it is not a JSON object" },
    {
      severity: "ok",
      code: "fleet_permissions",
      text: "the server permits to this machine what it needs, and nothing in other names",
    },
  ]);
});

test("G1 the doctor reports the cause of a missing fleet", async () => {
  const link = { state: "away" as const, server: null, since: "2026-01-02T11:00:00.000Z", hint: null };
  const condition = {
    code: "fleet_unreachable",
    severity: "warning" as const,
    title: "The fleet is not reached: JetStream is not on",
    hint: "nats-server -js",
    since: "2026-01-02T11:00:00.000Z",
  };
  const away = await look({ link: { ...link, last_error: "no" }, conditions: [condition] });
  assert.deepEqual(away, [
    { severity: "warning", code: "fleet_unreachable", text: "The fleet is not reached: JetStream is not on" },
  ]);
  const connecting = await look({ link: { ...link, last_error: null } });
  assert.deepEqual(pluck(connecting, "code"), ["fleet_connecting"]);
});

test("G1 without a daemon the doctor checks only the credentials", async () => {
  assert.deepEqual(pluck(await look(null), "code"), ["fleet_not_looked_at"]);
  const [missing] = await look(null, {});
  assert.deepEqual([missing?.severity, missing?.code], ["error", "fleet_credentials"]);
});

test("G1 the doctor reports missing and excessive permissions of the server, and expiring credentials", async () => {
  const lies = "write under the names of others";
  const found = await look({}, VALUES, {
    lacks: [
      { may: "publish", subject: "mountaineer.fleet.laptop.beat", purpose: "showing that it is there" },
    ],
    exceeds: [
      { may: "publish", subject: "$KV.mountaineer_fleet.x", purpose: lies },
      { may: "publish", subject: "mountaineer.fleet.x.beat", purpose: lies },
      { may: "subscribe", subject: "_INBOX.x.>", purpose: "hear answers to others" },
    ],
    authority_until: "2027-01-02T03:04:05.000Z",
  });
  assertEach(found.slice(2), ({ severity, code, text }) => `${severity} ${code}: ${text}`, [
    "warning fleet_permission_lacks: the server does not let this machine publish to mountaineer.fleet.laptop.beat: " +
      "showing that it is there",
    `warning fleet_permission_exceeds: this machine could ${lies}, hear answers to others: the server permits it`,
    "warning fleet_authority_ends: the authority in [fleet].tls_ca is valid until 2027-01-02",
  ]);
});

test("G1 the doctor does not report the daemon's own credentials", async () => {
  const found = await look({}, {});
  assert.deepEqual(pluck(found, "code"), ["fleet", "fleet_machine", "fleet_permissions"]);
});
