// The id of a session over HTTP contains the session, sealed with a key. A daemon that has the key continues the session from
// its id: the next daemon, one that starts after a crash, one of another machine behind a balancer. An id gives no rights: each
// request is authenticated, and a session is only its principal's.
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import { parseJson } from "../../../runtime/text/parse-json.ts";
import { isJsonObject, type JsonObject, jsonOf } from "../../json-rpc.ts";
import { isProtocolVersion, type ProtocolVersion } from "../../protocol.ts";

/** What a client has told at `initialize`, and whose session it is. */
export interface SealedSession {
  /** The result of `principalKey`. */
  readonly principal: string;
  readonly protocolVersion: ProtocolVersion;
  readonly capabilities: JsonObject;
  readonly clientInfo: JsonObject;
  readonly group: string | null;
}

export interface SessionKeys {
  readonly seals: KeyObject;
  /** All keys whose ids are accepted, also `seals`. */
  readonly opens: readonly KeyObject[];
}

/** nginx reads 4 KiB of an answer's headers. */
const LONGEST_ID = 1_500;
const CIPHER = "aes-256-gcm";
const KEY_BYTES = 32;
/** Its text has 16 characters, by which balancers spread sessions. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const VERSION = Buffer.from([1]);
const HEAD_BYTES = NONCE_BYTES + VERSION.length;
const PURPOSE = "mountaineer session ids";

/** A key that seals session ids and nothing else, made from a secret of at least 256 random bits. */
export function sessionKeyOf(secret: Buffer | string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync("sha256", secret, "", PURPOSE, KEY_BYTES)));
}

/** An id that contains nothing: the session ends with the daemons that know it. */
export function plainSessionId(): string {
  return randomBytes(24).toString("base64url");
}

/** An id that contains the session; null: the session is too large for one. */
export function sealSession({ seals }: SessionKeys, session: SealedSession): string | null {
  const { principal, protocolVersion, capabilities, clientInfo, group } = session;
  const { name, version } = clientInfo;
  const text = jsonOf([principal, protocolVersion, capabilities, { name, version }, group]);
  if (text === null || text.length > LONGEST_ID) return null;
  const nonce = randomBytes(NONCE_BYTES);
  const sealing = createCipheriv(CIPHER, seals, nonce).setAAD(VERSION);
  const parts = [nonce, VERSION, sealing.update(text, "utf8"), sealing.final(), sealing.getAuthTag()];
  const id = Buffer.concat(parts).toString("base64url");
  return id.length <= LONGEST_ID ? id : null;
}

/** Null: none of the keys has sealed this id. */
export function openSession({ opens }: SessionKeys, id: string): SealedSession | null {
  if (id.length > LONGEST_ID) return null;
  const bytes = Buffer.from(id, "base64url");
  const isSealed = bytes.length > HEAD_BYTES + TAG_BYTES && bytes[NONCE_BYTES] === VERSION[0];
  // Other texts decode to the same bytes. A session has one id, so that it can be ended.
  if (!isSealed || bytes.toString("base64url") !== id) return null;
  for (const key of opens) {
    const text = opened(key, bytes);
    if (text !== null) return sessionIn(parseJson(text));
  }
  return null;
}

function opened(key: KeyObject, bytes: Buffer): string | null {
  const opening = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES));
  opening.setAAD(VERSION).setAuthTag(bytes.subarray(-TAG_BYTES));
  const text = opening.update(bytes.subarray(HEAD_BYTES, -TAG_BYTES));
  // A stack trace of the error would take as long as all else here.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return Buffer.concat([text, opening.final()]).toString("utf8");
  } catch {
    return null;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The key proves that a daemon wrote the value, but it may be of a later version. */
function sessionIn(value: unknown): SealedSession | null {
  if (!Array.isArray(value)) return null;
  const [principal, protocolVersion, capabilities, clientInfo, group]: readonly unknown[] = value;
  if (typeof principal !== "string" || !isProtocolVersion(protocolVersion)) return null;
  if (!isJsonObject(capabilities) || !isJsonObject(clientInfo)) return null;
  return {
    principal,
    protocolVersion,
    capabilities,
    clientInfo,
    group: typeof group === "string" ? group : null,
  };
}
