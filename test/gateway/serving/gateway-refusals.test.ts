// Requests that a real listener refuses, as the audit's file tells of them.

import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { AuditConfig } from "../../../src/config/snapshot.ts";
import type { Gateway } from "../../../src/gateway/serving/gateway.ts";
import type { GatewayConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { realGateway, serverOn } from "./gateway-rig.ts";

const HEADERS = { "content-type": "application/json", accept: "application/json" };
const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

async function startGuarded(
  t: TestContext,
  audit: AuditConfig | null,
): Promise<{ gateway: Gateway; url: string; changeAudit: (next: AuditConfig | null) => Promise<void> }> {
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
    async changeAudit(next) {
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

test("who tries tokens and sessions is in the audit, each kind in a line and a count, and no token is", async (t) => {
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
  assert.deepEqual(
    records.map(({ outcome, remote, principal, count }) => [outcome, remote, principal, count]),
    [
      ["refused:401", "127.0.0.1", null, 1],
      ["refused:401", "127.0.0.1", null, 1],
      ["refused:404", "127.0.0.1", "anna", 1],
      ["refused:401", "127.0.0.1", null, 29],
      ["refused:404", "127.0.0.1", "anna", 2],
    ],
  );
  assert.doesNotMatch(text, /wrong-|right-one|guessed/);
});

test("what is counted is in the file that was the audit's when it was counted, which is then turned off", async (t) => {
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
