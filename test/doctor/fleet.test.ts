import assert from "node:assert/strict";
import { test } from "node:test";
import type { DaemonClient } from "../../src/api/client/client.ts";
import type { FleetReport } from "../../src/api/fleet-contract.ts";
import { examineFleet } from "../../src/doctor/fleet.ts";
import { sampleFleet } from "../api/sample-fleet.ts";
import { accepted } from "../config/support.ts";

const { signal } = new AbortController();
const FLEET = '[fleet]\nname = "laptop"\nservers = ["tls://nas.example"]\ncredentials = "secret:fleet"\n';
const VALUES = { "secret:fleet": "SU" };

/** Nothing else of it is asked. */
function daemonOf(report: Partial<FleetReport>): DaemonClient {
  const fleet = async (): Promise<FleetReport> => sampleFleet(report);
  return { fleet } as unknown as DaemonClient;
}

async function look(report: Partial<FleetReport> | null, values: Record<string, string> = VALUES) {
  const snapshot = await accepted(FLEET);
  const daemon = report === null ? null : daemonOf(report);
  const findings = await examineFleet({ snapshot, values, daemon, signal });
  return findings.map(({ severity, code, text }) => ({ severity, code, text }));
}

test("G1 the doctor says nothing of a fleet that is not configured", async () => {
  const snapshot = await accepted("");
  assert.deepEqual(await examineFleet({ snapshot, values: {}, daemon: null, signal }), []);
});

test("G1 the doctor says that the fleet is reached, and which machines cannot be read", async () => {
  assert.deepEqual(await look({}), [
    {
      severity: "ok",
      code: "fleet",
      text: "laptop is in the fleet over tls://nas.example:4222, with 3 other machines",
    },
    { severity: "warning", code: "fleet_machine", text: "phone: it is not a JSON object" },
  ]);
});

test("G1 the doctor says what keeps the fleet away", async () => {
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
  assert.deepEqual(
    connecting.map(({ code }) => code),
    ["fleet_connecting"],
  );
});

test("G1 without a daemon the doctor looks for the credentials alone", async () => {
  assert.deepEqual(
    (await look(null)).map(({ code }) => code),
    ["fleet_not_looked_at"],
  );
  const [missing] = await look(null, {});
  assert.deepEqual([missing?.severity, missing?.code], ["error", "fleet_credentials"]);
});
