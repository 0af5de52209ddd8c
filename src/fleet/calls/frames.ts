// The frames that carry tunnels between two machines: a head of fixed length, and a payload. A received frame
// is untrusted until `readFrame` has checked it.

/**
 * `open` names the target of a tunnel, `data` has bytes, `credit` has the number of bytes read in total, `end` means
 * that no further data follows, `abort` ends both directions with a reason. `probe` asks a machine whether it is there,
 * and `alive` answers it.
 */
const KINDS = ["open", "data", "credit", "end", "abort", "probe", "alive"] as const;
export type FrameKind = (typeof KINDS)[number];

export interface Frame {
  readonly kind: FrameKind;
  /** True: the sender is the machine that opened the tunnel. */
  readonly fromOpener: boolean;
  /** The id of the receiving daemon. */
  readonly to: string;
  /** The id of the tunnel; in `probe` and `alive`, the id of the daemon that sent the frame. */
  readonly tunnel: string;
  /** `data` and `end`: the frame's position among these two kinds, from 0. `credit`: bytes. Otherwise 0. */
  readonly number: number;
  readonly payload: Buffer;
}

export type SentFrame = Omit<Frame, "number" | "payload"> & Partial<Frame>;

/** Bytes of the id of a daemon or a tunnel; its text has two hexadecimal digits for each. */
export const ID_BYTES = 8;
const NUMBER_BYTES = 6;
export const HEAD_BYTES = 1 + ID_BYTES + ID_BYTES + NUMBER_BYTES;
/** The most bytes in one `data` frame; a server's own limit may be lower. */
export const LONGEST_DATA = 128 * 1024;
/** The most bytes in the payload of any frame but `data`. */
export const LONGEST_TEXT = 1_024;

const FROM_OPENER = 0x80;
const NO_PAYLOAD = Buffer.alloc(0);

export function isId(text: string): boolean {
  return /^[0-9a-f]{16}$/.test(text);
}

export function frameBytes(frame: SentFrame): Buffer {
  const { kind, fromOpener, to, tunnel, number = 0, payload = NO_PAYLOAD } = frame;
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + payload.length);
  bytes[0] = KINDS.indexOf(kind) | (fromOpener ? FROM_OPENER : 0);
  bytes.write(to, 1, "hex");
  bytes.write(tunnel, 1 + ID_BYTES, "hex");
  bytes.writeUIntBE(number, 1 + 2 * ID_BYTES, NUMBER_BYTES);
  payload.copy(bytes, HEAD_BYTES);
  return bytes;
}

/** Returns null if the bytes are not a frame. */
export function readFrame(given: Uint8Array): Frame | null {
  const head = given[0];
  if (head === undefined || given.length < HEAD_BYTES) return null;
  const kind = KINDS[head & ~FROM_OPENER];
  if (kind === undefined) return null;
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength);
  const payload = bytes.subarray(HEAD_BYTES);
  if (payload.length > (kind === "data" ? LONGEST_DATA : LONGEST_TEXT)) return null;
  return {
    kind,
    fromOpener: (head & FROM_OPENER) !== 0,
    to: bytes.toString("hex", 1, 1 + ID_BYTES),
    tunnel: bytes.toString("hex", 1 + ID_BYTES, 1 + 2 * ID_BYTES),
    number: bytes.readUIntBE(1 + 2 * ID_BYTES, NUMBER_BYTES),
    payload,
  };
}
