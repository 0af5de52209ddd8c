// D-Bus messages to bytes and back.
import { malformed, marshal, unmarshal, variant } from "./marshal.ts";

type MessageType = "call" | "return" | "error" | "signal";

export interface Message {
  readonly type: MessageType;
  readonly serial: number;
  readonly noReply?: boolean;
  readonly path?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly errorName?: string;
  readonly replySerial?: number;
  readonly destination?: string;
  readonly sender?: string;
  readonly signature: string;
  readonly body: readonly unknown[];
}

const TYPES: readonly MessageType[] = ["call", "return", "error", "signal"];
const NO_REPLY = 1;
const PROTOCOL_VERSION = 1;
const FIXED_BYTES = 16;
/** Maximum size of a message, in bytes; the protocol allows more, but menus never get more. */
const LONGEST = 16 * 1024 * 1024;

const FIELDS = [
  [1, "path", "o"],
  [2, "interface", "s"],
  [3, "member", "s"],
  [4, "errorName", "s"],
  [5, "replySerial", "u"],
  [6, "destination", "s"],
  [7, "sender", "s"],
  [8, "signature", "g"],
] as const;

export function encodeMessage(message: Message): Buffer {
  const body = marshal(message.signature, message.body);
  const fields: unknown[] = [];
  for (const [code, name, signature] of FIELDS) {
    const value = message[name];
    if (value !== undefined && value !== "") fields.push([code, variant(signature, value)]);
  }
  const header = marshal("yyyyuua(yv)", [
    "l".charCodeAt(0),
    TYPES.indexOf(message.type) + 1,
    message.noReply === true ? NO_REPLY : 0,
    PROTOCOL_VERSION,
    body.length,
    message.serial,
    fields,
  ]);
  return Buffer.concat([header, Buffer.alloc(padding(header.length)), body]);
}

/** Takes bytes as they arrive, and returns the complete messages. Unusable after it has thrown `protocol`. */
export function createMessageReader(): (chunk: Buffer) => readonly Message[] {
  let chunks: Buffer[] = [];
  let received = 0;
  /** Number of bytes up to the end of the next message. */
  let needed = FIXED_BYTES;
  return (chunk) => {
    chunks.push(chunk);
    received += chunk.length;
    if (received < needed) return [];
    let bytes = Buffer.concat(chunks);
    const messages: Message[] = [];
    for (;;) {
      needed = bytes.length < FIXED_BYTES ? FIXED_BYTES : lengthOf(bytes);
      if (bytes.length < needed) break;
      const message = decode(bytes.subarray(0, needed));
      if (message !== null) messages.push(message);
      bytes = bytes.subarray(needed);
    }
    chunks = [bytes];
    received = bytes.length;
    return messages;
  };
}

function isLittle(bytes: Buffer): boolean {
  const mark = String.fromCharCode(bytes[0] ?? 0);
  if (mark !== "l" && mark !== "B") throw malformed("it has no byte order");
  return mark === "l";
}

function lengthOf(bytes: Buffer): number {
  const little = isLittle(bytes);
  const bodyLength = little ? bytes.readUInt32LE(4) : bytes.readUInt32BE(4);
  const fieldsLength = little ? bytes.readUInt32LE(12) : bytes.readUInt32BE(12);
  const headerLength = FIXED_BYTES + fieldsLength;
  const length = headerLength + padding(headerLength) + bodyLength;
  if (length > LONGEST) throw malformed("it is too long");
  return length;
}

/** null for a message of an unknown type, which must be ignored. */
function decode(bytes: Buffer): Message | null {
  const littleEndian = isLittle(bytes);
  const header = unmarshal("yyyyuua(yv)", { bytes, littleEndian });
  const [, typeCode, flags, , , serial, fields] = header.values;
  const type = TYPES[Number(typeCode) - 1];
  if (type === undefined) return null;
  const found: Record<string, string | number> = {};
  for (const [code, value] of fieldsOf(fields)) {
    const known = FIELDS.find(([each]) => each === code);
    if (known === undefined) continue;
    if (typeof value === "string" || typeof value === "number") found[known[1]] = value;
  }
  const { signature = "", ...others } = found;
  const offset = header.end + padding(header.end);
  const { values } = unmarshal(String(signature), {
    bytes: Buffer.from(bytes.subarray(offset)),
    littleEndian,
  });
  return {
    ...others,
    type,
    serial: Number(serial),
    noReply: (Number(flags) & NO_REPLY) !== 0,
    signature: String(signature),
    body: values,
  };
}

function* fieldsOf(fields: unknown): Generator<readonly [number, unknown]> {
  if (!Array.isArray(fields)) return;
  for (const field of fields) {
    const [code, holder]: readonly unknown[] = Array.isArray(field) ? field : [];
    if (typeof code !== "number" || typeof holder !== "object" || holder === null) continue;
    if ("value" in holder) yield [code, holder.value];
  }
}

function padding(length: number): number {
  return (8 - (length % 8)) % 8;
}
