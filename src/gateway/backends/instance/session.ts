// The session with one server: `initialize`, and one renewal of a lost HTTP session for all who notice it.

import type { ClientPort } from "../../client-port.ts";
import { isError, isJsonObject, isWritable, type JsonObject, type Reply } from "../../json-rpc.ts";
import {
  isProtocolVersion,
  LATEST_VERSION,
  LEGACY_VERSIONS,
  loopGuard,
  MODERN_VERSION,
  SKILLS_EXTENSION,
  type SpokenVersion,
} from "../../protocol.ts";
import { type LinkFailure, linkFailure } from "../links/backend-link.ts";
import type { InitializeResult, InstanceOptions } from "./backend-instance.ts";
import type { InstanceCalls } from "./calls.ts";
import { errorAnswer, oneLine } from "./failures.ts";
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

// What the gateway sends with `initialize`, and how it reads the server's result.

/** What the gateway can pass on for some client; who of them declared what is looked at for each question. */
const SHARED_CAPABILITIES: JsonObject = {
  sampling: { tools: {}, context: {} },
  elicitation: { form: {}, url: {} },
  roots: { listChanged: true },
  // Whoever cannot show a page has the tool's text all the same; skills are for whoever asks for them.
  extensions: {
    "io.modelcontextprotocol/ui": { mimeTypes: ["text/html;profile=mcp-app"] },
    [SKILLS_EXTENSION]: {},
  },
};

/** `owner`: whose instance it is, so that the server sees exactly that client's capabilities. */
function initializeParams(
  clientInfo: { readonly name: string; readonly version: string },
  owner: ClientPort | null,
): JsonObject {
  return {
    protocolVersion: LATEST_VERSION,
    capabilities: owner === null ? SHARED_CAPABILITIES : owner.capabilities,
    clientInfo,
    _meta: loopGuard(),
  };
}

/** What the server says it is. One that names no name or no capabilities that we could tell is taken as it is. */
function readInitializeResult(reply: Reply, backend: string): InitializeResult | LinkFailure {
  if (isError(reply)) return errorAnswer("initialize", reply.error);
  const { protocolVersion, capabilities, serverInfo, instructions } = reply.result;
  if (!isProtocolVersion(protocolVersion) && protocolVersion !== MODERN_VERSION) {
    const theirs = typeof protocolVersion === "string" ? oneLine(protocolVersion) : "of no version";
    const ours = [MODERN_VERSION, ...LEGACY_VERSIONS].join(", ");
    const message = `the server speaks MCP ${theirs}, the gateway ${ours}`;
    return linkFailure("protocol", message, "use a version of the server that speaks one of these");
  }
  const info = isJsonObject(serverInfo) ? serverInfo : {};
  return {
    protocolVersion,
    capabilities: isJsonObject(capabilities) && isWritable(capabilities) ? capabilities : {},
    serverInfo: {
      name: typeof info["name"] === "string" ? info["name"] : backend,
      version: typeof info["version"] === "string" ? info["version"] : "",
    },
    instructions: typeof instructions === "string" ? instructions : null,
  };
}
