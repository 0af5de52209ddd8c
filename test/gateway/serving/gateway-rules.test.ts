import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { AuditConfig, IncomingAuthConfig } from "../../../src/config/snapshot.ts";
import type { GatewayConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { createRules, NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const tools = (redacted: string[] = []) => ({
  clock: systemClock,
  logger: silentLogger,
  environment: { TOKEN: "t0ken" },
  redact: (secret: string) => void redacted.push(secret),
  listens: false,
});
const auth = (...roles: string[]): IncomingAuthConfig => ({
  type: "local",
  users: [{ name: "ann", token: { kind: "environment", variable: "TOKEN" }, roles }],
});
const audit = (path: string, change: Partial<AuditConfig> = {}): AuditConfig => ({
  path,
  maxSizeBytes: 1_000_000,
  keep: 1,
  includeArguments: false,
  redact: [],
  ...change,
});

test("B6 what means the same is kept: tokens are not read anew, the audit's file stays open", async (t) => {
  const path = join(await temporaryFolder(t), "audit.jsonl");
  const redacted: string[] = [];
  const config: GatewayConfig = { ...NO_GATEWAY, incomingAuth: auth("reader"), audit: audit(path) };
  const first = createRules(config, null, tools(redacted));
  const same = createRules(structuredClone(config), first, tools(redacted));
  assert.equal(same.authentication, first.authentication);
  assert.equal(same.auditFile, first.auditFile);
  const told = { ...config, audit: audit(path, { includeArguments: true, redact: ["*"] }) };
  assert.equal(createRules(told, first, tools()).auditFile, first.auditFile);
  const other = createRules({ ...config, incomingAuth: auth("writer") }, first, tools(redacted));
  assert.notEqual(other.authentication, first.authentication);
  assert.deepEqual(redacted, ["t0ken", "t0ken"]);
  await first.auditFile?.[Symbol.asyncDispose]();
});

test("B6 another path, size or number is another file, and preparing one writes nothing yet", async (t) => {
  const folder = await temporaryFolder(t);
  const first = createRules({ ...NO_GATEWAY, audit: audit(join(folder, "a")) }, null, tools());
  const changes: Partial<AuditConfig>[] = [{ path: join(folder, "b") }, { maxSizeBytes: 5 }, { keep: 7 }];
  for (const change of changes) {
    const next = createRules({ ...NO_GATEWAY, audit: audit(join(folder, "a"), change) }, first, tools());
    assert.notEqual(next.auditFile, first.auditFile);
    await next.auditFile?.[Symbol.asyncDispose]();
  }
  assert.equal(createRules(NO_GATEWAY, first, tools()).auditFile, null);
  await assert.rejects(stat(join(folder, "b")), { code: "ENOENT" });
  await first.auditFile?.[Symbol.asyncDispose]();
});
