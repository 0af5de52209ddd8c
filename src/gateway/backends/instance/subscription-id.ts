// The id by which messages of a stream say to which request they belong (2026-07-28). Servers get our id of the request, clients their own.
import { isJsonObject, type JsonObject } from "../../json-rpc.ts";
import { META } from "../../protocol.ts";

/** undefined: the message names no request. */
export function subscriptionIn(params: JsonObject | undefined): unknown {
  const meta = params?.["_meta"];
  return isJsonObject(meta) ? meta[META.subscriptionId] : undefined;
}

/** The params with the client's id in place of ours, if they have one. */
export function withSubscription<Params extends JsonObject | undefined>(
  params: Params,
  id: unknown,
): Params | JsonObject {
  const meta = params?.["_meta"];
  if (!isJsonObject(meta) || meta[META.subscriptionId] === undefined) return params;
  return { ...params, _meta: { ...meta, [META.subscriptionId]: id } };
}
