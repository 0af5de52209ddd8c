// The beginning of a session: reading `initialize`, and agreeing on a version.
import type { ClientPort } from "../../client-port.ts";
import { errorReply, INVALID_PARAMS, isJsonObject, type JsonObject, type Reply } from "../../json-rpc.ts";
import { isFromThisGateway, OWN_BACKEND } from "../../loop-guard.ts";
import { isProtocolVersion, LATEST_VERSION, type ProtocolVersion } from "../../protocol.ts";
import type { FrontGateway } from "./front-contract.ts";

/** Of each part of what a client says of itself; that is kept as long as its session. */
const LONGEST_PART = 64 * 1024;

type Introduction =
  | {
      readonly ok: true;
      readonly client: Pick<ClientPort, "capabilities" | "clientInfo"> & {
        readonly protocolVersion: ProtocolVersion;
      };
    }
  | { readonly ok: false; readonly reply: Reply };

/** What a client says of itself. A version that is not spoken here is answered with the latest that is. */
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
      clientInfo: keptInfo(clientInfo),
    },
  };
}

/** Who a client says it is; nothing where that is more than anybody needs to know. */
export function keptInfo(clientInfo: unknown): JsonObject {
  return isJsonObject(clientInfo) && isShort(clientInfo) ? clientInfo : {};
}

/** What is nested too deep to be written is not. */
function isShort(part: unknown): boolean {
  try {
    return JSON.stringify(part ?? null).length <= LONGEST_PART;
  } catch {
    return false;
  }
}

function refused(code: number, message: string): Introduction {
  return { ok: false, reply: errorReply(code, message) };
}

export function initializeReply(gateway: FrontGateway, version: ProtocolVersion): Reply {
  return { result: { protocolVersion: version, ...gateway.initializeResult(version) } };
}
