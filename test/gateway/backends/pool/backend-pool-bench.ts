// A pool of scripted instances on a clock of its own, and what tests ask of it.
import assert from "node:assert/strict";
import type { BackendConfig } from "../../../../src/config/snapshot.ts";
import type { BackendView } from "../../../../src/gateway/backends/policy/backend-pool-contract.ts";
import type { DataSource } from "../../../../src/gateway/backends/policy/required-data.ts";
import { BackendPool } from "../../../../src/gateway/backends/pool/backend-pool.ts";
import type { GatewayTransition } from "../../../../src/gateway/gateway-transitions.ts";
import type { Reply } from "../../../../src/gateway/json-rpc.ts";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { createManualClock, type ManualClock, settle } from "../../../support/manual-clock.ts";
import { backendConfig, callOf, createScript, type Script } from "./scripted-instance.ts";

export interface Bench {
  readonly pool: BackendPool;
  readonly clock: ManualClock;
  readonly script: Script;
  readonly told: GatewayTransition[];
  readonly redacted: string[];
  apply(...configs: BackendConfig[]): void;
  names(): string[];
  view(name?: string): BackendView;
  call(name?: string): Promise<Reply>;
  codes(name?: string): string[];
  events(): string[];
}

export function bench(environment: Record<string, string> = {}, data?: DataSource): Bench {
  const clock = createManualClock();
  const script = createScript();
  const told: GatewayTransition[] = [];
  const redacted: string[] = [];
  const pool = new BackendPool({
    clock,
    logger: silentLogger,
    environment,
    redact: (secret) => redacted.push(secret),
    announce: (transition) => told.push(transition),
    clientInfo: { name: "test", version: "1" },
    startInstance: script.start,
    openLink: () => () => assert.fail("a scripted instance opens no link"),
    random: () => 0.5,
    onLog() {},
    ...(data === undefined ? {} : { data }),
  });
  const view = (name = "a"): BackendView => {
    const found = pool.view().find((one) => one.name === name);
    assert.ok(found !== undefined, `${name} is not in the view`);
    return found;
  };
  return {
    pool,
    clock,
    script,
    told,
    redacted,
    apply: (...configs) => pool.apply(configs, { drainTimeoutMs: 30_000 }),
    names: () => pool.published.flatMap(({ listings }) => listings.tools.map(({ name }) => String(name))),
    view,
    call: (name = "a") => pool.call(name, callOf()),
    codes: (name) => view(name).conditions.map(({ code }) => code),
    events: () => told.filter(({ name }) => name !== "backend.phase").map(({ name }) => name),
  };
}

/** One ready backend `a` with tool `one`. */
export async function ready(
  config = backendConfig("a"),
  environment: Record<string, string> = {},
): Promise<Bench> {
  const b = bench(environment);
  b.apply(config);
  await settle();
  b.script.last.becomeReady("one");
  await settle();
  return b;
}

/** `a` with another connection. */
export const CHANGED = backendConfig("a", { command: "other" });
