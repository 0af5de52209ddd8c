// The session with one server: `initialize`, and one renewal of a lost HTTP session for all who notice it.
import { isJsonObject } from "../../json-rpc.ts";
import type { SpokenVersion } from "../../protocol.ts";
import { type LinkFailure, linkFailure } from "../links/backend-link.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import type { InstanceCalls } from "./calls.ts";
import { type InitializeResult, initializeParams, readInitializeResult } from "./initialize-result.ts";
import type { Ask } from "./pending.ts";

/** More renewals than that within a minute: the instance ends, and its restart backs off. */
const MOST_A_MINUTE = 5;

export const STOPPED = linkFailure("closed", "it is being stopped");

interface SessionEvents {
  isOver(): boolean;
  established(version: SpokenVersion): void;
  lost(): void;
  renewed(): void;
  failed(failure: LinkFailure): void;
}

export class ServerSession {
  /** Counts sessions; 0: not initialized yet. */
  number = 0;
  /** What the server answered to `initialize`; null until then. */
  result: InitializeResult | null = null;
  /** Settles when the renewal under way is over, however it went; null: none is. */
  renewal: Promise<void> | null = null;
  /** Waits for a renewal that is under way. */
  readonly ask: Ask = async (method, params, timeoutMs) => {
    while (this.renewal !== null) await this.renewal;
    return this.#calls.ask(method, params, timeoutMs);
  };
  readonly #options: InstanceOptions;
  readonly #calls: InstanceCalls;
  readonly #events: SessionEvents;
  #hasOutput = false;
  #initializeId = 0;
  #renewedMs: readonly number[] = [];

  constructor(options: InstanceOptions, calls: InstanceCalls, events: SessionEvents) {
    this.#options = options;
    this.#calls = calls;
    this.#events = events;
  }

  declares(capability: string): boolean {
    return isJsonObject(this.result?.capabilities[capability]);
  }

  /** The server itself has written something: its time to answer `initialize` begins. */
  onOutput(): void {
    if (this.#hasOutput) return;
    this.#hasOutput = true;
    const request = this.#calls.get(this.#initializeId);
    if (request !== undefined) this.#calls.restart(request);
  }

  /** Null: it went well. */
  async initialize(): Promise<LinkFailure | null> {
    const { backend, clientInfo, owner, initMs, downloadMs = 0 } = this.#options;
    const params = initializeParams(clientInfo, owner);
    const asking = this.#calls.ask("initialize", params, initMs, this.#hasOutput ? 0 : downloadMs);
    this.#initializeId = this.#calls.newestId;
    const asked = await asking;
    if (this.#events.isOver()) return STOPPED;
    if (asked.kind === "failed") return asked.failure;
    const answer = readInitializeResult(asked.reply, backend);
    if ("kind" in answer) return answer;
    this.result = answer;
    this.number++;
    this.#events.established(answer.protocolVersion);
    return null;
  }

  renew(): void {
    if (this.renewal !== null) return;
    const nowMs = this.#options.clock.monotonicMs();
    this.#renewedMs = [...this.#renewedMs.filter((atMs) => nowMs - atMs < 60_000), nowMs];
    const { length } = this.#renewedMs;
    if (length > MOST_A_MINUTE) {
      const message = `its session was lost ${length} times within a minute`;
      this.#events.failed(linkFailure("session_lost", message));
    } else this.renewal = this.#renew();
  }

  async #renew(): Promise<void> {
    this.#events.lost();
    const failure = await this.initialize();
    this.renewal = null;
    if (failure !== null) return this.#events.failed(failure);
    const { backend, logger } = this.#options;
    logger.info("a backend's session was renewed", { backend });
    this.#events.renewed();
  }
}
