import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { AuditConfig } from "../../../src/config/snapshot.ts";
import { compileGlobs } from "../../../src/gateway/catalog/glob.ts";
import { OWNER } from "../../../src/gateway/client-handle.ts";
import { principalOf } from "../../../src/gateway/client-sign-in/token-claims.ts";
import { errorReply } from "../../../src/gateway/json-rpc.ts";
import type { AuditRecord } from "../../../src/gateway/middleware/audit.ts";
import { auditedArguments } from "../../../src/gateway/middleware/audit-arguments.ts";
import {
  MOST_NAMED,
  NAMED_MS,
  RefusalAudit,
  type RefusalRecord,
  type RefusedRequest,
} from "../../../src/gateway/middleware/refusal-audit.ts";
import { parseExactly } from "../../../src/runtime/text/exact-json.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock, type ManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { fc } from "../../support/properties.ts";
import { source } from "../catalog/sources.ts";
import { ask, client, policy, recordingServices, servingSet, user } from "./requests.ts";

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

test("the audit records who did what, on which target, where, with which outcome and duration", async () => {
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

test("the audit has the name that a client gives itself, on one line, bounded and without secrets", async () => {
  const { records, audit } = audited();
  const served = servingSet(sources, recordingServices(), {
    audit,
    clean: (text: string) => text.replaceAll("s3cret", "***"),
  });
  for (const clientInfo of [
    { name: "claude-code", version: "2.1" },
    { name: `a\n\u202eb s3cret ${"x".repeat(500)}` },
    { name: 7 },
  ])
    await ask(served, "ping", undefined, { ...client(user("ann")), clientInfo });
  const [plain, odd, none] = records.map((record) => record.client);
  assert.deepEqual([plain, none], ["claude-code 2.1", undefined]);
  assert.match(odd ?? "", /^a \\u\{202e\}b \*\*\* x+…$/);
  assert.equal(odd?.length, 100);
});

test("E1 the audit names the owner of a signed token, whatever its name", async () => {
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

test("the audit distinguishes sessions and reveals none", async () => {
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

test("the audit knows every outcome", async () => {
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
  assert.deepEqual(pluck(records, "target", "backend", "outcome"), [
    ["tool:z", "b", "tool_error"],
    ["tool:z", "b", "error:-32050"],
    ["tool:z", "b", "error:-32603"],
    ["tool:z", "b", "error:-32603"],
    ["tool:nobody", null, "error:-32602"],
    [null, null, "error:-32601"],
    ["resource:u:9", "a", "error:-32000"],
    ["tool:z", "b", "cancelled"],
  ]);
});

test("the audit records refusals by the policies, although these never reach it, and only once", async () => {
  const { records, audit } = audited();
  const authorization = {
    defaultEffect: "deny",
    policies: [policy("allow", { resources: ["tool:z"] })],
  } as const;
  const services = recordingServices();
  const served = servingSet(sources, services, { audit, authorization });
  await ask(served, "tools/call", { name: "y" });
  await ask(served, "tools/call", { name: "z" });
  await ask(served, "vendor/thing");
  await ask(served, "tools/call", { name: "y" }, client(OWNER));
  assert.deepEqual(pluck(records, "principal", "target", "outcome"), [
    ["anonymous", "tool:y", "denied"],
    ["anonymous", "tool:z", "ok"],
    ["anonymous", null, "denied"],
    ["owner", "tool:y", "ok"],
  ]);
  assert.equal(services.calls.length, 2);
});

test("the audit contains arguments only on request, never redacted ones, no registered secret", async () => {
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
  assertEach(records, (record) => record.arguments, [
    {
      path: "/x",
      Password: "[redacted]",
      nested: [{ db_password: "[redacted]" }],
      note: "my [redacted]",
    },
    { q: "1" },
    undefined,
    undefined,
  ]);
  assert.equal(records.at(-1)?.target, "tool:[redacted]");
});

test("the audit is bounded, whatever a request contains", async () => {
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

const same = (text: string): string => text;
const never = (): boolean => false;

test("arguments for the file: small ones are written unchanged", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const plain: unknown = JSON.parse(JSON.stringify(value));
      assert.deepEqual(auditedArguments(plain, never, same), plain);
    }),
    { numRuns: 200 },
  );
});

test("arguments for the file: a redacted name hides everything below it, at any depth, by its key or its path", () => {
  const isRedacted = compileGlobs(["*token*", "auth.user"]);
  assert.deepEqual(
    auditedArguments(
      { apiToken: { deep: 1 }, auth: { user: "u", host: "h" }, user: "seen", list: [{ TOKEN: 1, x: 2 }] },
      isRedacted,
      same,
    ),
    {
      apiToken: "[redacted]",
      auth: { user: "[redacted]", host: "h" },
      user: "seen",
      list: [{ TOKEN: "[redacted]", x: 2 }],
    },
  );
});

test("arguments for the file: a long number keeps its digits", () => {
  const given = parseExactly('{"n":12345678901234567890}');
  assert.equal(JSON.stringify(auditedArguments(given, never, same)), '{"n":12345678901234567890}');
});

test("arguments for the file: a key that every object inherits is written like others", () => {
  const given: unknown = JSON.parse('{"__proto__": {"a": 1}, "constructor": 2}');
  assert.equal(JSON.stringify(auditedArguments(given, never, same)), '{"__proto__":{"a":1},"constructor":2}');
});

test("arguments for the file: for any size and depth, the written text is bounded", () => {
  let deep: unknown = "end";
  for (let level = 0; level < 10_000; level++) deep = [deep];
  const wide = Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [`k${index}`, index]));
  for (const value of [
    deep,
    wide,
    "x".repeat(10_000_000),
    Array(100_000).fill("abc"),
    Array(9).fill("y".repeat(9_000)),
    parseExactly("7".repeat(1_000_000)),
    Array.from({ length: 50 }, (_, index) => parseExactly(`${index + 1}${"7".repeat(1_000)}`)),
  ]) {
    const text = JSON.stringify(auditedArguments(value, never, same));
    assert.ok(text.length < 64 * 1024, String(text.length));
    assert.match(text, /\[cut\]/);
  }
});

test("arguments for the file: no half secret appears at a cut", () => {
  const secret = "0123456789".repeat(10);
  const clean = (text: string): string => text.replaceAll(secret, "[redacted]");
  const text = JSON.stringify(auditedArguments(`${"x".repeat(4_050)}${secret}`, never, clean));
  assert.doesNotMatch(text, /0123/);
});

const ACCESS_PAGE = join(import.meta.dirname, "../../../docs/reference/gateway-access.md");
const WRONG_TOKEN: RefusedRequest = {
  status: 401,
  reason: "the bearer token is not accepted",
  remote: "192.168.1.23",
  principal: null,
};

function start(): {
  audit: RefusalAudit;
  records: RefusalRecord[];
  denials: AuditRecord[];
  clock: ManualClock;
} {
  const records: RefusalRecord[] = [];
  const denials: AuditRecord[] = [];
  const clock = createManualClock(Date.UTC(2026, 10, 20, 10));
  const clean = (text: string): string => text.replaceAll("secret", "[redacted]");
  return {
    audit: new RefusalAudit({
      write: (record) => ("reason" in record ? records.push(record) : denials.push(record)),
      clock,
      clean,
    }),
    records,
    denials,
    clock,
  };
}

const sender = (number: number): RefusedRequest => ({
  ...WRONG_TOKEN,
  remote: `10.0.${number >> 8}.${number & 255}`,
});

test("refused requests in the audit: a sender's first is written at once, the next ones as one line a minute, as documented", async () => {
  const { audit, records, clock } = start();
  audit.record(WRONG_TOKEN);
  await clock.advance(2_000);
  for (let count = 0; count < 57; count++) audit.record(WRONG_TOKEN);
  assert.equal(records.length, 1);
  await clock.advance(60_000);
  const [, example] = /^```json\n(\{[^`]*)```$/m.exec(await readFile(ACCESS_PAGE, "utf8")) ?? [];
  assert.equal(records.map((record) => `${JSON.stringify(record)}\n`).join(""), example);
  await clock.advance(NAMED_MS);
  assert.equal(records.length, 2, "nothing more came");
});

test("refused requests in the audit: of each reason, each sender and each principal there is a first", () => {
  const { audit, records } = start();
  audit.record(WRONG_TOKEN);
  audit.record({ ...WRONG_TOKEN, reason: "a bearer token is required" });
  audit.record({ ...WRONG_TOKEN, remote: "::1" });
  audit.record({ ...WRONG_TOKEN, remote: null });
  const foreignSession = {
    ...WRONG_TOKEN,
    status: 404,
    reason: "another's",
    principal: "the secret one",
  } as const;
  audit.record(foreignSession);
  audit.record({ ...foreignSession, principal: "bob" });
  assert.deepEqual(pluck(records, "outcome", "remote", "principal", "count"), [
    ["refused:401", "192.168.1.23", null, 1],
    ["refused:401", "192.168.1.23", null, 1],
    ["refused:401", "::1", null, 1],
    ["refused:401", null, null, 1],
    ["refused:404", "192.168.1.23", "the [redacted] one", 1],
    ["refused:404", "192.168.1.23", "bob", 1],
  ]);
});

test("refused requests in the audit: a flood from everywhere is a few lines an hour, and none of its requests is missing from the counts", async () => {
  const { audit, records, clock } = start();
  let sent = 0;
  for (let minute = 0; minute < 180; minute++) {
    for (let count = 0; count < 100; count++) audit.record(sender(sent++));
    await clock.advance(60_000);
  }
  audit.writeCounts();
  assert.equal(
    records.reduce((sum, { count }) => sum + count, 0),
    sent,
  );
  assert.ok(records.length <= 3 * (MOST_NAMED + 60), `${records.length} lines`);
  assert.ok(
    records.some(({ remote, count }) => remote === null && count > 1),
    "several senders in one count",
  );
});

test("refused requests in the audit: a sender is reported again after an hour", async () => {
  const { audit, records, clock } = start();
  audit.record(WRONG_TOKEN);
  await clock.advance(NAMED_MS - 1);
  audit.record(WRONG_TOKEN);
  assert.equal(records.length, 1);
  await clock.advance(60_000);
  audit.record(WRONG_TOKEN);
  assertEach(records, ({ since }) => since === undefined, [true, false, true]);
});

test("refused requests in the audit: counted requests are written at the end, once", async () => {
  const { audit, records, clock } = start();
  for (let count = 0; count < 3; count++) audit.record(WRONG_TOKEN);
  audit.writeCounts();
  audit.writeCounts();
  await clock.advance(NAMED_MS);
  assert.deepEqual(pluck(records, "count"), [1, 2]);
});

test("E4 calls of one tool that one rule denies are two lines a minute, the second with their number", async () => {
  const { audit, denials, clock } = start();
  const line = { time: "", session: "s", method: "tools/call", outcome: "denied", duration_ms: 0 };
  const deny = (principal: string, target: string, rule = "policies[0]"): void =>
    audit.denied({ ...line, principal, target, backend: "a", arguments: { q: 1 } }, rule);
  for (let count = 0; count < 500; count++) deny("ann", "tool:x");
  deny("bob", "tool:x");
  deny("ann", "tool:y");
  deny("ann", "tool:x", "policies[1]");
  assert.equal(denials.length, 4);
  await clock.advance(60_000);
  assert.deepEqual(pluck(denials.slice(4), "principal", "target", "count"), [["ann", "tool:x", 499]]);
  deny("ann", "tool:x");
  deny("ann", "tool:x");
  audit.writeCounts();
  assert.deepEqual(pluck(denials.slice(5), "count"), [undefined, 1]);
});
