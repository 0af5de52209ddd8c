import assert from "node:assert/strict";
import { test } from "node:test";
import { connectToDaemon } from "../../src/api/client/client.ts";
import type { LogReport, LogRequest } from "../../src/api/records-contract.ts";
import { assertRefused, get, post, startRig } from "./management-rig.ts";
import { sampleAudit, scriptedGateway } from "./sample-gateway.ts";

const never = new AbortController().signal;

const LOG: LogReport = {
  path: "/home/ada/.mountaineer/mountaineer.log",
  lines: [
    {
      at: "2026-01-31T12:00:00.000Z",
      level: "warn",
      message: "slow",
      fields: { share: "CORE", ms: 5, of: ["a"] },
    },
    { at: "2026-01-31T11:00:00.000Z", level: "info", message: "running" },
  ],
  more: false,
  next: null,
};

test("F2 what is asked of the audit and of the log crosses the socket and comes back as it was", async (t) => {
  const gateway = scriptedGateway();
  const asked: LogRequest[] = [];
  const records = {
    daemonLog: async (request: LogRequest) => {
      asked.push(request);
      return LOG;
    },
  };
  const { home } = await startRig(t, { gateway, records });
  const client = await connectToDaemon(home);
  assert.ok(client);
  const audit = {
    limit: 5,
    before: "64768-1234.5678",
    backend: "files",
    tool: "read_file",
    principal: "ada",
    outcome: "error",
    text: "Füße",
  };
  assert.deepEqual(await client.ask("audit", audit, never), sampleAudit());
  assert.deepEqual(
    gateway.calls.map(({ request }) => request),
    [audit],
  );
  const lines = { limit: 2, before: "2026-01-31T12:00:00Z", level: "info", text: "core" } as const;
  assert.deepEqual(await client.ask("daemonLog", lines, never), LOG);
  assert.deepEqual(asked, [lines]);
});

test("what is asked wrongly of records is refused and reaches nothing", async (t) => {
  const gateway = scriptedGateway();
  const { server } = await startRig(t, {
    gateway,
    records: { daemonLog: () => assert.fail("it was asked") },
  });
  await assertRefused(server, [
    [post("audit", '{"limit":-1}'), 400, /limit is not a whole number/],
    [post("audit", '{"before":"yesterday"}'), 400, /before is not a page's/],
    [post("audit", '{"since":"x"}'), 400, /not known here: since/],
    [post("log", '{"level":"loud"}'), 400, /level is not debug, info, warn or error/],
    [post("log", '{"before":"1-1.x"}'), 400, /before is not a page's/],
    [get("log"), 405, /not served/],
  ]);
  assert.deepEqual(gateway.calls, []);
});
