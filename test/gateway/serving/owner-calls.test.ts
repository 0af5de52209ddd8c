import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { AuditConfig } from "../../../src/config/snapshot.ts";
import { OWNER_IN_PERSON } from "../../../src/gateway/client-handle.ts";
import { IDLE_LIMIT_MS } from "../../../src/gateway/frontend/session/session-store.ts";
import { isError, type Reply } from "../../../src/gateway/json-rpc.ts";
import type { GatewayConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { OwnerCalls } from "../../../src/gateway/serving/owner-calls.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { freePort } from "../../support/free-port.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { createBlockingTool, createScriptedGateway, text } from "../frontend/scripted-gateway.ts";
import { realGateway, serverOn } from "./gateway-rig.ts";

const NEVER = new AbortController().signal;
/** Idle sessions are looked for once an hour. */
const HOUR_MS = 3_600_000;

function bench() {
  const clock = createManualClock();
  const blocking = createBlockingTool();
  const gateway = createScriptedGateway({ held: blocking.tool });
  const owner = new OwnerCalls({ gateway, clock, logger: noopLogger });
  const call = (name: string, signal = NEVER): Promise<Reply> =>
    owner.request("tools/call", { name }, signal);
  return {
    clock,
    blocking,
    gateway,
    owner,
    call,
    clients: () => gateway.requests.map(({ handle }) => handle?.client),
  };
}

function errorText(reply: Reply): string {
  assert.ok(isError(reply));
  return reply.error.message;
}

test("B7 the owner's own calls belong to one client, the owner, which cannot be asked back", async () => {
  const b = bench();
  assert.deepEqual(await b.call("one"), text("{}"));
  await b.call("two");
  const [first, second] = b.clients();
  assert.equal(first, second);
  assert.equal(first?.principal, OWNER_IN_PERSON);
  const blocking = b.call("held");
  const [request] = b.blocking.started;
  assert.equal(await request?.handle?.request("sampling/createMessage", {}, NEVER), null);
  assert.ok(first !== undefined && isError(await first.request("roots/list", {}, NEVER)));
  b.blocking.release(text("held"));
  assert.deepEqual(await blocking, text("held"));
});

test("B7 a call of the owner that was abandoned before it began is not made", async () => {
  const b = bench();
  assert.match(errorText(await b.call("one", AbortSignal.abort())), /cancelled/i);
  assert.deepEqual(b.gateway.requests, []);
});

test("B7 the owner's own calls end their session after a day without one, and the next begins another", async () => {
  const b = bench();
  await b.call("one");
  await b.clock.advance(IDLE_LIMIT_MS - HOUR_MS);
  await b.call("two");
  await b.clock.advance(IDLE_LIMIT_MS - HOUR_MS);
  const [first] = b.clients();
  assert.equal(first?.ended.aborted, false);
  await b.clock.advance(2 * HOUR_MS);
  assert.deepEqual([first?.ended.aborted, b.clock.pendingTimers], [true, 0]);
  await b.call("three");
  assert.notEqual(b.clients()[2], first);
  assert.equal(b.clients()[2]?.ended.aborted, false);
});

test("B7 the owner's own calls keep their session while one of them waits, however long", async () => {
  const b = bench();
  const reply = b.call("held");
  await b.clock.advance(3 * IDLE_LIMIT_MS);
  assert.equal(b.owner.inFlight, 1);
  b.blocking.release(text("at last"));
  assert.deepEqual(await reply, text("at last"));
  await b.clock.advance(IDLE_LIMIT_MS);
  assert.equal(b.clients()[0]?.ended.aborted, true);
});

test("B7 the owner's own calls are withdrawn one by one", async () => {
  const b = bench();
  const gone = new AbortController();
  const [leaves, stays] = [b.call("held", gone.signal), b.call("held")];
  gone.abort(new Error("the person left"));
  assert.match(errorText(await leaves), /cancelled/);
  const [first, second] = b.blocking.started;
  assert.match(String(first?.signal.reason), /the person left/);
  assert.equal(second?.signal.aborted, false);
  b.blocking.release(text("to nobody"));
  b.blocking.release(text("on"));
  assert.deepEqual(await stays, text("on"));
  assert.equal(b.owner.inFlight, 0);
  assert.match(errorText(await b.call("held", gone.signal)), /cancelled/);
  assert.equal(b.blocking.started.length, 2);
});

test("B7 the owner's own calls finish when the gateway ends, within its grace; later ones are refused", async () => {
  const b = bench();
  const [answered, late] = [b.call("held"), b.call("held")];
  let ended = false;
  const ending = b.owner.stop(3_000).then(() => {
    ended = true;
  });
  b.blocking.release(text("in time"));
  assert.deepEqual(await answered, text("in time"));
  assert.match(errorText(await b.call("one")), /the gateway is stopping/);
  await settle();
  assert.equal(ended, false);
  await b.clock.advance(3_000);
  await ending;
  assert.match(errorText(await late), /the gateway is stopping/);
  assert.deepEqual([b.clients()[0]?.ended.aborted, b.clock.pendingTimers], [true, 0]);
});

// Requests that a real listener refuses, as the audit's file tells of them.

const HEADERS = { "content-type": "application/json", accept: "application/json" };
const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

async function startGuarded(t: TestContext, audit: AuditConfig | null) {
  const gateway = realGateway(t, { environment: { ANNA_TOKEN: "the-right-one" } });
  const port = await freePort();
  const configWith = (next: AuditConfig | null): GatewayConfig => ({
    ...NO_GATEWAY,
    server: serverOn(port, { bodyLimitBytes: 1_024 }),
    incomingAuth: {
      type: "local",
      users: [{ name: "anna", token: { kind: "environment", variable: "ANNA_TOKEN" }, roles: [] }],
    },
    audit: next,
  });
  await gateway.start(configWith(audit));
  return {
    gateway,
    url: `http://127.0.0.1:${port}/mcp`,
    async changeAudit(next: AuditConfig | null) {
      const prepared = await gateway.prepare(configWith(next));
      prepared.commit();
      await prepared.retire();
    },
  };
}

async function auditIn(t: TestContext): Promise<AuditConfig> {
  const path = join(await temporaryFolder(t), "audit.jsonl");
  return { path, maxSizeBytes: 1024 * 1024, keep: 1, includeArguments: false, redact: [] };
}

async function post(url: string, token: string | null): Promise<number> {
  const headers = token === null ? HEADERS : { ...HEADERS, authorization: `Bearer ${token}` };
  const response = await fetch(url, {
    method: "POST",
    headers: { ...headers, "mcp-session-id": "guessed" },
    body: PING,
  });
  await response.text();
  return response.status;
}

test("attempts with tokens and sessions are in the audit, each kind in a line and a count, and no token is", async (t) => {
  const audit = await auditIn(t);
  const { gateway, url } = await startGuarded(t, audit);
  assert.equal(await post(url, null), 401);
  // At once: one after the other, each would wait until it is refused.
  const guesses = Array.from({ length: 30 }, (_, count) => post(url, `wrong-${count}`));
  for (const status of await Promise.all(guesses)) assert.equal(status, 401);
  for (let count = 0; count < 3; count++) assert.equal(await post(url, "the-right-one"), 404);
  await gateway[Symbol.asyncDispose]();
  const text = await readFile(audit.path, "utf8");
  const lines = text.trimEnd().split("\n");
  const records = lines.map((line): Record<string, unknown> => JSON.parse(line));
  assert.deepEqual(pluck(records, "outcome", "remote", "principal", "count"), [
    ["refused:401", "127.0.0.1", null, 1],
    ["refused:401", "127.0.0.1", null, 1],
    ["refused:404", "127.0.0.1", "anna", 1],
    ["refused:401", "127.0.0.1", null, 29],
    ["refused:404", "127.0.0.1", "anna", 2],
  ]);
  assert.doesNotMatch(text, /wrong-|right-one|guessed/);
});

test("requests are counted in the audit's file of their time, even when it is then turned off", async (t) => {
  const [first, second] = [await auditIn(t), await auditIn(t)];
  const { url, changeAudit } = await startGuarded(t, first);
  for (let count = 0; count < 5; count++) assert.equal(await post(url, "wrong"), 401);
  await changeAudit(second);
  for (let count = 0; count < 3; count++) assert.equal(await post(url, "wrong"), 401);
  await changeAudit(null);
  const counts = async ({ path }: AuditConfig): Promise<unknown[]> =>
    (await readFile(path, "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).count);
  assert.deepEqual([await counts(first), await counts(second)], [[1, 4], [3]]);
});

test("without an audit nothing is counted", async (t) => {
  const { path } = await auditIn(t);
  const { gateway, url } = await startGuarded(t, null);
  for (let count = 0; count < 2; count++) assert.equal(await post(url, "wrong"), 401);
  await gateway[Symbol.asyncDispose]();
  await assert.rejects(stat(path));
});
