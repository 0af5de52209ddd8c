// What protocol 2026-07-28 wants in each reply beside what backends of older versions say.
import {
  errorReply,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  isError,
  isJsonObject,
  type JsonObject,
  RESOURCE_NOT_FOUND,
  type Reply,
} from "../../json-rpc.ts";
import { declaresTasks, META } from "../../protocol.ts";
import type { ModernRequest } from "./request.ts";

/** Their results say how long they hold. */
const CACHED: ReadonlySet<string> = new Set([
  "server/discover",
  "tools/list",
  "prompts/list",
  "resources/list",
  "resources/templates/list",
  "resources/read",
  "skills/list",
  "skills/get",
]);

export function complete(request: ModernRequest, reply: Reply, serverInfo: JsonObject): Reply {
  if (isError(reply)) {
    const { error } = reply;
    return error.code === RESOURCE_NOT_FOUND ? { error: { ...error, code: INVALID_PARAMS } } : reply;
  }
  const { result } = reply;
  const { resultType = "complete", _meta } = result;
  if (resultType === "task" && !mayBeTask(request)) {
    return errorReply(INTERNAL_ERROR, "the server answered with a task, which this request does not take");
  }
  const meta = { ...(isJsonObject(_meta) ? _meta : {}), [META.serverInfo]: serverInfo };
  const holds = resultType === "complete" && CACHED.has(request.method) ? freshness(request, result) : {};
  return { result: { ...result, ...holds, resultType, _meta: meta } };
}

function mayBeTask({ method, declared }: ModernRequest): boolean {
  return method === "tools/call" && declaresTasks(declared);
}

/** How long a result may be cached: not at all where its server does not say; by shared caches only if all may read it. */
function freshness({ params, principal }: ModernRequest, { ttlMs, cacheScope }: JsonObject): JsonObject {
  const isRetry = params["inputResponses"] !== undefined || params["requestState"] !== undefined;
  const isSaid = typeof ttlMs === "number" && Number.isInteger(ttlMs) && ttlMs >= 0 && !isRetry;
  const isPublic = isSaid && cacheScope === "public" && principal.kind === "anonymous";
  return { ttlMs: isSaid ? ttlMs : 0, cacheScope: isPublic ? "public" : "private" };
}
