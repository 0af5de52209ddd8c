// Where a connection reads what its server sends, and how that goes on to the client: each frame once all of it is there,
// because a client that has had half an answer can be told nothing else when the server is lost.
import type { Socket } from "node:net";

const SMALL_BUFFER_BYTES = 8 * 1024;
const LARGE_BUFFER_BYTES = 64 * 1024;
const SMALL_READS_BEFORE_SHRINKING = 64;
/** More than what rclone reads at once, with its header. Of a larger frame, what does not fit passes as it comes. */
const STORE_BYTES = 1_200_000;
/** 62 MB. An answer that begins when all are in use passes as it comes. */
const STORES_AT_MOST = 52;
const SPARE_STORES = 4;
/** A store with less room than this behind what it keeps is tidied up before the next read. */
const ROOM_BYTES = LARGE_BUFFER_BYTES;

/** Buffers for answers that come in parts: few, and shared by all connections of a share. */
export interface AnswerStores {
  /** null: all are in use. */
  take(): Buffer | null;
  /** `isFree`: nobody reads or writes it any more. */
  giveBack(store: Buffer, isFree: boolean): void;
}

export interface WholeAnswers {
  /** The client has had a part of a frame, and not yet the rest. */
  readonly isHalfPassed: boolean;
  /** Where the next read may put its bytes. */
  window(): Buffer;
  /** The bytes that a read has just put there. */
  came(length: number): Buffer;
  /**
   * Passes on what came up to the end of its last frame, `ended` of the bytes that `came` gave, and keeps the rest. False:
   * the client has not taken all yet, so nothing may be read until it has.
   */
  pass(ended: number): boolean;
  /** Forgets what is kept. Only when nothing will be read any more. */
  drop(): void;
}

export function createAnswerStores(): AnswerStores {
  const spare: Buffer[] = [];
  let inUse = 0;
  return {
    take() {
      if (inUse >= STORES_AT_MOST) return null;
      inUse += 1;
      return spare.pop() ?? Buffer.allocUnsafeSlow(STORE_BYTES);
    },
    giveBack(store, isFree) {
      inUse -= 1;
      if (isFree && spare.length < SPARE_STORES) spare.push(store);
    },
  };
}

export function createWholeAnswers(client: Socket, stores: AnswerStores): WholeAnswers {
  let own = Buffer.allocUnsafeSlow(SMALL_BUFFER_BYTES);
  let store: Buffer | null = null;
  /** Of the buffer in use: what is kept, and where the last read began. */
  let keptFrom = 0;
  let filledTo = 0;
  let cameFrom = 0;
  let smallReads = 0;
  let isHalfPassed = false;

  const resizeOwn = (): void => {
    if (smallReads < 0 && own.length === SMALL_BUFFER_BYTES) own = Buffer.allocUnsafeSlow(LARGE_BUFFER_BYTES);
    else if (smallReads >= SMALL_READS_BEFORE_SHRINKING && own.length === LARGE_BUFFER_BYTES)
      own = Buffer.allocUnsafeSlow(SMALL_BUFFER_BYTES);
  };
  const noteSize = (length: number, room: number): void => {
    if (length === room) smallReads = -1;
    else if (length < SMALL_BUFFER_BYTES) smallReads = Math.max(0, smallReads) + 1;
    else smallReads = 0;
  };
  const moveTo = (target: Buffer, kept: Buffer): void => {
    kept.copy(target);
    keptFrom = 0;
    filledTo = kept.length;
  };
  const isTaken = (): boolean => client.writableLength === 0;
  const leaveStore = (): void => {
    if (store !== null) stores.giveBack(store, isTaken());
    store = null;
  };
  /** Makes room for the rest of a frame. False: there is none to be had. */
  const makeRoom = (): boolean => {
    const kept = (store ?? own).subarray(keptFrom, filledTo);
    if (store === null) {
      if (filledTo <= own.length / 2) return true;
      store = stores.take();
      if (store !== null) moveTo(store, kept);
      return store !== null;
    }
    if (store.length - filledTo >= ROOM_BYTES) return true;
    if (keptFrom === 0) return filledTo < store.length;
    // What the client has not taken yet must stay where it is.
    if (isTaken()) moveTo(store, kept);
    else {
      const next = Buffer.allocUnsafeSlow(STORE_BYTES);
      moveTo(next, kept);
      store = next;
    }
    return true;
  };

  return {
    get isHalfPassed() {
      return isHalfPassed;
    },
    window() {
      if (store === null && filledTo === 0 && isTaken()) resizeOwn();
      return (store ?? own).subarray(filledTo);
    },
    came(length) {
      const buffer = store ?? own;
      noteSize(length, buffer.length - filledTo);
      cameFrom = filledTo;
      filledTo += length;
      return buffer.subarray(cameFrom, filledTo);
    },
    pass(ended) {
      const buffer = store ?? own;
      const to = isHalfPassed && ended === 0 ? filledTo : ended === 0 ? keptFrom : cameFrom + ended;
      if (ended > 0) isHalfPassed = false;
      if (to > keptFrom) client.write(buffer.subarray(keptFrom, to));
      keptFrom = to;
      if (keptFrom < filledTo && !makeRoom()) {
        client.write(buffer.subarray(keptFrom, filledTo));
        isHalfPassed = true;
        keptFrom = filledTo;
      }
      if (keptFrom === filledTo) {
        keptFrom = 0;
        filledTo = 0;
        if (isTaken()) leaveStore();
      }
      return isTaken();
    },
    drop() {
      keptFrom = 0;
      filledTo = 0;
      leaveStore();
    },
  };
}
