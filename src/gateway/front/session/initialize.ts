// The beginning of a session: reading `initialize`, and agreeing on a version.
import type { ClientPort } from "../../client-port.ts";
import { errorReply, INVALID_PARAMS, isJsonObject, type JsonObject, type Reply } from "../../json-rpc.ts";
import { isFromThisGateway, OWN_BACKEND } from "../../loop-guard.ts";
import { isProtocolVersion, LATEST_VERSION, type ProtocolVersion } from "../../protocol.ts";
import type { FrontGateway } from "./front-contract.ts";

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
  return {
    ok: true,
    client: {
      protocolVersion: isProtocolVersion(protocolVersion) ? protocolVersion : LATEST_VERSION,
      capabilities: isJsonObject(capabilities) ? capabilities : {},
      clientInfo: isJsonObject(clientInfo) ? clientInfo : {},
    },
  };
}

function refused(code: number, message: string): Introduction {
  return { ok: false, reply: errorReply(code, message) };
}

export function initializeReply(gateway: FrontGateway, version: ProtocolVersion): Reply {
  return { result: { protocolVersion: version, ...gateway.initializeResult(version) } };
}
