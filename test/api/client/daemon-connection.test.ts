import assert from "node:assert/strict";
import { test } from "node:test";
import { connectionTo, startDaemonConnection } from "../../../src/api/client/daemon-connection.ts";
import type { StatusReport } from "../../../src/api/contract/contract.ts";
import { startRig } from "../../api/management-rig.ts";
import { scriptedConfig } from "../../api/sample-config.ts";
import { gatewayReport, sampleBackend } from "../../api/sample-gateway.ts";
import { sampleReport, scriptedControl } from "../../api/sample-report.ts";
import { eventually } from "../../support/eventually.ts";

test("C3 the status is reread after an event, a burst causes few rereads, and a daemon's end is reported", async (t) => {
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
  const stop = new AbortController();
  t.after(() => stop.abort());
  const link = startDaemonConnection({ connect: connectionTo(home, null, stop.signal), signal: stop.signal });
  const emit = (name: string) => config.emit({ kind: "transition", transition: { name } });
  await eventually(() => link.status.get() !== null);
  assert.equal(link.status.get()?.gateway, undefined);
  for (const name of ["backend.phase", "catalog.changed", "gateway.listening"]) {
    report = gatewayReport([sampleBackend({ name })]);
    emit(name);
    await eventually(() => link.status.get()?.backends?.[0]?.name === name);
  }
  report = sampleReport();
  emit("backend.phase");
  await eventually(() => link.status.get()?.gateway === undefined);
  const before = looks;
  report = gatewayReport();
  for (let round = 0; round < 500; round += 1) emit("backend.phase");
  await eventually(() => link.status.get()?.gateway !== undefined);
  assert.ok(looks - before < 10, `${looks - before} looks for 500 events`);
  await server[Symbol.asyncDispose]();
  await eventually(() => link.connection.get().kind === "waiting");
  assert.notEqual(link.status.get(), null, "what was known stays");
});
