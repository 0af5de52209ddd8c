// The buffers into which a connection reads from its server. A client gets only whole frames: if the server were
// lost, a client that had got a part of an answer could get no other answer.
import type { Socket } from "node:net";

const SMALL_BUFFER_BYTES = 8 * 1024;
const LARGE_BUFFER_BYTES = 64 * 1024;
const SMALL_READS_BEFORE_SHRINKING = 64;
/** More than the largest read of rclone, with its header. A larger frame is passed on in parts. */
const STORE_BYTES = 1_200_000;
/** 52 stores have 62 MB. While all of them are in use, the next answer is passed on in parts. */
const STORES_AT_MOST = 52;
const SPARE_STORES = 4;
/**
 * If fewer bytes than this are free behind the kept bytes, the kept bytes are moved to the front before the next
 * read.
 */
const SPACE_BYTES = LARGE_BUFFER_BYTES;

/** Large buffers for answers that come in parts, shared by all connections of a share. */
export type AnswerStores = ReturnType<typeof createAnswerStores>;

export function createAnswerStores() {
  const spare: Buffer[] = [];
  let inUse = 0;
  return {
    /** null: all are in use. */
    take(): Buffer | null {
      if (inUse >= STORES_AT_MOST) return null;
      inUse += 1;
      return spare.pop() ?? Buffer.allocUnsafeSlow(STORE_BYTES);
    },
    /** `isFree`: the buffer no longer has readers or writers, so it can be used again. */
    giveBack(store: Buffer, isFree: boolean): void {
      inUse -= 1;
      if (isFree && spare.length < SPARE_STORES) spare.push(store);
    },
  };
}

/** Keeps the bytes of a frame from the server until the whole frame has come. */
export class WholeFrameReader {
  readonly #client: Socket;
  readonly #stores: AnswerStores;
  #own = Buffer.allocUnsafeSlow(SMALL_BUFFER_BYTES);
  #store: Buffer | null = null;
  /** A store whose bytes were all handed to the client's socket, while the socket has not sent all of them yet. */
  #sending: Buffer | null = null;
  /** The kept bytes are between `storedFrom` and `filledTo`; those of the last read begin at `cameFrom`. */
  #storedFrom = 0;
  #filledTo = 0;
  #cameFrom = 0;
  #smallReads = 0;
  /** True if the client has got a part of a frame, and not the rest. */
  isHalfPassed = false;

  constructor(client: Socket, stores: AnswerStores) {
    this.#client = client;
    this.#stores = stores;
  }

  /** Where the next read may put its bytes. */
  window(): Buffer {
    if (this.#store === null && this.#filledTo === 0 && this.#isTaken()) this.#resizeOwn();
    return this.#buffer().subarray(this.#filledTo);
  }

  /** Returns the bytes that a read has just put into the window. */
  came(length: number): Buffer {
    const buffer = this.#buffer();
    this.#recordSize(length, buffer.length - this.#filledTo);
    this.#cameFrom = this.#filledTo;
    this.#filledTo += length;
    return buffer.subarray(this.#cameFrom, this.#filledTo);
  }

  /**
   * Passes on all bytes up to `ended`, which is the end of the last whole frame in the bytes that `came` returned,
   * and keeps the rest. Returns false if nothing may be read until the client's socket has sent everything.
   */
  pass(ended: number): boolean {
    if (ended > 0) {
      this.#passTo(this.#cameFrom + ended);
      this.isHalfPassed = false;
    }
    if (this.#storedFrom < this.#filledTo && (this.isHalfPassed || !this.#allocate())) {
      this.#passTo(this.#filledTo);
      this.isHalfPassed = true;
    }
    if (this.#storedFrom === this.#filledTo) {
      this.#storedFrom = 0;
      this.#filledTo = 0;
      this.#leaveStore();
    }
    return this.#isTaken();
  }

  /** Call when the client's socket has sent everything. */
  taken(): void {
    this.#releaseSending();
  }

  /** Drops the kept bytes. Call it only when nothing will be read from it again. */
  drop(): void {
    this.#storedFrom = 0;
    this.#filledTo = 0;
    this.#leaveStore();
    this.#releaseSending();
  }

  #buffer(): Buffer {
    return this.#store ?? this.#own;
  }

  #isTaken(): boolean {
    return this.#client.writableLength === 0;
  }

  #passTo(end: number): void {
    this.#client.write(this.#buffer().subarray(this.#storedFrom, end));
    this.#storedFrom = end;
  }

  #resizeOwn(): void {
    const isSmall = this.#own.length === SMALL_BUFFER_BYTES;
    if (isSmall && this.#smallReads < 0) this.#own = Buffer.allocUnsafeSlow(LARGE_BUFFER_BYTES);
    else if (!isSmall && this.#smallReads >= SMALL_READS_BEFORE_SHRINKING)
      this.#own = Buffer.allocUnsafeSlow(SMALL_BUFFER_BYTES);
  }

  #recordSize(length: number, space: number): void {
    if (length === space) this.#smallReads = -1;
    else if (length < SMALL_BUFFER_BYTES) this.#smallReads = Math.max(0, this.#smallReads) + 1;
    else this.#smallReads = 0;
  }

  /** Allocates space for the rest of a frame; false if that is not possible. */
  #allocate(): boolean {
    const stored = this.#buffer().subarray(this.#storedFrom, this.#filledTo);
    if (this.#store === null) {
      if (this.#filledTo <= this.#own.length / 2) return true;
      this.#store = this.#stores.take();
      if (this.#store !== null) this.#moveTo(this.#store, stored);
      return this.#store !== null;
    }
    if (this.#store.length - this.#filledTo >= SPACE_BYTES) return true;
    if (this.#storedFrom === 0) return this.#filledTo < this.#store.length;
    // Bytes that are not sent yet must stay where they are.
    if (!this.#isTaken()) this.#store = Buffer.allocUnsafeSlow(STORE_BYTES);
    this.#moveTo(this.#store, stored);
    return true;
  }

  #moveTo(target: Buffer, stored: Buffer): void {
    stored.copy(target);
    this.#storedFrom = 0;
    this.#filledTo = stored.length;
  }

  /** Makes the next read use the connection's own buffer. */
  #leaveStore(): void {
    if (this.#store === null) return;
    this.#releaseSending();
    this.#sending = this.#store;
    this.#store = null;
    if (this.#isTaken()) this.#releaseSending();
  }

  #releaseSending(): void {
    if (this.#sending !== null) this.#stores.giveBack(this.#sending, this.#isTaken());
    this.#sending = null;
  }
}
