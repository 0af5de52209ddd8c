// What the gateway sends with `initialize`, and how it reads the server's result.
import type { ClientPort } from "../../client-port.ts";
import { isError, isJsonObject, isWritable, type JsonObject, type Reply } from "../../json-rpc.ts";
import { loopGuard } from "../../loop-guard.ts";
import {
  isProtocolVersion,
  LATEST_VERSION,
  LEGACY_VERSIONS,
  MODERN_VERSION,
  SKILLS_EXTENSION,
  type SpokenVersion,
} from "../../protocol.ts";
import { type LinkFailure, linkFailure } from "../links/backend-link.ts";
import { errorAnswer, oneLine } from "./failures.ts";

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

export interface InitializeResult {
  /** MODERN_VERSION: the link makes a server of that version look as if it had a session. */
  readonly protocolVersion: SpokenVersion;
  readonly capabilities: JsonObject;
  readonly serverInfo: { readonly name: string; readonly version: string };
  /** How the server wants its tools to be used; null: it does not say. */
  readonly instructions: string | null;
}

/** `owner`: whose instance it is, so that the server sees exactly that client's capabilities. */
export function initializeParams(
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
export function readInitializeResult(reply: Reply, backend: string): InitializeResult | LinkFailure {
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
