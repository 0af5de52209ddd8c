// A pool of scripted instances on a clock of its own, on data that comes and goes, and what tests ask of it.
import assert from "node:assert/strict";
import type { BackendConfig } from "../../../../src/config/snapshot.ts";
import type { BackendView } from "../../../../src/gateway/backends/policy/backend-pool-contract.ts";
import type { DataPrograms, RequiredData } from "../../../../src/gateway/backends/policy/required-data.ts";
import { BackendPool } from "../../../../src/gateway/backends/pool/backend-pool.ts";
import type { OpenTransport } from "../../../../src/gateway/backends/transports/backend-transport.ts";
import type { GatewayTransition } from "../../../../src/gateway/gateway-transitions.ts";
import type { Reply } from "../../../../src/gateway/json-rpc.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { backendConfig, callOf, createScript, fromInstance } from "./scripted-instance.ts";

export type Bench = ReturnType<typeof bench>;

/** The state of a backend that tests assert. */
export interface PoolState {
  readonly names: readonly string[];
  readonly phase: BackendView["phase"];
  readonly codes: readonly string[];
  readonly starts: number;
  readonly instances: number;
  readonly draining: number;
  readonly restarts: number;
}

export function bench(
  environment: Record<string, string> = {},
  more: Partial<
    Pick<
      ConstructorParameters<typeof BackendPool>[0],
      "data" | "routeOverrides" | "openTransport" | "runsInPrevious" | "remembered"
    >
  > = {},
) {
  const clock = createManualClock();
  const script = createScript();
  const told: GatewayTransition[] = [];
  const redacted: string[] = [];
  const programs = new WeakMap<OpenTransport, string>();
  const pool = new BackendPool({
    clock,
    logger: noopLogger,
    environment,
    redact: (secret) => redacted.push(secret),
    announce: (transition) => told.push(transition),
    clientInfo: { name: "test", version: "1" },
    startInstance: script.start,
    openTransport(connection) {
      const open: OpenTransport = () => assert.fail("a scripted instance opens no link");
      if (connection.type === "stdio") programs.set(open, connection.command);
      return open;
    },
    random: () => 0.5,
    onLog() {},
    publishedUri: (_, uri) => uri,
    ...more,
  });
  const view = (name = "a"): BackendView => {
    const found = pool.view().find((one) => one.name === name);
    assert.ok(found !== undefined, `${name} is not in the view`);
    return found;
  };
  const b = {
    pool,
    clock,
    script,
    told,
    redacted,
    apply: (...configs: BackendConfig[]): void => pool.apply(configs, { drainTimeoutMs: 30_000 }),
    names: (): string[] =>
      pool.published.flatMap(({ listings }) => listings.tools.map(({ name }) => String(name))),
    view,
    call: (name = "a"): Promise<Reply> => pool.call(name, callOf()),
    codes: (name?: string): string[] => view(name).conditions.map(({ code }) => code),
    events: (): string[] => told.filter(({ name }) => name !== "backend.phase").map(({ name }) => name),
    starts: (): number => script.started.length,
    /** The command of the instance started last, or of this one. */
    program: (instance = script.last): string | undefined => programs.get(instance.options.open),
    /** Applies, and lets follow what follows at once. */
    async applied(...configs: BackendConfig[]): Promise<void> {
      b.apply(...configs);
      await settle();
    },
    /** The instance started last is ready with these tools. */
    async comesUp(...tools: string[]): Promise<void> {
      script.last.becomeReady(...tools);
      await settle();
    },
    /** The instance started last ends, for this reason. */
    async dies(message: string, hint?: string): Promise<void> {
      script.last.endWith(message, hint);
      await settle();
    },
    /** Applies a configuration, whose instance is ready with these tools. */
    async replaced(config: BackendConfig, ...tools: string[]): Promise<void> {
      await b.applied(config);
      await b.comesUp(...tools);
    },
    /** The instance started last answers all that it was asked: the number of that which the call got its answer from. */
    async answered(call: Promise<Reply>): Promise<unknown> {
      script.last.answer();
      return fromInstance(await call);
    },
    /** Asserts the state of backend `a`. */
    is(wanted: Partial<PoolState>): void {
      const seen: { readonly [Key in keyof PoolState]: () => PoolState[Key] } = {
        names: b.names,
        phase: () => view().phase,
        codes: b.codes,
        starts: b.starts,
        instances: () => view().instances,
        draining: () => view().draining,
        restarts: () => view().restarts,
      };
      const looked = Object.entries(seen).filter(([key]) => Object.hasOwn(wanted, key));
      assert.deepEqual(Object.fromEntries(looked.map(([key, look]) => [key, look()])), wanted);
    },
  };
  return b;
}

/** `a` was applied, and its first instance starts. */
export async function starting(
  config = backendConfig("a"),
  environment: Record<string, string> = {},
): Promise<Bench> {
  const b = bench(environment);
  await b.applied(config);
  return b;
}

/** One ready backend `a` with tool `one`. */
export async function ready(
  config = backendConfig("a"),
  environment: Record<string, string> = {},
): Promise<Bench> {
  const b = await starting(config, environment);
  await b.comesUp("one");
  return b;
}

/** `a` with another connection. */
export const CHANGED = backendConfig("a", { command: "other" });

export const CORE = { share: "CORE", folder: null } as const;

export type DataBench = ReturnType<typeof dataBench>;

export function dataBench(change: Partial<BackendConfig> = {}, at: "there" | "away" = "there") {
  const there: RequiredData = { kind: "there", mounts: "1" };
  let state: RequiredData = at === "there" ? there : away(0, "it is not mounted");
  const listeners: (() => void)[] = [];
  let programs: () => readonly DataPrograms[] = () => [];
  let wants = 0;
  const b = bench(
    {},
    {
      data: {
        status: () => state,
        onChange: (listener) => void listeners.push(listener),
        want: () => void wants++,
        watchPrograms(list) {
          programs = list;
          return () => {};
        },
      },
    },
  );
  const become = async (next: RequiredData): Promise<void> => {
    state = next;
    for (const listener of listeners) listener();
    await settle();
  };
  b.apply(backendConfig("a", { requires: [CORE], ...change }));
  return {
    ...b,
    /** The share is away from now on, for this reason. */
    leave: (reason = "it is not mounted") => become(away(b.clock.monotonicMs(), reason)),
    /** It is there, on the mount of this name. */
    come: (mounts = "1") => become({ kind: "there", mounts }),
    /** Room is asked for, or taken: it is being mounted anew from now on. */
    move: (room: "asked" | "taken" = "asked") =>
      become({
        kind: "moving",
        requirement: "CORE",
        sinceMs: room === "taken" ? b.clock.monotonicMs() : null,
      }),
    /** How often a call needed it while it was away. */
    wants: () => wants,
    /** Leaders of the process groups that still run on it. */
    running: () => programs().flatMap(({ pids }) => pids),
  };
}

function away(sinceMs: number, reason: string): RequiredData {
  return { kind: "away", requirement: "CORE", reason, sinceMs };
}

export async function readyOn(change: Partial<BackendConfig> = {}): Promise<DataBench> {
  const b = dataBench(change);
  await settle();
  await b.comesUp("one");
  return b;
}
