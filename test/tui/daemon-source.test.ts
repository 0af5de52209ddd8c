import assert from "node:assert/strict";
import { test } from "node:test";
import type { StatusReport } from "../../src/api/contract.ts";
import { createDaemonSource } from "../../src/tui/daemon-source.ts";
import { homeConnection, startDaemonLink } from "../../src/tui/link/daemon-link.ts";
import type { GatewayGlance } from "../../src/tui/status/sync-source.ts";
import { startRig } from "../api/management-rig.ts";
import { scriptedConfig } from "../api/sample-config.ts";
import { gatewayReport, sampleBackend } from "../api/sample-gateway.ts";
import { sampleReport, scriptedControl } from "../api/sample-report.ts";
import { eventually } from "../support/eventually.ts";

test("C3 the gateway is looked at afresh when it or a backend changed, and is gone when it or the daemon is", async (t) => {
  let report: StatusReport = sampleReport();
  let looks = 0;
  const config = scriptedConfig();
  const control = {
    ...scriptedControl(),
    status: () => {
      looks += 1;
      return report;
    },
  };
  const { home, server } = await startRig(t, { control, config });
  const glances: (GatewayGlance | null)[] = [];
  const absences: string[] = [];
  const stop = new AbortController();
  const link = startDaemonLink({ connect: homeConnection(home), signal: stop.signal });
  const following = createDaemonSource({ link, configPath: null }).follow(
    {
      present() {},
      state() {},
      event() {},
      gateway: (glance) => glances.push(glance),
      absent: (reason) => absences.push(reason),
    },
    stop.signal,
  );
  t.after(async () => {
    stop.abort();
    await following;
  });
  const emit = (name: string) => config.emit({ kind: "transition", transition: { name } });
  await eventually(() => glances.length === 1);
  assert.equal(glances[0], null);
  for (const name of ["backend.phase", "catalog.changed", "gateway.listening"]) {
    report = gatewayReport([sampleBackend({ name })]);
    emit(name);
    await eventually(() => glances.at(-1)?.backends[0]?.name === name);
  }
  report = sampleReport();
  emit("backend.phase");
  await eventually(() => glances.at(-1) === null);
  const before = looks;
  report = gatewayReport();
  for (let round = 0; round < 500; round += 1) emit("backend.phase");
  await eventually(() => glances.at(-1) !== null);
  assert.ok(looks - before < 10, `${looks - before} looks for 500 events`);
  await server[Symbol.asyncDispose]();
  await eventually(() => absences.length > 0);
  assert.equal(glances.at(-1), null);
});
