// Progress tokens: the server gets a token of the gateway's own in place of the client's, and the client's token back.
import { isJsonObject, isRpcId, type JsonObject, type RpcId } from "../../json-rpc.ts";

/** The token by which a request asks for progress; null: it asks for none. */
export function progressTokenOf(params: JsonObject | undefined): RpcId | null {
  const meta = params?.["_meta"];
  if (!isJsonObject(meta)) return null;
  const token = meta["progressToken"];
  return isRpcId(token) ? token : null;
}

/** Another token in its place; everything else stays the same object. Only for params that have one. */
export function withProgressToken(params: JsonObject, token: RpcId): JsonObject {
  const meta = params["_meta"];
  return { ...params, _meta: { ...(isJsonObject(meta) ? meta : {}), progressToken: token } };
}
