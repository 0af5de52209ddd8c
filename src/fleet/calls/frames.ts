// The frames in which tunnels between two machines are carried: a head of fixed length, and what it carries. Whatever
// comes in is a stranger's until it was read here.

/**
 * `open` names what is wanted, `data` carries bytes, `credit` says how many bytes were taken in all, `end` says that there
 * are no more, `abort` ends both ways with a reason. `probe` asks a machine whether it is there, `alive` answers it.
 */
const KINDS = ["open", "data", "credit", "end", "abort", "probe", "alive"] as const;
export type FrameKind = (typeof KINDS)[number];

export interface Frame {
  readonly kind: FrameKind;
  /** It is of the machine that opened the tunnel. */
  readonly fromOpener: boolean;
  /** The daemon that it is for. */
  readonly to: string;
  /** The tunnel; of `probe` and `alive`: the daemon that sent it. */
  readonly tunnel: string;
  /** `data`, `end`: its place among these, from 0; `credit`: bytes. */
  readonly number: number;
  readonly payload: Buffer;
}

/** Of daemons and tunnels: bytes, written as hexadecimal digits. */
export const ID_BYTES = 8;
const NUMBER_BYTES = 6;
export const HEAD_BYTES = 1 + ID_BYTES + ID_BYTES + NUMBER_BYTES;
/** Of one `data` frame, at most; a server's own limit may be lower. */
export const LONGEST_DATA = 128 * 1024;
/** Of what any other frame carries. */
export const LONGEST_WORDS = 1_024;

const FROM_OPENER = 0x80;

/** In the place of a daemon's id: whichever is that machine now. Of `probe` alone. */
export const WHICHEVER = "0".repeat(2 * ID_BYTES);

export function isId(text: string): boolean {
  return /^[0-9a-f]{16}$/.test(text);
}

export function frameBytes({ kind, fromOpener, to, tunnel, number, payload }: Frame): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + payload.length);
  bytes[0] = KINDS.indexOf(kind) | (fromOpener ? FROM_OPENER : 0);
  bytes.write(to, 1, "hex");
  bytes.write(tunnel, 1 + ID_BYTES, "hex");
  bytes.writeUIntBE(number, 1 + 2 * ID_BYTES, NUMBER_BYTES);
  payload.copy(bytes, HEAD_BYTES);
  return bytes;
}

/** Null: it is no frame. */
export function readFrame(given: Uint8Array): Frame | null {
  const head = given[0];
  if (head === undefined || given.length < HEAD_BYTES) return null;
  const kind = KINDS[head & ~FROM_OPENER];
  if (kind === undefined) return null;
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength);
  const payload = bytes.subarray(HEAD_BYTES);
  if (payload.length > (kind === "data" ? LONGEST_DATA : LONGEST_WORDS)) return null;
  return {
    kind,
    fromOpener: (head & FROM_OPENER) !== 0,
    to: bytes.toString("hex", 1, 1 + ID_BYTES),
    tunnel: bytes.toString("hex", 1 + ID_BYTES, 1 + 2 * ID_BYTES),
    number: bytes.readUIntBE(1 + 2 * ID_BYTES, NUMBER_BYTES),
    payload,
  };
}
