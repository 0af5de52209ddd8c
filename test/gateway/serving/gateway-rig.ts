// Whole gateways for tests: on real servers, or on scripted instances and a clock that the test moves.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";

import { createGateway, type Gateway } from "../../../src/gateway/serving/gateway.ts";
import type { ListenConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createScript } from "../backends/pool/scripted-instance.ts";

type Options = Parameters<typeof createGateway>[0];

const QUIET = { logger: silentLogger, environment: {}, redact() {}, announce() {}, version: "1" };

/** Ended with the test. */
export function realGateway(
  t: TestContext,
  options: Partial<Options> = {},
  means?: Parameters<typeof createGateway>[1],
): Gateway {
  const gateway = createGateway({ clock: systemClock, ...QUIET, listens: true, ...options }, means);
  t.after(() => gateway[Symbol.asyncDispose]());
  return gateway;
}

/** Its end is the test's. */
export function scriptedGateway(options: Partial<Options> = {}) {
  const clock = createManualClock();
  const script = createScript();
  const gateway = createGateway(
    { clock, ...QUIET, listens: false, ...options },
    {
      startInstance: script.start,
      openLink: () => () => assert.fail("no link is opened"),
      random: () => 0.5,
    },
  );
  return { gateway, clock, script };
}

export function serverOn(port: number, change: Partial<ListenConfig> = {}): ListenConfig {
  return {
    ...{ host: "127.0.0.1", port, publicUrl: null, bodyLimitBytes: 1_000_000, drainTimeoutMs: 1_000 },
    ...change,
  };
}
