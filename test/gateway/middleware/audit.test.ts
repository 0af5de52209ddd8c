import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AuditConfig } from "../../../src/config/snapshot.ts";
import { OWNER } from "../../../src/gateway/client-port.ts";
import { errorReply } from "../../../src/gateway/json-rpc.ts";
import type { AuditRecord } from "../../../src/gateway/middleware/audit.ts";
import { principalOf } from "../../../src/gateway/sign-in/token-claims.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { source } from "../catalog/sources.ts";
import { ask, client, recordingServices, servingSet, user } from "./requests.ts";

const config: AuditConfig = {
  path: "/nowhere",
  maxSizeBytes: 1,
  keep: 0,
  includeArguments: false,
  redact: ["*password*"],
};
const audited = (parts: Partial<AuditConfig> = {}) => {
  const records: AuditRecord[] = [];
  return {
    records,
    audit: { config: { ...config, ...parts }, write: (record: AuditRecord) => records.push(record) },
  };
};
const sources = [
  source("a", {
    tools: ["x"],
    toolOverrides: { x: { name: "y", description: null } },
    prompts: ["p"],
    resources: ["u:1"],
  }),
  source("b", { tools: ["z"] }),
];

describe("the audit", () => {
  test("says who, what, on which target, where, how it ended and how long it took", async () => {
    const { records, audit } = audited();
    const clock = createManualClock(Date.UTC(2026, 10, 20));
    const services = recordingServices(async () => {
      await clock.advance(12.34);
      return { result: {} };
    });
    const served = servingSet(sources, services, { audit, clock });
    await ask(served, "tools/call", { name: "y", arguments: { a: 1 } }, client(user("ann")));
    assert.deepEqual(records, [
      {
        time: "2026-11-20T00:00:00.012Z",
        principal: "ann",
        session: records[0]?.session,
        method: "tools/call",
        target: "tool:y",
        backend: "a",
        outcome: "ok",
        duration_ms: 12.3,
      },
    ]);
  });

  test("E1 says of a signed token whose it is, whatever it is called", async () => {
    const { records, audit } = audited();
    const served = servingSet(sources, recordingServices(), { audit });
    const claims = { iss: "https://login.example", sub: "u-17", preferred_username: "ann" };
    const options = { rolesClaim: null, nameClaim: "preferred_username", scopes: {} };
    await ask(served, "ping", undefined, client(principalOf(claims, options)));
    const [record] = records;
    assert.deepEqual(
      [record?.principal, record?.subject, record?.issuer],
      ["ann", "u-17", "https://login.example"],
    );
  });

  test("tells sessions apart and gives none away", async () => {
    const { records, audit } = audited();
    const served = servingSet(sources, recordingServices(), { audit });
    const sessionId = "3f1c5a52-unguessable";
    await ask(served, "ping", undefined, client(undefined, sessionId));
    await ask(served, "ping", undefined, client(undefined, sessionId));
    await ask(served, "ping", undefined, client(undefined, "another"));
    const [first, again, other] = records.map(({ session }) => session);
    assert.match(String(first), /^[0-9a-f]{12}$/);
    assert.equal(again, first);
    assert.notEqual(other, first);
  });

  test("knows every outcome", async () => {
    const { records, audit } = audited();
    const stop = new AbortController();
    const answers = [
      { result: { isError: true } },
      errorReply(-32050, "no"),
      Promise.reject(new Error("boom")),
      { result: null },
    ];
    const services = recordingServices(() => (answers.shift() ?? errorReply(-32000, "cancelled")) as never);
    const served = servingSet(sources, services, { audit });
    for (let call = 0; call < 4; call++) await ask(served, "tools/call", { name: "z" });
    await ask(served, "tools/call", { name: "nobody" });
    await ask(served, "vendor/thing");
    await ask(served, "resources/read", { uri: "u:9" });
    stop.abort();
    await ask(served, "tools/call", { name: "z" }, client(), stop.signal);
    assert.deepEqual(
      records.map(({ target, backend, outcome }) => [target, backend, outcome]),
      [
        ["tool:z", "b", "tool_error"],
        ["tool:z", "b", "error:-32050"],
        ["tool:z", "b", "error:-32603"],
        ["tool:z", "b", "error:-32603"],
        ["tool:nobody", null, "error:-32602"],
        [null, null, "error:-32601"],
        ["resource:u:9", "a", "error:-32000"],
        ["tool:z", "b", "cancelled"],
      ],
    );
  });

  test("records what the policies refuse, although that never comes to it, and only once", async () => {
    const { records, audit } = audited();
    const authorization = {
      defaultEffect: "deny",
      policies: [{ effect: "allow", roles: null, resources: ["tool:z"], methods: null }],
    } as const;
    const services = recordingServices();
    const served = servingSet(sources, services, { audit, authorization });
    await ask(served, "tools/call", { name: "y" });
    await ask(served, "tools/call", { name: "z" });
    await ask(served, "vendor/thing");
    await ask(served, "tools/call", { name: "y" }, client(OWNER));
    assert.deepEqual(
      records.map(({ principal, target, outcome }) => [principal, target, outcome]),
      [
        ["anonymous", "tool:y", "denied"],
        ["anonymous", "tool:z", "ok"],
        ["anonymous", null, "denied"],
        ["owner", "tool:y", "ok"],
      ],
    );
    assert.equal(services.calls.length, 2);
  });

  test("holds arguments only where they are asked for, never what is redacted, no registered secret", async () => {
    const params = {
      name: "z",
      arguments: { path: "/x", Password: "p", nested: [{ db_password: 1 }], note: "my hunter2" },
    };
    const silent = audited();
    await ask(servingSet(sources, recordingServices(), { audit: silent.audit }), "tools/call", params);
    assert.ok(!Object.hasOwn(silent.records[0] ?? {}, "arguments"));
    const { records, audit } = audited({ includeArguments: true });
    const clean = (text: string): string => text.replaceAll("hunter2", "[redacted]");
    const served = servingSet(sources, recordingServices(), { audit, clean });
    await ask(served, "tools/call", params);
    await ask(served, "prompts/get", { name: "p", arguments: { q: "1" } });
    await ask(served, "vendor/thing", { arguments: { q: "1" } });
    await ask(served, "tools/call", { name: "hunter2" });
    assert.deepEqual(
      records.map((record) => record.arguments),
      [
        {
          path: "/x",
          Password: "[redacted]",
          nested: [{ db_password: "[redacted]" }],
          note: "my [redacted]",
        },
        { q: "1" },
        undefined,
        undefined,
      ],
    );
    assert.equal(records.at(-1)?.target, "tool:[redacted]");
  });

  test("is bounded, whatever is asked for", async () => {
    const { records, audit } = audited({ includeArguments: true });
    const served = servingSet(sources, recordingServices(), { audit });
    const huge = "x".repeat(1_000_000);
    await ask(served, "tools/call", {
      name: huge,
      arguments: { [huge]: huge, list: Array(10_000).fill(huge) },
    });
    await ask(served, huge);
    for (const record of records) assert.ok(JSON.stringify(record).length < 40_000);
  });
});
