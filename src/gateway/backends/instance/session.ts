// The session with one server. A lost HTTP session is renewed.

import { TEXT_BOUNDS } from "../../../runtime/text/bounds.ts";
import { objectOf } from "../../../runtime/text/json-object.ts";
import { isError, isJsonObject, isWritable, type JsonObject, jsonOf, type Reply } from "../../json-rpc.ts";
import {
  APPS_EXTENSION,
  isProtocolVersion,
  LATEST_VERSION,
  loopGuard,
  MODERN_VERSION,
  type ProtocolVersion,
  type SpokenVersion,
} from "../../protocol.ts";
import { type TransportFailure, transportFailure, unknownVersion } from "../transports/backend-transport.ts";
import type { InitializeResult, InstanceOptions } from "./backend-instance.ts";
import type { InstanceCalls } from "./calls.ts";
import { errorAnswer } from "./failures.ts";
import type { SendRequest } from "./pending.ts";

/** Maximum number of session renewals in a minute. Beyond it, the instance ends, and its restart backs off. */
const MOST_A_MINUTE = 5;

export const STOPPED = transportFailure("closed", "it is being stopped");

interface SessionEvents {
  isOver(): boolean;
  established(version: SpokenVersion): void;
  lost(): void;
  renewed(): void;
  failed(failure: TransportFailure): void;
}

export class ServerSession {
  /** Counts up from 1; 0: not initialized yet. */
  number = 0;
  /** What the server said of itself and is too long to be used. */
  refused: readonly string[] = [];
  result: InitializeResult | null = null;
  /** Settles when the renewal has succeeded or failed; null: none is under way. */
  renewal: Promise<void> | null = null;
  /** Sends one of the gateway's own requests, after a renewal that is under way. */
  readonly send: SendRequest = async (method, params, timeoutMs) => {
    while (this.renewal !== null) await this.renewal;
    return this.#calls.send(method, params, timeoutMs);
  };
  readonly #options: InstanceOptions;
  readonly #calls: InstanceCalls;
  readonly #events: SessionEvents;
  #hasOutput = false;
  #hasLine = false;
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

  /** False for some servers that have lists all the same. */
  get declaresAnything(): boolean {
    return Object.values(this.result?.capabilities ?? {}).some(isJsonObject);
  }

  /** Starts the timeout of `initialize` at the server's first output. */
  onOutput(): void {
    if (this.#hasOutput) return;
    this.#hasOutput = true;
    const { pending } = this.#calls;
    const request = pending.get(this.#initializeId);
    if (request !== undefined) pending.restart(request);
  }

  /** Gives the start more time at the program's first line on stderr: it may fetch what it runs. */
  onLine(): void {
    if (this.#hasOutput || this.#hasLine) return;
    this.#hasLine = true;
    const { fetchMs = 0 } = this.#options;
    const { pending } = this.#calls;
    const request = pending.get(this.#initializeId);
    if (fetchMs === 0) this.onOutput();
    else if (request !== undefined) pending.extend(request, fetchMs);
  }

  /** Returns null on success. */
  async initialize(protocolVersion: ProtocolVersion = LATEST_VERSION): Promise<TransportFailure | null> {
    const { backend, clientInfo, owner, initMs, silentMs = 0, extensions } = this.#options;
    const params = {
      protocolVersion,
      capabilities: owner === null ? sharedCapabilities(extensions?.()) : owner.capabilities,
      clientInfo,
      _meta: loopGuard(),
    };
    const initializing = this.#calls.send("initialize", params, initMs, this.#hasOutput ? 0 : silentMs);
    this.#initializeId = this.#calls.pending.newestId;
    const initialized = await initializing;
    if (this.#events.isOver()) return STOPPED;
    if (initialized.kind === "failed") return initialized.failure;
    const other = supportedVersion(initialized.reply);
    if (other !== null && protocolVersion === LATEST_VERSION) return this.initialize(other);
    const answer = readInitializeResult(initialized.reply, backend);
    if ("kind" in answer) return answer;
    const { reply } = initialized;
    this.refused = isError(reply) ? [] : refusedIn(reply.result);
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
      this.#events.failed(transportFailure("session_lost", message));
    } else this.renewal = this.#renew();
  }

  async #renew(): Promise<void> {
    this.#events.lost();
    const failure = await this.initialize();
    this.renewal = null;
    if (failure !== null) return this.#events.failed(failure);
    const { backend, logger } = this.#options;
    logger.info("a server's session was renewed", { backend });
    this.#events.renewed();
  }
}

/** All capabilities that any client may have. Before a client is asked a question, its own capabilities are checked. */
const SHARED_CAPABILITIES: JsonObject = {
  sampling: { tools: {}, context: {} },
  elicitation: { form: {}, url: {} },
  roots: { listChanged: true },
  // Harmless for clients that do not support it: a tool with a page also returns text.
  extensions: {
    [APPS_EXTENSION]: { mimeTypes: ["text/html;profile=mcp-app"] },
  },
};

function sharedCapabilities(extensions: JsonObject = {}): JsonObject {
  return {
    ...SHARED_CAPABILITIES,
    extensions: { ...extensions, ...objectOf(SHARED_CAPABILITIES["extensions"]) },
  };
}

/** The newest version that a server names which refuses ours, as in an example of the specification; null: none. */
function supportedVersion(reply: Reply): ProtocolVersion | null {
  const data = isError(reply) ? reply.error.data : null;
  const supported: unknown = isJsonObject(data) ? data["supported"] : null;
  const known = Array.isArray(supported) ? supported.filter(isProtocolVersion) : [];
  return known.toSorted().at(-1) ?? null;
}

function refusedIn(result: JsonObject): readonly string[] {
  const parts = ["instructions", "capabilities", "serverInfo"];
  return parts.flatMap((part) =>
    isTooLong(result[part]) ? [`its ${part} in initialize are refused: they have more than 64 KiB`] : [],
  );
}

function isTooLong(part: unknown): boolean {
  const text = typeof part === "string" ? part : isJsonObject(part) ? (jsonOf(part) ?? "") : "";
  return text.length > TEXT_BOUNDS.instructions.most;
}

function readInitializeResult(reply: Reply, backend: string): InitializeResult | TransportFailure {
  if (isError(reply)) return errorAnswer("initialize", reply.error);
  const { protocolVersion, capabilities, serverInfo, instructions } = reply.result;
  if (!isProtocolVersion(protocolVersion) && protocolVersion !== MODERN_VERSION) {
    return unknownVersion(typeof protocolVersion === "string" ? protocolVersion : "");
  }
  const info = isJsonObject(serverInfo) && !isTooLong(serverInfo) ? serverInfo : {};
  const isUsable = isJsonObject(capabilities) && isWritable(capabilities) && !isTooLong(capabilities);
  return {
    protocolVersion,
    capabilities: isUsable ? capabilities : {},
    serverInfo: {
      name: typeof info["name"] === "string" ? info["name"] : backend,
      version: typeof info["version"] === "string" ? info["version"] : "",
    },
    instructions: typeof instructions === "string" && !isTooLong(instructions) ? instructions : null,
  };
}
