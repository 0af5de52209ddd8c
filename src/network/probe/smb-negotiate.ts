// The bytes of SMB2 NEGOTIATE ([MS-SMB2] 2.2.3, 2.2.4): the request, and a bounded reader of the answer.

const TRANSPORT_HEADER_BYTES = 4;
const SMB2_HEADER_BYTES = 64;
/**
 * Number of bytes after which the verdict is certain: transport header, SMB2 header, StructureSize,
 * SecurityMode, DialectRevision.
 */
const VERDICT_BYTES = TRANSPORT_HEADER_BYTES + SMB2_HEADER_BYTES + 6;
const SERVER_GUID_OFFSET = SMB2_HEADER_BYTES + 8;
const SERVER_GUID_BYTES = 16;
/** Number of bytes that are read at most: those for the verdict, NegotiateContextCount and ServerGuid. */
const READ_AT_MOST_BYTES = TRANSPORT_HEADER_BYTES + SERVER_GUID_OFFSET + SERVER_GUID_BYTES;
/** An answer has some hundred bytes; a longer message is not SMB. */
const MAX_MESSAGE_BYTES = 128 * 1024;

const DIALECTS = [0x0202, 0x0210, 0x0300, 0x0302, 0x0311] as const;
/** The dialect in an answer to a multi-protocol NEGOTIATE; it also proves a live server. */
const WILDCARD_DIALECT = 0x02ff;

const SALT_BYTES = 32;
export const CLIENT_GUID_BYTES = 16;

/**
 * A whole NEGOTIATE request with its direct-TCP header, offering 2.0.2 to 3.1.1. `clientGuid` (16 bytes) must
 * differ in each request: a server hands a connection with a known guid to the process that already serves
 * this guid.
 */
export function buildNegotiateRequest(clientGuid: Uint8Array): Buffer {
  const dialectsEnd = SMB2_HEADER_BYTES + 36 + DIALECTS.length * 2;
  const contextsStart = alignTo8(dialectsEnd);
  const preauthData = 6 + SALT_BYTES;
  const encryptionStart = contextsStart + alignTo8(8 + preauthData);
  const encryptionData = 6;
  const end = encryptionStart + 8 + encryptionData;
  const packet = Buffer.alloc(TRANSPORT_HEADER_BYTES + end);
  packet.writeUInt32BE(end, 0);
  const message = packet.subarray(TRANSPORT_HEADER_BYTES);

  message.write("\xfeSMB", 0, "latin1");
  message.writeUInt16LE(SMB2_HEADER_BYTES, 4);
  // CreditRequest. The command (0, NEGOTIATE), flags, message id and ids stay zero.
  message.writeUInt16LE(1, 14);

  const body = SMB2_HEADER_BYTES;
  message.writeUInt16LE(36, body);
  message.writeUInt16LE(DIALECTS.length, body + 2);
  // Signing is enabled. Encryption is the only capability, because multi-channel would invite connection
  // hand-overs.
  message.writeUInt16LE(0x0001, body + 4);
  message.writeUInt32LE(0x00000040, body + 8);
  message.set(clientGuid.subarray(0, CLIENT_GUID_BYTES), body + 12);
  message.writeUInt32LE(contextsStart, body + 28);
  message.writeUInt16LE(2, body + 32);
  for (const [index, dialect] of DIALECTS.entries()) message.writeUInt16LE(dialect, body + 36 + index * 2);

  // SMB2_PREAUTH_INTEGRITY_CAPABILITIES: one hash, SHA-512. The session ends here, so the salt guards nothing.
  message.writeUInt16LE(0x0001, contextsStart);
  message.writeUInt16LE(preauthData, contextsStart + 2);
  message.writeUInt16LE(1, contextsStart + 8);
  message.writeUInt16LE(SALT_BYTES, contextsStart + 10);
  message.writeUInt16LE(0x0001, contextsStart + 12);
  message.set(clientGuid.subarray(0, CLIENT_GUID_BYTES), contextsStart + 14);

  // SMB2_ENCRYPTION_CAPABILITIES: AES-128-GCM, AES-128-CCM.
  message.writeUInt16LE(0x0002, encryptionStart);
  message.writeUInt16LE(encryptionData, encryptionStart + 2);
  message.writeUInt16LE(2, encryptionStart + 8);
  message.writeUInt16LE(0x0002, encryptionStart + 10);
  message.writeUInt16LE(0x0001, encryptionStart + 12);
  return packet;
}

/** A whole NEGOTIATE request of SMB 1 ([MS-CIFS] 2.2.4.52) for the one dialect that servers still have. */
export function buildSmb1Negotiate(): Buffer {
  const dialects = "\x02NT LM 0.12\0";
  const packet = Buffer.alloc(TRANSPORT_HEADER_BYTES + 35 + dialects.length);
  packet.writeUInt32BE(packet.length - TRANSPORT_HEADER_BYTES, 0);
  packet.write("\xffSMB\x72", TRANSPORT_HEADER_BYTES, "latin1");
  packet.writeUInt16LE(dialects.length, TRANSPORT_HEADER_BYTES + 33);
  packet.write(dialects, TRANSPORT_HEADER_BYTES + 35, "latin1");
  return packet;
}

function alignTo8(offset: number): number {
  return (offset + 7) & ~7;
}

export type NegotiateAnswer =
  | { readonly kind: "need_more" }
  /** `serverGuid` as 32 hex digits; null when the message ends before it. */
  | { readonly kind: "negotiated"; readonly dialect: number; readonly serverGuid: string | null }
  /** `detail`, for people: the answer that came instead. */
  | { readonly kind: "not_smb"; readonly reason: "not_smb" | "smb1_only"; readonly detail: string };

const NEED_MORE: NegotiateAnswer = { kind: "need_more" };

/** Reads at most 92 bytes of an answer, and decides at the first wrong byte. */
export function createNegotiateReader() {
  const received = Buffer.alloc(READ_AT_MOST_BYTES);
  let length = 0;
  return {
    /** Takes the next bytes; after a decision, more bytes do not change its kind. */
    push(chunk: Uint8Array): NegotiateAnswer {
      const taken = chunk.subarray(0, READ_AT_MOST_BYTES - length);
      received.set(taken, length);
      length += taken.length;
      return judge(received.subarray(0, length));
    },
  };
}

function judge(bytes: Buffer): NegotiateAnswer {
  if (bytes.length > 0 && bytes[0] !== 0) return notSmb(`it sent ${quoteStart(bytes)}`);
  if (bytes[TRANSPORT_HEADER_BYTES] === 0xff) return notSmb("it speaks SMB 1 only", "smb1_only");
  if (bytes.length >= TRANSPORT_HEADER_BYTES) {
    const announced = bytes.readUInt32BE(0);
    if (announced < SMB2_HEADER_BYTES + 8 || announced > MAX_MESSAGE_BYTES) {
      return notSmb(`it announced a message of ${announced} bytes`);
    }
  }
  const protocol = bytes.subarray(TRANSPORT_HEADER_BYTES, TRANSPORT_HEADER_BYTES + 4);
  for (let index = 0; index < protocol.length; index += 1) {
    if (protocol[index] !== "\xfeSMB".charCodeAt(index)) return notSmb("its message is not one of SMB 2");
  }
  if (bytes.length < VERDICT_BYTES) return NEED_MORE;
  const header = bytes.subarray(TRANSPORT_HEADER_BYTES);
  const isAnswer = (header.readUInt32LE(16) & 0x1) === 1;
  if (header.readUInt16LE(4) !== SMB2_HEADER_BYTES || header.readUInt16LE(12) !== 0 || !isAnswer) {
    return notSmb("its message is not an answer to NEGOTIATE");
  }
  const status = header.readUInt32LE(8);
  if (status !== 0) {
    return notSmb(`it refused NEGOTIATE with status 0x${status.toString(16).toUpperCase().padStart(8, "0")}`);
  }
  const dialect = header.readUInt16LE(SMB2_HEADER_BYTES + 4);
  const known = dialect === WILDCARD_DIALECT || DIALECTS.some((offered) => offered === dialect);
  if (header.readUInt16LE(SMB2_HEADER_BYTES) !== 65 || !known) {
    return notSmb(`it chose a dialect that was not offered (0x${dialect.toString(16).padStart(4, "0")})`);
  }
  const messageEnd = Math.min(READ_AT_MOST_BYTES, TRANSPORT_HEADER_BYTES + bytes.readUInt32BE(0));
  if (messageEnd < READ_AT_MOST_BYTES) return { kind: "negotiated", dialect, serverGuid: null };
  if (bytes.length < READ_AT_MOST_BYTES) return NEED_MORE;
  const guid = header.subarray(SERVER_GUID_OFFSET, SERVER_GUID_OFFSET + SERVER_GUID_BYTES);
  return { kind: "negotiated", dialect, serverGuid: guid.toString("hex") };
}

function notSmb(detail: string, reason: "not_smb" | "smb1_only" = "not_smb"): NegotiateAnswer {
  return { kind: "not_smb", reason, detail };
}

/** The first bytes for people, such as `"SSH-2.0-"` or `"HTTP/1.1"`. */
function quoteStart(bytes: Buffer): string {
  const start = bytes.subarray(0, 8);
  const printable = [...start].every((byte) => byte >= 0x20 && byte < 0x7f);
  return printable ? JSON.stringify(start.toString("latin1")) : `bytes ${start.toString("hex")}`;
}
