// Reads `initialize`, and agrees on a protocol version.
import { TEXT_BOUNDS } from "../../../runtime/text/bounds.ts";
import type { ClientHandle } from "../../client-handle.ts";
import {
  errorReply,
  INVALID_PARAMS,
  isJsonObject,
  type JsonObject,
  jsonOf,
  type Reply,
} from "../../json-rpc.ts";
import type { ServedClient } from "../../middleware/middleware.ts";
import {
  isFromThisGateway,
  isProtocolVersion,
  LATEST_VERSION,
  OWN_BACKEND,
  type ProtocolVersion,
} from "../../protocol.ts";
import type { FrontGateway } from "./front-contract.ts";

/** Maximum length of `capabilities` and of `clientInfo`, which are kept as long as their session. */

type Introduction =
  | {
      readonly ok: true;
      readonly client: Pick<ClientHandle, "capabilities" | "clientInfo"> & {
        readonly protocolVersion: ProtocolVersion;
      };
    }
  | { readonly ok: false; readonly reply: Reply };

/** For a protocol version that is not supported, the latest supported one is chosen. */
export function readIntroduction(params: JsonObject | undefined): Introduction {
  const { protocolVersion, capabilities, clientInfo } = params ?? {};
  if (typeof protocolVersion !== "string") {
    return refused(INVALID_PARAMS, "`params.protocolVersion` of initialize must be a string");
  }
  if (isFromThisGateway(params)) return { ok: false, reply: OWN_BACKEND };
  if (!isShort(capabilities)) {
    return refused(INVALID_PARAMS, "`params.capabilities` of initialize must not be larger than 64 KiB");
  }
  return {
    ok: true,
    client: {
      protocolVersion: isProtocolVersion(protocolVersion) ? protocolVersion : LATEST_VERSION,
      capabilities: isJsonObject(capabilities) ? capabilities : {},
      clientInfo: clientNameOf(clientInfo),
    },
  };
}

/** The client's name and version; empty if too long. */
export function clientNameOf(clientInfo: unknown): JsonObject {
  return isJsonObject(clientInfo) && isShort(clientInfo) ? clientInfo : {};
}

/** False for a value that is too long as JSON, or nested too deeply to be written. */
function isShort(part: unknown): boolean {
  const json = jsonOf(part ?? null);
  return json !== null && json.length <= TEXT_BOUNDS.introduction.most;
}

function refused(code: number, message: string): Introduction {
  return { ok: false, reply: errorReply(code, message) };
}

export function initializeReply(
  gateway: FrontGateway,
  client: ServedClient & { readonly protocolVersion: ProtocolVersion },
): Reply {
  const { protocolVersion } = client;
  return { result: { protocolVersion, ...gateway.initializeResult(protocolVersion, client) } };
}
