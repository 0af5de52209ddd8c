// SMB2 frames for tests: just enough of the headers that the carrier reads.

export interface Message {
  readonly command: number;
  readonly messageId: number;
  readonly flags?: number;
  readonly status?: number;
  /** After the header. */
  readonly body?: Buffer;
}

export const COMMAND = {
  negotiate: 0,
  sessionSetup: 1,
  logoff: 2,
  treeConnect: 3,
  treeDisconnect: 4,
  create: 5,
  close: 6,
  read: 8,
  write: 9,
  lock: 10,
  cancel: 12,
  echo: 13,
  queryDirectory: 14,
  changeNotify: 15,
  queryInfo: 16,
  setInfo: 17,
  oplockBreak: 18,
} as const;
export const ANSWER = 1;
export const ASYNC = 2;
export const PENDING = 0x103;

export function message(
  { command, messageId, flags = 0, status = 0, body = Buffer.alloc(16) }: Message,
  next = 0,
): Buffer {
  const header = Buffer.alloc(64);
  header.write("\xfeSMB", 0, "latin1");
  header.writeUInt16LE(64, 4);
  header.writeUInt32LE(status, 8);
  header.writeUInt16LE(command, 12);
  header.writeUInt32LE(flags, 16);
  header.writeUInt32LE(next, 20);
  header.writeBigUInt64LE(BigInt(messageId), 24);
  return Buffer.concat([header, body]);
}

/** One frame; of several messages, a compound, each padded to eight bytes. */
export function frame(...messages: readonly Message[]): Buffer {
  const parts = messages.map((one, index) => {
    const plain = message(one);
    if (index === messages.length - 1) return plain;
    const length = (plain.length + 7) & ~7;
    return Buffer.concat([message(one, length), Buffer.alloc(length - plain.length)]);
  });
  return wrap(Buffer.concat(parts));
}

export function wrap(content: Buffer): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(content.length, 0);
  return Buffer.concat([prefix, content]);
}

export function encrypted(bytes = 100): Buffer {
  const content = Buffer.alloc(bytes, 0x5a);
  content.write("\xfdSMB", 0, "latin1");
  return wrap(content);
}

export function request(command: number, messageId: number, body?: Buffer): Buffer {
  return frame({ command, messageId, ...(body === undefined ? {} : { body }) });
}

export function answerTo(command: number, messageId: number, body?: Buffer, status = 0): Buffer {
  return frame({ command, messageId, flags: ANSWER, status, ...(body === undefined ? {} : { body }) });
}

/** The answer to NEGOTIATE, as far as anybody reads it. */
export function negotiated(guid: Buffer): Buffer {
  const body = Buffer.alloc(64);
  body.writeUInt16LE(65, 0);
  body.writeUInt16LE(0x0311, 4);
  guid.copy(body, 8);
  return frame({ command: COMMAND.negotiate, messageId: 0, flags: ANSWER, body });
}

/** A CREATE as rclone sends it ([MS-SMB2] 2.2.13): of an existing file, by default, to read it. */
export function opening(
  messageId: number,
  { access = 0x8000_0000, disposition = 1, options = 0x40 } = {},
): Buffer {
  const body = Buffer.alloc(56);
  body.writeUInt32LE(access, 24);
  body.writeUInt32LE(disposition, 36);
  body.writeUInt32LE(options, 40);
  return request(COMMAND.create, messageId, body);
}

/** A CREATE of the share's root, to read attributes ([MS-SMB2] 2.2.13): rclone's check of a connection. */
export function lookAtRoot(): Buffer {
  const body = Buffer.alloc(56);
  body.writeUInt32LE(0x80, 24);
  return body;
}
