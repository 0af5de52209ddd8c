// Checks a request of protocol 2026-07-28: what `_meta` says of the client, and whether the HTTP headers match the body.
import { TEXT_BOUNDS } from "../../../runtime/text/bounds.ts";
import { takeCaller } from "../../caller-marks.ts";
import type { Principal, ReachedAt } from "../../client-handle.ts";
import {
  errorReply,
  INVALID_PARAMS,
  INVALID_REQUEST,
  idKey,
  isJsonObject,
  isRpcId,
  type JsonObject,
  METHOD_NOT_FOUND,
  type RpcId,
  type RpcRequest,
} from "../../json-rpc.ts";
import type { ServingSet, TraceHeaders } from "../../middleware/middleware.ts";
import { decodeHeader, hasSameValue, paramText, paramValue } from "../../param-headers.ts";
import {
  HEADER_MISMATCH,
  isLogLevel,
  isModern,
  LOG_LEVELS,
  type McpLogLevel,
  META,
  MODERN_VERSION,
  NAMED_BY,
  SERVED_VERSIONS,
  UNSUPPORTED_VERSION,
  UNWATCH_TASK,
  WATCH_TASK,
} from "../../protocol.ts";
import { clientNameOf } from "../session/initialize.ts";

type ErrorReply = ReturnType<typeof errorReply>;

/** Names in lower case. */
type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** A request that has passed all checks. */
export interface ModernRequest {
  readonly id: RpcId;
  readonly method: string;
  readonly params: JsonObject;
  /** As `ClientHandle.caller`; null: unknown. */
  readonly caller: string | null;
  readonly principal: Principal;
  /** The client's capabilities, for this request. */
  readonly capabilities: JsonObject;
  readonly clientInfo: JsonObject;
  /** The group at whose address the request came in; null: none. */
  readonly group: string | null;
  /** The folder in which the client was started; null: it has not told. */
  readonly folder: string | null;
  /** Null: the client wants no log messages. */
  readonly logLevel: McpLogLevel | null;
  /** Null: the client wants no progress notifications. */
  readonly progressToken: RpcId | null;
  readonly trace: TraceHeaders | null;
  readonly address?: ReachedAt | undefined;
}

export type Checked =
  | { readonly ok: true; readonly request: ModernRequest }
  | { readonly ok: false; readonly status: 400 | 404; readonly reply: ErrorReply };

/** Methods of older versions that 2026-07-28 lacks, and methods that only servers call. */
const UNAVAILABLE: ReadonlySet<string> = new Set([
  "initialize",
  "ping",
  "logging/setLevel",
  "resources/subscribe",
  "resources/unsubscribe",
  "roots/list",
  "sampling/createMessage",
  "elicitation/create",
  "tasks/result",
  "tasks/list",
  // Only the gateway and its links use these methods.
  WATCH_TASK,
  UNWATCH_TASK,
]);

/** `headers` null: the transport has none. */
export function checkModern(
  { id, method, params = {} }: RpcRequest,
  principal: Principal,
  headers: Headers | null,
  via: Pick<ModernRequest, "trace" | "group" | "folder" | "address"> & { readonly caller?: string | null },
): Checked {
  const meta = isJsonObject(params["_meta"]) ? params["_meta"] : {};
  if (method === "initialize" && !isModern(params)) {
    return refused(mismatch("MCP-Protocol-Version", `names ${MODERN_VERSION}, which has no initialize`));
  }
  const fault = faultOfMeta(meta) ?? (headers === null ? null : faultOfVersion(meta, headers));
  if (fault !== null) return refused(fault);
  const version = meta[META.protocolVersion];
  if (version !== MODERN_VERSION) {
    const data = { supported: SERVED_VERSIONS, requested: version };
    return refused(errorReply(UNSUPPORTED_VERSION, "this protocol version is not supported", data));
  }
  const other = headers === null ? null : faultOfHeaders(method, params, headers);
  if (other !== null) return refused(other);
  if (!isShort(id)) {
    return refused(
      errorReply(INVALID_REQUEST, `\`id\` has more than ${TEXT_BOUNDS.requestId.most} characters`),
    );
  }
  if (UNAVAILABLE.has(method))
    return refused(errorReply(METHOD_NOT_FOUND, `Method not found: ${method}`), 404);
  const { [META.logLevel]: logLevel, [META.clientCapabilities]: capabilities, progressToken } = meta;
  return {
    ok: true,
    request: {
      id,
      method,
      ...(principal.kind === "machine" ? takeCaller(params) : { params, caller: via.caller ?? null }),
      principal,
      group: via.group,
      folder: via.folder,
      capabilities: isJsonObject(capabilities) ? capabilities : {},
      clientInfo: clientNameOf(meta[META.clientInfo]),
      logLevel: isLogLevel(logLevel) ? logLevel : null,
      progressToken: isRpcId(progressToken) ? progressToken : null,
      trace: via.trace,
      address: via.address,
    },
  };
}

/** True if the Mcp-Method header is absent or names this method. */
export function isMethodOf(method: string, headers: Headers): boolean {
  const named = headers["mcp-method"];
  return named === undefined || named === method;
}

/** Checks the headers that repeat a tool's arguments (`x-mcp-header`); null: they match. */
export function checkParamHeaders(
  { method, params, principal }: ModernRequest,
  headers: Headers,
  served: () => Pick<ServingSet, "unwrappedParams" | "viewFor">,
): ErrorReply | null {
  if (method !== "tools/call" || typeof params["name"] !== "string") return null;
  const serving = served();
  const unwrapped = serving.unwrappedParams(method, params) ?? params;
  const { name } = unwrapped;
  if (typeof name !== "string") return null;
  for (const declared of serving.viewFor(principal).modern.paramHeaders.get(name) ?? []) {
    const text = paramText(paramValue(unwrapped["arguments"], declared));
    const found = headers[declared.header.toLowerCase()];
    // A tool that is called through another tool is in no list of the client, so the client cannot know its headers.
    if (text === null || (found === undefined && unwrapped !== params)) continue;
    const what = `argument ${declared.path.join(".")}`;
    if (typeof found !== "string") return mismatch(declared.header, `is missing; the body has the ${what}`);
    const decoded = decodeHeader(found);
    if (decoded === null) return mismatch(declared.header, "is not valid base64");
    if (!hasSameValue(decoded, text, declared))
      return mismatch(declared.header, `does not match the ${what}`);
  }
  return null;
}

function wrong(key: string, what: string): ErrorReply {
  return errorReply(INVALID_PARAMS, `\`params._meta\`: ${key} must be ${what}`, { key });
}

function faultOfMeta(meta: JsonObject): ErrorReply | null {
  const missing = [META.protocolVersion, META.clientCapabilities].filter((key) => meta[key] === undefined);
  if (missing.length > 0) {
    const message = `\`params._meta\` needs ${missing.join(" and ")}`;
    return errorReply(INVALID_PARAMS, message, { missing });
  }
  if (typeof meta[META.protocolVersion] !== "string") return wrong(META.protocolVersion, "a string");
  if (!isJsonObject(meta[META.clientCapabilities])) return wrong(META.clientCapabilities, "an object");
  const { [META.clientInfo]: info, [META.logLevel]: level, progressToken } = meta;
  if (info !== undefined && !isJsonObject(info)) return wrong(META.clientInfo, "an object");
  if (level !== undefined && !isLogLevel(level)) {
    return wrong(META.logLevel, `one of ${LOG_LEVELS.join(", ")}`);
  }
  if (progressToken === undefined) return null;
  if (!isRpcId(progressToken)) return wrong("progressToken", "a string or a number");
  return isShort(progressToken)
    ? null
    : wrong("progressToken", `no longer than ${TEXT_BOUNDS.requestId.most} characters`);
}

function faultOfVersion(meta: JsonObject, headers: Headers): ErrorReply | null {
  const named = headers["mcp-protocol-version"];
  if (named === undefined || named === meta[META.protocolVersion]) return null;
  return mismatch("MCP-Protocol-Version", "names another version than the body");
}

function faultOfHeaders(method: string, params: JsonObject, headers: Headers): ErrorReply | null {
  if (headers["mcp-protocol-version"] === undefined) return mismatch("MCP-Protocol-Version", "is missing");
  const named = headers["mcp-method"];
  if (named === undefined) return mismatch("Mcp-Method", "is missing");
  if (named !== method) return mismatch("Mcp-Method", "names another method than the body");
  const part = NAMED_BY.get(method);
  if (part === undefined) return null;
  const target = params[part];
  const header = headers["mcp-name"];
  if (typeof target !== "string")
    return mismatch("Mcp-Name", `needs a string \`params.${part}\` in the body`);
  if (Array.isArray(header)) return mismatch("Mcp-Name", "is there more than once");
  if (typeof header !== "string") return mismatch("Mcp-Name", `is missing; the body has \`params.${part}\``);
  const decoded = decodeHeader(header);
  if (decoded === null) return mismatch("Mcp-Name", "is not valid base64");
  return decoded === target ? null : mismatch("Mcp-Name", `does not match \`params.${part}\``);
}

function isShort(id: RpcId): boolean {
  return typeof id === "number" || String(idKey(id)).length <= TEXT_BOUNDS.requestId.most;
}

function mismatch(header: string, what: string): ErrorReply {
  return errorReply(HEADER_MISMATCH, `the ${header} header ${what}`, { header });
}

function refused(reply: ErrorReply, status: 400 | 404 = 400): Checked {
  return { ok: false, status, reply };
}
