import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { errorReply, INTERNAL_ERROR, isError } from "../../../src/gateway/json-rpc.ts";
import type { Audit } from "../../../src/gateway/middleware/audit.ts";
import { type ChainParts, composeChain } from "../../../src/gateway/middleware/chain.ts";
import type { Middleware } from "../../../src/gateway/middleware/middleware.ts";
import type { Effect, Policies } from "../../../src/gateway/middleware/policies.ts";
import { createRecovery } from "../../../src/gateway/middleware/recovery.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { source } from "../catalog/sources.ts";
import { callPort, client, recordingServices, servingSet } from "./requests.ts";

const recovery = createRecovery({ logger: silentLogger, clean: (text) => text });
const request = {
  method: "tools/call",
  params: { name: "x" },
  port: callPort(client()),
  signal: new AbortController().signal,
  served: servingSet([source("a", { tools: ["x"] })], recordingServices()),
};

function policiesBy(effect: () => Effect): Policies {
  return {
    decide: () => ({ conditional: [], otherwise: effect(), isExplicit: true }),
    effectUnlisted: effect,
    isAllowed: () => effect() !== "deny",
    isVisible: () => effect() !== "deny",
    rightsKey: () => "",
    hidesFromOwner: false,
    limitsOwner: false,
  };
}

function traced(parts: Partial<ChainParts> = {}) {
  const trace: string[] = [];
  const tracing =
    (name: string): Middleware =>
    (next) =>
    async (passing) => {
      trace.push(`${name} in`);
      const reply = await next(passing);
      trace.push(`${name} out ${isError(reply) ? reply.error.code : "ok"}`);
      return reply;
    };
  const policies = policiesBy(() => {
    trace.push("asked");
    return "allow";
  });
  const audit: Audit = { middleware: tracing("audit"), denied: () => trace.push("denied") };
  const handle = composeChain({
    policies,
    limits: tracing("limit"),
    between: [tracing("telemetry")],
    audit,
    recovery,
    routing: async () => {
      trace.push("routing");
      return { result: {} };
    },
    ...parts,
  });
  return { trace, handle };
}

describe("the chain", () => {
  test("runs authorization, rate limit, telemetry, audit, routing, in this order", async () => {
    const { trace, handle } = traced();
    await handle(request);
    assert.deepEqual(trace, [
      "asked",
      "limit in",
      "telemetry in",
      "audit in",
      "routing",
      "audit out ok",
      "telemetry out ok",
      "limit out ok",
    ]);
  });

  test("the audit sees what recovery made of a failure", async () => {
    const { trace, handle } = traced({
      routing: () => {
        throw new Error("boom");
      },
    });
    assert.deepEqual(await handle(request), errorReply(INTERNAL_ERROR, "internal error"));
    assert.ok(trace.includes("audit out -32603"));
  });

  test("what is refused is told to the audit and goes no further", async () => {
    const { trace, handle } = traced({
      policies: policiesBy(() => "deny"),
    });
    assert.deepEqual(await handle(request), errorReply(-32602, "Unknown tool: x"));
    assert.deepEqual(trace, ["denied"]);
  });

  test("a failure of any part is an answer, and lets nobody through", async () => {
    const boom = (): never => {
      throw new Error("boom");
    };
    for (const parts of [
      { policies: policiesBy(boom) },
      { policies: policiesBy(() => "ask"), ask: boom },
      { between: [() => boom] },
      { audit: { middleware: () => boom, denied: boom } },
    ] satisfies Partial<ChainParts>[]) {
      const { trace, handle } = traced(parts);
      assert.deepEqual(await handle(request), errorReply(INTERNAL_ERROR, "internal error"));
      assert.ok(!trace.includes("routing"));
    }
  });

  test("E2 what a person has to consent to goes on with that consent alone, and the audit hears of it", async () => {
    const policies = policiesBy(() => "ask");
    const { trace, handle } = traced({ policies, ask: async () => "accept" });
    assert.deepEqual(await handle(request), { result: {} });
    assert.ok(trace.includes("routing"));
    for (const parts of [{ policies }, { policies, ask: async () => "decline" as const }]) {
      const refused = traced(parts);
      const reply = await refused.handle(request);
      assert.ok("result" in reply && reply.result["isError"] === true);
      assert.deepEqual(refused.trace, ["denied"]);
    }
  });

  test("what is off is not in it", async () => {
    const { trace, handle } = traced({ policies: null, limits: null, between: [], audit: null });
    assert.deepEqual(await handle(request), { result: {} });
    assert.deepEqual(trace, ["routing"]);
  });
});
