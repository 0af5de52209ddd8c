// A request of protocol 2026-07-28: what it says of its client in `_meta`, and whether its headers say the same.
import { takeCaller } from "../../caller-marks.ts";
import type { Principal } from "../../client-port.ts";
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
import { decodeHeader, paramText, paramValue, saysSame } from "../../param-headers.ts";
import {
  HEADER_MISMATCH,
  isLogLevel,
  isModern,
  LOG_LEVELS,
  type McpLogLevel,
  META,
  MODERN_VERSION,
  NAMED_BY,
  UNSUPPORTED_VERSION,
  UNWATCH_TASK,
  WATCH_TASK,
} from "../../protocol.ts";
import { keptInfo } from "../session/initialize.ts";

/** They go out again with each message of a stream. */
const LONGEST_TOKEN = 1_024;

type ErrorReply = ReturnType<typeof errorReply>;

/** As Node has them: names in lower case. */
type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** One that may be served. */
export interface ModernRequest {
  /** The client's own. */
  readonly id: RpcId;
  readonly method: string;
  /** As the client sent them. */
  readonly params: JsonObject;
  /** Which client of another machine it is of; null: that is not known, or it is of none. */
  readonly caller: string | null;
  readonly principal: Principal;
  /** What the client can be asked, for this request. */
  readonly declared: JsonObject;
  readonly clientInfo: JsonObject;
  /** At whose address it came in; null: at that of everything. */
  readonly group: string | null;
  /** Null: it wants no log messages. */
  readonly logLevel: McpLogLevel | null;
  /** Null: it wants no progress. */
  readonly progressToken: RpcId | null;
  readonly trace: TraceHeaders | null;
}

export type Checked =
  | { readonly ok: true; readonly request: ModernRequest }
  | { readonly ok: false; readonly status: 400 | 404; readonly reply: ErrorReply };

/** What older versions have, and this one has not; and what only servers ask. */
const GONE: ReadonlySet<string> = new Set([
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
  // Between the gateway and its links.
  WATCH_TASK,
  UNWATCH_TASK,
]);

/** What of a request is neither in its body nor in the headers of this version. */
export type CameBy = Pick<ModernRequest, "trace" | "group">;

/** `headers` null: it came over what has none. */
export function checkModern(
  { id, method, params = {} }: RpcRequest,
  principal: Principal,
  headers: Headers | null,
  { trace, group }: CameBy,
): Checked {
  const meta = isJsonObject(params["_meta"]) ? params["_meta"] : {};
  if (method === "initialize" && !isModern(params)) {
    return refused(mismatch("MCP-Protocol-Version", `names ${MODERN_VERSION}, which has no initialize`));
  }
  const fault = faultOfMeta(meta) ?? (headers === null ? null : faultOfVersion(meta, headers));
  if (fault !== null) return refused(fault);
  const version = meta[META.protocolVersion];
  if (version !== MODERN_VERSION) {
    const data = { supported: [MODERN_VERSION], requested: version };
    return refused(errorReply(UNSUPPORTED_VERSION, "this protocol version is not supported", data));
  }
  const other = headers === null ? null : faultOfHeaders(method, params, headers);
  if (other !== null) return refused(other);
  if (!isShort(id)) {
    return refused(errorReply(INVALID_REQUEST, `\`id\` has more than ${LONGEST_TOKEN} characters`));
  }
  if (GONE.has(method)) return refused(errorReply(METHOD_NOT_FOUND, `Method not found: ${method}`), 404);
  const { [META.logLevel]: logLevel, progressToken } = meta;
  return {
    ok: true,
    request: {
      id,
      method,
      ...(principal.kind === "machine" ? takeCaller(params) : { params, caller: null }),
      principal,
      group,
      declared: objectOr(meta[META.clientCapabilities]),
      clientInfo: keptInfo(meta[META.clientInfo]),
      logLevel: isLogLevel(logLevel) ? logLevel : null,
      progressToken: isRpcId(progressToken) ? progressToken : null,
      trace,
    },
  };
}

/** Whether Mcp-Method, where it is there, is the method of this notification. */
export function isMethodOf(method: string, headers: Headers): boolean {
  const named = headers["mcp-method"];
  return named === undefined || named === method;
}

/** Arguments that the tool wants in headers, too; null: they are as they should be. */
export function checkParamHeaders(
  { method, params, principal }: ModernRequest,
  headers: Headers,
  served: () => Pick<ServingSet, "meantParams" | "viewFor">,
): ErrorReply | null {
  if (method !== "tools/call" || typeof params["name"] !== "string") return null;
  const serving = served();
  const meant = serving.meantParams(method, params) ?? params;
  const { name } = meant;
  if (typeof name !== "string") return null;
  for (const declared of serving.viewFor(principal).modern.paramHeaders.get(name) ?? []) {
    const text = paramText(paramValue(meant["arguments"], declared));
    const found = headers[declared.header.toLowerCase()];
    // Of the tool within a call its client has no list that says what to repeat.
    if (text === null || (found === undefined && meant !== params)) continue;
    const what = `argument ${declared.path.join(".")}`;
    if (typeof found !== "string") return mismatch(declared.header, `is missing; the body has the ${what}`);
    const said = decodeHeader(found);
    if (said === null) return mismatch(declared.header, "is not valid base64");
    if (!saysSame(said, text, declared)) return mismatch(declared.header, `is another than the ${what}`);
  }
  return null;
}

const NEEDED = [META.protocolVersion, META.clientCapabilities] as const;

function wrong(key: string, what: string): ErrorReply {
  return errorReply(INVALID_PARAMS, `\`params._meta\`: ${key} must be ${what}`, { key });
}

function faultOfMeta(meta: JsonObject): ErrorReply | null {
  if (meta[META.protocolVersion] === undefined || meta[META.clientCapabilities] === undefined) {
    const missing = NEEDED.filter((key) => meta[key] === undefined);
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
  return isShort(progressToken) ? null : wrong("progressToken", `no longer than ${LONGEST_TOKEN} characters`);
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
  const target = part === undefined ? undefined : params[part];
  if (typeof target !== "string") return null;
  const header = headers["mcp-name"];
  if (typeof header !== "string") return mismatch("Mcp-Name", `is missing; the body has \`params.${part}\``);
  const said = decodeHeader(header);
  if (said === null) return mismatch("Mcp-Name", "is not valid base64");
  return said === target ? null : mismatch("Mcp-Name", `names another than \`params.${part}\``);
}

function isShort(id: RpcId): boolean {
  return typeof id === "number" || String(idKey(id)).length <= LONGEST_TOKEN;
}

function mismatch(header: string, what: string): ErrorReply {
  return errorReply(HEADER_MISMATCH, `the ${header} header ${what}`, { header });
}

function refused(reply: ErrorReply, status: 400 | 404 = 400): Checked {
  return { ok: false, status, reply };
}

function objectOr(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}
