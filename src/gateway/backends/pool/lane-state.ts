// What is wanted of one backend, what was decided about it, and the lane in which that happens.
import type { BackendConfig } from "../../../config/snapshot.ts";
import { createLane, type Lane, type Wake } from "../../../reconcile/lane.ts";
import type { TriggerReason } from "../../../reconcile/trigger.ts";
import { errorText } from "../../../runtime/errors.ts";
import type { ClientPort } from "../../client-port.ts";
import type { JsonObject } from "../../json-rpc.ts";
import { type BackendSpec, NEW_BACKEND, type Now } from "../policy/backend-decision-builder.ts";
import { type BackendDecision, UNDECIDED } from "../policy/decide-backend.ts";
import type { Absence, Needs } from "../policy/required-data.ts";
import type { LaneTools } from "./backend-lane-contract.ts";
import type { ConnectionOutcome } from "./connection-key.ts";
import { type InstanceBase, PoolInstance, type PoolInstanceEvents } from "./pool-instance.ts";

/** How long `npx` and the like may download a server before its time to answer begins. */
const DOWNLOAD_MS = 60_000;

interface LaneEvents {
  /** One cycle. No cycle waits for anything: what is slow is begun, and triggers the lane when it is done. */
  run(): Wake | null;
  /** What is published of it, or the phase, may be another, or calls have ended. */
  onChanged(): void;
}

export class LaneState {
  readonly tools: LaneTools;
  readonly name: string;
  /** As configured last, even when it is removed: for messages, and calls that drain. */
  config: BackendConfig;
  isConfigured = false;
  outcome: ConnectionOutcome = { ok: false, missing: [] };
  revision = 0;
  epoch = 0;
  /** What calls get once the lane was stopped; null: it was not. */
  stopped: string | null = null;
  decision: BackendDecision = UNDECIDED;
  /** As announced. */
  phase: { readonly name: BackendDecision["phase"]; readonly since: Now };
  serving: PoolInstance | null = null;
  /** What the clients' own instances are made of: that of the instance that served last. */
  base: InstanceBase | null = null;
  /** Calls have gone unanswered: the serving instance is to be checked. */
  checkAsked = false;
  /** Of the instance that is started next. */
  nextId = 1;
  /** How often its data was seen to be away or to move, and what was said of it last. */
  absence: { readonly count: number; readonly data: Absence | null } = { count: 0, data: null };
  readonly changed: () => void;
  readonly #lane: Lane;
  /** What was mounted when it was last looked at; null: nothing is required, or it was never there. */
  #mounts: string | null = null;

  constructor(tools: LaneTools, name: string, config: BackendConfig, { run, onChanged }: LaneEvents) {
    const { clock, logger } = tools;
    this.tools = tools;
    this.name = name;
    this.config = config;
    this.phase = { name: NEW_BACKEND.phase, since: this.now() };
    this.changed = onChanged;
    this.#lane = createLane({
      clock,
      run: async () => (this.stopped === null ? run() : null),
      onFailure: (error) => logger.error("cycle failed", { backend: name, reason: errorText(error) }),
    });
  }

  now(): Now {
    const { clock } = this.tools;
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  }

  trigger(reason: TriggerReason): void {
    this.#lane.trigger({ reason, atMs: this.tools.clock.monotonicMs(), details: [] });
  }

  askCheck(): void {
    this.checkAsked = true;
    this.trigger("check");
  }

  /** `owner`: whose it is alone; null: all clients share it. */
  startInstance(base: InstanceBase, owner: ClientPort | null, events: PoolInstanceEvents): PoolInstance {
    const { tools, name, config } = this;
    const options = {
      id: this.nextId++,
      backend: name,
      open: tools.openLink(base.connection, name, base.secrets),
      secrets: base.secrets,
      initMs: config.timeouts.initMs,
      downloadMs: "url" in base.connection ? 0 : DOWNLOAD_MS,
      listMs: config.timeouts.listMs,
      clientInfo: tools.clientInfo,
      owner,
      logLevel: tools.logLevel(),
      onLog: (params: JsonObject) => tools.onLog(params, name),
    };
    return new PoolInstance(tools, base, options, events);
  }

  stop(message: string): void {
    this.stopped = message;
    void this.#lane[Symbol.asyncDispose]();
  }

  get isPerClient(): boolean {
    return this.config.instances === "per-client";
  }

  get isWanted(): boolean {
    return this.isConfigured && this.config.enabled;
  }

  get spec(): BackendSpec {
    const { connection, replace, instances } = this.config;
    return {
      name: this.name,
      origin: "url" in connection ? (URL.parse(connection.url)?.origin ?? null) : null,
      wanted: this.#wanted(),
      revision: this.revision,
      epoch: this.epoch,
      replace,
      instances,
      drainTimeoutMs: this.tools.drainTimeoutMs(),
      signIn: this.tools.signIn?.(this.name) ?? null,
      needs: this.needs,
      runsElsewhere: this.tools.runsElsewhere?.() === true,
    };
  }

  get needs(): Needs {
    const { requires, unavailableAfterMs, whenUnavailable } = this.config;
    const { data } = this.tools;
    if (requires.length === 0 || data === undefined || !this.isConfigured) return null;
    return { data: data.look(requires), unavailableAfterMs, whenUnavailable };
  }

  /** Programs that were started on what is gone are started anew when something else is mounted in its place. */
  noticeMounts(isFirst: boolean): void {
    const data = this.needs?.data ?? null;
    if (data !== null && data.kind !== "there") this.absence = { count: this.absence.count + 1, data };
    const before = isFirst ? null : this.#mounts;
    if (data?.kind !== "there") return;
    this.#mounts = data.mounts;
    if (before === null || before === data.mounts) return;
    this.epoch++;
    this.revision++;
  }

  /** The error of a call that cannot be served: why the backend is not there, and when it is tried next. */
  get unavailable(): string {
    const backend = `backend ${this.name}`;
    if (this.stopped !== null) return this.stopped;
    if (!this.isConfigured) return `${backend} was removed from the configuration`;
    if (!this.config.enabled) return `${backend} is disabled in the configuration`;
    const { calls, gate, retryAtMs, memory } = this.decision;
    if (gate.kind === "refuse") return `${backend} cannot work: ${gate.reason}`;
    const reason = calls.kind === "refuse" ? calls.reason : "it is not ready";
    const leftMs = retryAtMs === null ? 0 : retryAtMs - this.now().monotonicMs;
    const isStarting = memory.candidate !== null;
    const next =
      leftMs > 0
        ? `; it is tried again in ${Math.ceil(leftMs / 1000)} s`
        : isStarting
          ? "; it is being started"
          : "";
    return `${backend} is unavailable: ${reason}${next}`;
  }

  #wanted(): BackendSpec["wanted"] {
    const { outcome } = this;
    if (!this.isConfigured) return { kind: "nothing", because: "removed" };
    if (!this.config.enabled) return { kind: "nothing", because: "disabled" };
    return outcome.ok
      ? { kind: "connection", key: outcome.key }
      : { kind: "secret_missing", variables: outcome.missing };
  }
}
