// Opens links to real servers through the adapter of both protocol eras.
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type {
  BackendTransport,
  OpenTransport,
  Sender,
} from "../../../../../src/gateway/backends/transports/backend-transport.ts";
import { openHttpTransport } from "../../../../../src/gateway/backends/transports/http/http-transport.ts";
import { openStdioTransport } from "../../../../../src/gateway/backends/transports/stdio/stdio-transport.ts";
import { Warden } from "../../../../../src/gateway/backends/transports/stdio/warden.ts";
import {
  openVersionAdapter,
  VersionCache,
} from "../../../../../src/gateway/backends/transports/versions/version-adapter.ts";
import { isJsonObject, type JsonObject, type RpcId } from "../../../../../src/gateway/json-rpc.ts";
import { noopLogger } from "../../../../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../../support/eventually.ts";
import { createRecordingLogger } from "../../../../support/recording-logger.ts";
import { openRecorded, type RecordedLink } from "../link-recorder.ts";

export const programPath = (name: string): string =>
  fileURLToPath(new URL(`../../programs/${name}.ts`, import.meta.url));

export const CAPABILITIES: JsonObject = {
  elicitation: { form: {}, url: {} },
  sampling: {},
  roots: { listChanged: true },
};

export function createEraRig(t: TestContext, { isPinned: isFixed = false } = {}) {
  const warden = new Warden({ clock, logger: noopLogger });
  const logger = createRecordingLogger();
  const memory = new VersionCache();
  const links: BackendTransport[] = [];
  t.after(async () => {
    await Promise.all(links.map((link) => link.close()));
    await warden[Symbol.asyncDispose]();
  });
  const common = { backend: "era", key: "key", memory, clock, logger };
  return {
    memory,
    logger,
    stdio(program: string, args: readonly string[] = [], env: Record<string, string> = {}): OpenTransport {
      const command = { command: process.execPath, args: [programPath(program), ...args] };
      const open = openStdioTransport({ ...command, env, cwd: "/", warden, clock });
      return openVersionAdapter({ ...common, open, over: "process", isFixed });
    },
    http(url: string): OpenTransport {
      return openVersionAdapter({
        ...common,
        open: openHttpTransport({ url, headers: {}, clock }),
        over: "http",
        isFixed,
      });
    },
    open(open: OpenTransport): RecordedLink {
      const recorded = openRecorded(open);
      links.push(recorded.link);
      return recorded;
    },
  };
}

/** As the instance does: with all that the gateway can do. */
export async function initialize(recorded: RecordedLink): Promise<JsonObject> {
  const result = await recorded.ask("initialize", {
    protocolVersion: "2025-11-25",
    capabilities: CAPABILITIES,
    clientInfo: { name: "test", version: "1" },
  });
  recorded.link.established(result["protocolVersion"] === "2026-07-28" ? "2026-07-28" : "2025-11-25");
  recorded.link.send({ jsonrpc: "2.0", method: "notifications/initialized" });
  return result;
}

let lastId = 10_000;

export interface Called {
  readonly id: RpcId;
  /** The reply: `result` or `error`. It is looked for when this is. */
  readonly reply: Promise<JsonObject>;
}

/** A request in the name of a client. */
export function send(
  { link, received, failed }: RecordedLink,
  method: string,
  params: JsonObject,
  sender: Sender = { sessionId: "session-1", capabilities: CAPABILITIES, logLevel: null },
): Called {
  const id = ++lastId;
  link.send({ jsonrpc: "2.0", id, method, params }, sender);
  return {
    id,
    get reply() {
      return eventually(() => {
        const found = received.find(({ message }) => isJsonObject(message) && message["id"] === id);
        return isJsonObject(found?.message)
          ? found.message
          : Promise.reject(new Error(failed.get(id)?.message));
      });
    },
  };
}

export function callTool(
  recorded: RecordedLink,
  name: string,
  args: JsonObject = {},
  sender?: Sender,
): Called {
  return send(recorded, "tools/call", { name, arguments: args }, sender);
}

export function answer({ link }: RecordedLink, question: JsonObject | undefined, result: JsonObject): void {
  link.send({ jsonrpc: "2.0", id: question?.["id"] as RpcId, result });
}

/** The only text of a tool's result, parsed. */
export function textOf(reply: JsonObject): unknown {
  const { result } = reply;
  const content = isJsonObject(result) ? result["content"] : undefined;
  const [first] = Array.isArray(content) ? content : [];
  if (!isJsonObject(first)) throw new Error(`no text in ${JSON.stringify(reply)}`);
  return JSON.parse(String(first["text"]));
}
