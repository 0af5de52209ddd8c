// A streaming reader of SMB2 frames. It reads every message header and copies nothing but headers.

const PREFIX_BYTES = 4;
/** Offsets in a header ([MS-SMB2] 2.2.1.1). */
const COMMAND_AT = 12;
const FLAGS_AT = 16;
const ASYNC_ID_AT = 32;
export const HEADER_BYTES = 64;
/** Offsets in a CREATE request, from its header's start ([MS-SMB2] 2.2.13). */
const CREATE_ACCESS_AT = HEADER_BYTES + 24;
const CREATE_DISPOSITION_AT = HEADER_BYTES + 36;
const CREATE_OPTIONS_AT = HEADER_BYTES + 40;
const CREATE_NAME_LENGTH_AT = HEADER_BYTES + 46;
const CREATE_FIXED_BYTES = HEADER_BYTES + 48;
/** Where the flags of an answer to SESSION_SETUP begin and end ([MS-SMB2] 2.2.6). */
const SESSION_FLAGS_AT = HEADER_BYTES + 2;
const SESSION_FIXED_BYTES = HEADER_BYTES + 4;
/** RFC 1002's keep-alive, which has no message and no answer. */
const NETBIOS_KEEP_ALIVE = 0x85;

const SMB2_PROTOCOL = 0xfe;
/** The protocol byte of SMB 1. One request has it: the first one of a client that offers both versions. */
const SMB1_PROTOCOL = 0xff;

export const SMB2_COMMAND = {
  negotiate: 0x00,
  sessionSetup: 0x01,
  logoff: 0x02,
  treeConnect: 0x03,
  treeDisconnect: 0x04,
  create: 0x05,
  close: 0x06,
  read: 0x08,
  write: 0x09,
  lock: 0x0a,
  cancel: 0x0c,
  echo: 0x0d,
  queryDirectory: 0x0e,
  changeNotify: 0x0f,
  queryInfo: 0x10,
} as const;

/** Flags of a header: the message is an answer; it has an async id. */
export const SMB2_FLAG = { answer: 0x1, async: 0x2 } as const;

export const STATUS_PENDING = 0x00000103;

interface FrameListener {
  /**
   * Called for each header; a compound frame has several. `messageId` is exact up to 2^53, which no connection reaches.
   * The header is the 64 bytes from `at` in `bytes`, a buffer that is reused as soon as this returns.
   */
  message(
    command: number,
    flags: number,
    messageId: number,
    status: number,
    bytes: Uint8Array,
    at: number,
  ): void;
  /** Called after `message` with members of a CREATE request, unless the request is truncated. */
  opens?(wanted: OpenWanted): void;
  /** Called after `message` with the flags of an answer to SESSION_SETUP. */
  session?(flags: number): void;
  /** Called for a frame whose content cannot be read: encrypted or compressed. */
  opaque(): void;
  frameEnd(): void;
}

/** Members of a CREATE request ([MS-SMB2] 2.2.13). */
interface OpenWanted {
  readonly access: number;
  readonly disposition: number;
  readonly options: number;
  /** True if the name is empty, which means that the share's root is opened. */
  readonly isRoot: boolean;
}

type Part = "prefix" | "header" | "rest";

/** Reads one direction of a connection, in pieces of any size. */
export class FrameReader {
  readonly #listener: FrameListener;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  readonly #header = new Uint8Array(HEADER_BYTES);
  /** The first bytes of a message from its header's start, of which `#bodyEnd` are wanted. */
  readonly #body = new Uint8Array(CREATE_FIXED_BYTES);
  #bodyBytes = 0;
  #bodyEnd = 0;
  #part: Part = "prefix";
  #prefixBytes = 0;
  #headerBytes = 0;
  /** Bytes of the current frame that have not passed yet. */
  #frameRemaining = 0;
  /** Bytes until the next header of a compound frame, or the frame's end. */
  #restRemaining = 0;
  /** True once the stream is found not to be SMB. It is not parsed from then on. */
  broken = false;

  constructor(listener: FrameListener) {
    this.#listener = listener;
  }

  /** True between two frames. */
  get atBoundary(): boolean {
    return this.#part === "prefix" && this.#prefixBytes === 0;
  }

  /**
   * Reads the bytes from index `from`; with `oneFrame`, at most to the end of a frame. Returns the index of the first
   * byte that was not read.
   */
  push(bytes: Uint8Array, from: number, oneFrame: boolean): number {
    const end = bytes.length;
    let at = from;
    while (at < end) {
      if (this.broken) return end;
      if (this.#part === "rest") at += this.#passRest(bytes, at);
      else if (this.#part === "header") at += this.#passHeader(bytes, at);
      else {
        this.#prefix[this.#prefixBytes] = bytes[at] ?? 0;
        this.#prefixBytes += 1;
        at += 1;
        if (this.#prefixBytes === PREFIX_BYTES) this.#beginFrame();
      }
      if (oneFrame && this.atBoundary) return at;
    }
    return at;
  }

  #beginFrame(): void {
    this.#prefixBytes = 0;
    const [type = 0, high = 0, middle = 0, low = 0] = this.#prefix;
    if (type !== 0 && type !== NETBIOS_KEEP_ALIVE) {
      this.broken = true;
      return;
    }
    this.#frameRemaining = (high << 16) | (middle << 8) | low;
    this.#headerBytes = 0;
    this.#part = type === 0 ? "header" : "rest";
    if (type !== 0) this.#restRemaining = this.#frameRemaining;
    if (this.#frameRemaining === 0) this.#endFrame();
  }

  #endFrame(): void {
    this.#part = "prefix";
    this.#bodyEnd = 0;
    this.#listener.frameEnd();
  }

  /**
   * Skips the bytes between a header and the next header or the frame's end. Returns how many of the bytes from `at`
   * on it has skipped.
   */
  #passRest(bytes: Uint8Array, at: number): number {
    const taken = Math.min(this.#restRemaining, bytes.length - at);
    if (this.#bodyBytes < this.#bodyEnd) this.#readBody(bytes.subarray(at, at + taken));
    this.#restRemaining -= taken;
    this.#frameRemaining -= taken;
    this.#leaveEmptyRest();
    return taken;
  }

  /** Collects the current header. Returns how many of the bytes from `at` on belong to it. */
  #passHeader(bytes: Uint8Array, at: number): number {
    const wanted = Math.min(HEADER_BYTES, this.#headerBytes + this.#frameRemaining);
    const taken = Math.min(wanted - this.#headerBytes, bytes.length - at);
    const isWhole = this.#headerBytes === 0 && taken === wanted;
    if (!isWhole) this.#header.set(bytes.subarray(at, at + taken), this.#headerBytes);
    this.#headerBytes += taken;
    this.#frameRemaining -= taken;
    if (this.#headerBytes < wanted) return taken;
    if (isWhole) this.#readHeader(bytes, at, wanted);
    else this.#readHeader(this.#header, 0, wanted);
    this.#leaveEmptyRest();
    return taken;
  }

  /** Once all bytes behind a header have passed, continues with the next header, or ends the frame. */
  #leaveEmptyRest(): void {
    if (this.#part !== "rest" || this.#restRemaining > 0) return;
    if (this.#frameRemaining > 0) this.#part = "header";
    else this.#endFrame();
  }

  #skipRest(): void {
    this.#part = "rest";
    this.#restRemaining = this.#frameRemaining;
  }

  /** `at`: the start of the header in `bytes`. The whole header is in `bytes`. */
  #readHeader(bytes: Uint8Array, at: number, length: number): void {
    this.#headerBytes = 0;
    this.#bodyEnd = 0;
    const protocol = bytes[at];
    const isSmb = bytes[at + 1] === 0x53 && bytes[at + 2] === 0x4d && bytes[at + 3] === 0x42;
    if (!isSmb || protocol !== SMB2_PROTOCOL || length < HEADER_BYTES) {
      // Encrypted, compressed or unknown.
      if (!isSmb || protocol !== SMB1_PROTOCOL) this.#listener.opaque();
      this.#skipRest();
      return;
    }
    const command = read16(bytes, at + COMMAND_AT);
    this.#listener.message(
      command,
      read32(bytes, at + 16),
      read32(bytes, at + 24) + read32(bytes, at + 28) * 0x1_0000_0000,
      read32(bytes, at + 8),
      bytes,
      at,
    );
    this.#bodyBytes = HEADER_BYTES;
    if (command === SMB2_COMMAND.create && this.#listener.opens !== undefined)
      this.#bodyEnd = CREATE_FIXED_BYTES;
    if (command === SMB2_COMMAND.sessionSetup && this.#listener.session !== undefined)
      this.#bodyEnd = SESSION_FIXED_BYTES;
    // The offset in the message counts from the start of its header.
    const gap = read32(bytes, at + 20) - HEADER_BYTES;
    if (gap < 0 || gap >= this.#frameRemaining) {
      this.#skipRest();
      return;
    }
    this.#restRemaining = gap;
    this.#part = gap === 0 ? "header" : "rest";
  }

  #readBody(bytes: Uint8Array): void {
    const taken = bytes.subarray(0, this.#bodyEnd - this.#bodyBytes);
    this.#body.set(taken, this.#bodyBytes);
    this.#bodyBytes += taken.length;
    if (this.#bodyBytes < this.#bodyEnd) return;
    if (this.#bodyEnd === SESSION_FIXED_BYTES) this.#listener.session?.(read16(this.#body, SESSION_FLAGS_AT));
    else this.#listener.opens?.(readOpen(this.#body, 0));
  }
}

/** The command of the first frame in `bytes`; null: unreadable, for instance encrypted; undefined: too few bytes. */
export function commandOfFrame(bytes: Uint8Array): number | null | undefined {
  if (bytes.length < PREFIX_BYTES) return undefined;
  if (bytes[0] !== 0) return null;
  if (bytes.length < PREFIX_BYTES + HEADER_BYTES) return undefined;
  if (bytes[PREFIX_BYTES] !== SMB2_PROTOCOL) return null;
  return read16(bytes, PREFIX_BYTES + COMMAND_AT);
}

const FILE_READ_ATTRIBUTES = 0x80;
/**
 * The rights to read data, attributes, extended attributes and permissions, and to list and enter folders
 * ([MS-SMB2] 2.2.13.1).
 */
const ACCESS_TO_READ = 0x8012_00a9;
const DISPOSITION_OPEN = 1;
const OPTION_DELETE_ON_CLOSE = 0x1000;

/** True if the open, and the later close, change nothing on the server. */
export function isReadOnlyOpen({ access, disposition, options }: OpenWanted): boolean {
  const isReading = (access & ~ACCESS_TO_READ) >>> 0 === 0;
  return isReading && disposition === DISPOSITION_OPEN && (options & OPTION_DELETE_ON_CLOSE) === 0;
}

/**
 * True if rclone does not notice when its connection ends at the first frame in `bytes`; undefined: too few bytes to
 * know. rclone repeats a read, opens the share's root to check a pooled connection, and makes a new tree connect
 * after a tree disconnect.
 */
export function isSafeToLose(bytes: Uint8Array): boolean | undefined {
  const command = commandOfFrame(bytes);
  if (command === undefined) return undefined;
  if (command === SMB2_COMMAND.read || command === SMB2_COMMAND.treeDisconnect) return true;
  if (command !== SMB2_COMMAND.create) return false;
  if (frameLength(bytes) < CREATE_FIXED_BYTES) return false;
  if (bytes.length < PREFIX_BYTES + CREATE_FIXED_BYTES) return undefined;
  return isRootOpen(readOpen(bytes, PREFIX_BYTES));
}

/**
 * True if rclone opens the share's root only to read the free space, or to check a connection before the connection
 * goes back to the pool.
 */
export function isRootOpen({ access, isRoot }: Pick<OpenWanted, "access" | "isRoot">): boolean {
  return isRoot && access === FILE_READ_ATTRIBUTES;
}

/** `at`: the start of the header of a CREATE request. */
function readOpen(bytes: Uint8Array, at: number): OpenWanted {
  return {
    access: read32(bytes, at + CREATE_ACCESS_AT),
    disposition: read32(bytes, at + CREATE_DISPOSITION_AT),
    options: read32(bytes, at + CREATE_OPTIONS_AT),
    isRoot: read16(bytes, at + CREATE_NAME_LENGTH_AT) === 0,
  };
}

/** The sizes of the answer to a CLOSE, and of an error answer ([MS-SMB2] 2.2.16, 2.2.2). */
const CLOSED_BODY_BYTES = 60;
const FAILED_BODY_BYTES = 9;
const STATUS_CONNECTION_DISCONNECTED = 0xc000020c;

/** True if the bytes begin a frame whose first header is not complete yet. */
export function isOnlyBegun(bytes: Uint8Array): boolean {
  if (bytes.length < PREFIX_BYTES) return bytes.length > 0;
  return bytes[0] === 0 && bytes.length < PREFIX_BYTES + Math.min(HEADER_BYTES, frameLength(bytes));
}

/**
 * True if the bytes suffice to decide about their first frame. A read or a close must be complete, because
 * `answerWithoutServer` may have to answer it.
 */
export function isEnoughToJudge(bytes: Uint8Array): boolean {
  const command = commandOfFrame(bytes);
  if (command === undefined) return false;
  if (command === SMB2_COMMAND.create) return isSafeToLose(bytes) !== undefined;
  if (command !== SMB2_COMMAND.read && command !== SMB2_COMMAND.close) return true;
  return bytes.length >= PREFIX_BYTES + frameLength(bytes);
}

/**
 * Returns the header of the first frame in `bytes`, and the bytes after that frame; null unless the frame has exactly
 * one message.
 */
export function firstMessage(
  bytes: Buffer,
): { readonly header: Uint8Array; readonly following: Buffer } | null {
  const end = PREFIX_BYTES + frameLength(bytes);
  const command = commandOfFrame(bytes);
  if (command === undefined || command === null || bytes.length < end) return null;
  const isCompound = read32(bytes, PREFIX_BYTES + 20) !== 0;
  if (isCompound) return null;
  return {
    header: bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + HEADER_BYTES),
    following: bytes.subarray(end),
  };
}

/**
 * Copies the async id of the server's interim answer into the request's header, so that an answer made from this header
 * also has the id.
 */
export function markPending(header: Uint8Array, interim: Uint8Array): void {
  header[FLAGS_AT] = (header[FLAGS_AT] ?? 0) | SMB2_FLAG.async;
  header.set(interim.subarray(ASYNC_ID_AT, ASYNC_ID_AT + 8), ASYNC_ID_AT);
}

/**
 * The answer to a request in place of a lost server: a close succeeds, a read fails; null for other requests. The answer
 * has no signature; a client that requires one treats it as a broken connection.
 */
export function answerWithoutServer(header: Uint8Array): Buffer | null {
  const command = read16(header, COMMAND_AT);
  if (command === SMB2_COMMAND.close) return answerTo(header, 0, CLOSED_BODY_BYTES);
  if (command === SMB2_COMMAND.read)
    return answerTo(header, STATUS_CONNECTION_DISCONNECTED, FAILED_BODY_BYTES);
  return null;
}

function answerTo(header: Uint8Array, status: number, bodyBytes: number): Buffer {
  const answer = Buffer.alloc(PREFIX_BYTES + HEADER_BYTES + bodyBytes);
  answer.writeUInt32BE(answer.length - PREFIX_BYTES);
  answer.set(header, PREFIX_BYTES);
  const message = answer.subarray(PREFIX_BYTES);
  message.writeUInt32LE(status, 8);
  message.writeUInt16LE(Math.max(1, message.readUInt16LE(14)), 14);
  message.writeUInt32LE(SMB2_FLAG.answer | (message.readUInt32LE(FLAGS_AT) & SMB2_FLAG.async), FLAGS_AT);
  message.writeUInt32LE(0, 20);
  message.fill(0, 48, HEADER_BYTES);
  // Each body begins with the size of its structure.
  message.writeUInt16LE(bodyBytes, HEADER_BYTES);
  return answer;
}

/** The length of the first frame in `bytes`, without its prefix. */
function frameLength(bytes: Uint8Array): number {
  return ((bytes[1] ?? 0) << 16) | ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0);
}

function read16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
}

function read32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)) >>>
    0
  );
}
