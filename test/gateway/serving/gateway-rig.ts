// Whole gateways for tests: on real servers, or on scripted instances and a clock that the test moves.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { BackendConfig } from "../../../src/config/snapshot.ts";
import type { GatewayTransition } from "../../../src/gateway/gateway-transitions.ts";
import { isError, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import { Gateway } from "../../../src/gateway/serving/gateway.ts";
import type { GatewayConfig, ListenConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { createScript } from "../backends/pool/scripted-instance.ts";

type Options = ConstructorParameters<typeof Gateway>[0];

const QUIET = { logger: noopLogger, environment: {}, redact() {}, announce() {}, version: "1" };

/** Ended with the test. */
export function realGateway(
  t: TestContext,
  options: Partial<Options> = {},
  means?: ConstructorParameters<typeof Gateway>[1],
): Gateway {
  const gateway = new Gateway({ clock: systemClock, ...QUIET, listens: true, ...options }, means);
  t.after(() => gateway[Symbol.asyncDispose]());
  return gateway;
}

const NEVER = new AbortController().signal;

/** Ended with the test, if not before. */
export function scriptedGateway(t: TestContext, options: Partial<Options> = {}) {
  const clock = createManualClock();
  const script = createScript();
  const told: GatewayTransition[] = [];
  const gateway = new Gateway(
    { clock, ...QUIET, announce: (transition) => void told.push(transition), listens: false, ...options },
    {
      startInstance: script.start,
      openTransport: () => () => assert.fail("no link is opened"),
      random: () => 0.5,
    },
  );
  let ended: Promise<void> | undefined;
  const end = (): Promise<void> => {
    ended ??= passTimeUntilSettled(clock, gateway[Symbol.asyncDispose](), 1_000);
    return ended;
  };
  t.after(end);
  const ask = (method: string, params?: JsonObject) => gateway.request(method, params, NEVER);
  return {
    gateway,
    clock,
    script,
    told,
    end,
    ask,
    async start(...backends: readonly BackendConfig[]) {
      await gateway.start({ ...NO_GATEWAY, backends });
      await settle();
    },
    prepare: (config: Partial<GatewayConfig>) => gateway.prepare({ ...NO_GATEWAY, ...config }),
    /** Prepares and commits; what it replaced ends on its own. */
    async change(config: Partial<GatewayConfig>) {
      const prepared = await gateway.prepare({ ...NO_GATEWAY, ...config });
      prepared.commit();
      void prepared.retire();
      await settle();
    },
    /** Of what is published. */
    names: () => gateway.entries().tools.map(({ name }) => name),
    /** As a client lists them. */
    async listed() {
      await settle();
      const reply = await ask("tools/list");
      assert.ok(!isError(reply) && Array.isArray(reply.result["tools"]));
      return reply.result["tools"].map(({ name }) => name);
    },
    /** The newest of that backend's. */
    instanceOf(backend: string) {
      const found = script.alive.findLast((one) => one.options.backend === backend);
      assert.ok(found !== undefined);
      return found;
    },
    /** The last one started lists these. */
    async ready(...tools: readonly string[]) {
      script.last.becomeReady(...tools);
      await settle();
    },
    /** The last one started ends. */
    async crash() {
      script.last.endWith("it crashed");
      await settle();
    },
  };
}

export function serverOn(port: number, change: Partial<ListenConfig> = {}): ListenConfig {
  return {
    ...{
      host: "127.0.0.1",
      port,
      publicUrl: null,
      allowedOrigins: [],
      bodyLimitBytes: 1_000_000,
      drainTimeoutMs: 1_000,
      sessionKey: null,
    },
    ...change,
  };
}
