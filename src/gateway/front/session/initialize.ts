// The beginning of a session: reading `initialize`, and agreeing on a version.
import type { ClientPort } from "../../client-port.ts";
import { errorReply, INVALID_PARAMS, isJsonObject, type JsonObject, type Reply } from "../../json-rpc.ts";
import type { ServedClient } from "../../middleware/middleware.ts";
import {
  isFromThisGateway,
  isProtocolVersion,
  LATEST_VERSION,
  OWN_BACKEND,
  type ProtocolVersion,
} from "../../protocol.ts";
import type { FrontGateway } from "./front-contract.ts";

/** Of each part of what a client says of itself; that is kept as long as its session. */
const LONGEST_PART = 64 * 1024;

/** Quotes, a colon, a comma. */
const AROUND_A_MEMBER = 6;
/** As JSON writes one: `\u0000`. */
const MOST_A_CHARACTER = 6;

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
  if (isSurelyShort(part)) return true;
  try {
    return JSON.stringify(part ?? null).length <= LONGEST_PART;
  } catch {
    return false;
  }
}

/** A few short texts, as nearly all have: no need to write them to see it, which a request of 2026-07-28 would each time. */
function isSurelyShort(part: unknown): boolean {
  if (!isJsonObject(part)) return false;
  let characters = 0;
  for (const key in part) {
    const value = part[key];
    if (typeof value !== "string") return false;
    characters += key.length + value.length + AROUND_A_MEMBER;
  }
  return characters * MOST_A_CHARACTER <= LONGEST_PART;
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
