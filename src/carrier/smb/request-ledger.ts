// The requests of one connection that have no answer yet, by the SMB headers that pass.
import {
  FrameReader,
  HEADER_BYTES,
  isLookAtRoot,
  markPending,
  opensToRead,
  SMB2_COMMAND,
  SMB2_FLAG,
  STATUS_PENDING,
} from "./smb-frames.ts";

/** Servers grant 8,192 credits at most; a connection with more open requests is not followed any more. */
const MAX_REQUESTS = 16_384;
/** Opens are missing here: they are judged by what they ask for. */
const CHANGES_NOTHING: ReadonlySet<number> = new Set([
  SMB2_COMMAND.close,
  SMB2_COMMAND.read,
  SMB2_COMMAND.echo,
  SMB2_COMMAND.queryDirectory,
  SMB2_COMMAND.queryInfo,
]);

interface Request {
  readonly command: number;
  readonly sinceMs: number;
  /** Kept for a read or a close; null for other commands. */
  readonly header: Uint8Array | null;
}

interface LedgerListener {
  /** The client sends a request while none was outstanding. */
  asked(): void;
  /** An answer, or any frame that cannot be read, has come, `waitedMs` after its request. */
  answered(nowMs: number, waitedMs: number): void;
  /** The server has answered a request to log in. */
  loggedOn?(status: number): void;
}

/** The open requests of a connection, and what they say about its files. */
export class RequestLedger {
  /** Reads what the client sends. */
  readonly fromClient: FrameReader;
  /** Reads what the server sends. */
  readonly fromServer: FrameReader;
  readonly #now: () => number;
  readonly #listener: LedgerListener;
  readonly #requests = new Map<number, Request>();
  /** The requests in the frame that is passing: they count once all of the frame has been sent. */
  readonly #begun: { command: number; messageId: number; header: Uint8Array | null }[] = [];
  /** The requests that the frame now passing answers. */
  readonly #passing: Request[] = [];
  #opaqueSent = false;
  #opaqueSinceMs: number | null = null;
  #isOpaque = false;
  #loggedOff = false;
  #endedOperation = false;
  /** Opened files whose close has not been answered. */
  #open = 0;
  #onlyReads = false;
  /** The value of `#onlyReads` after the open that is being asked for. */
  #mayOnlyRead = false;
  #hasLetGo = false;
  /** Only a look at the root is under way, with what belongs to it. */
  #isLooking = false;
  #mayLook = false;

  constructor(now: () => number, listener: LedgerListener) {
    this.#now = now;
    this.#listener = listener;
    this.fromClient = new FrameReader({
      message: (command, flags, messageId, _status, bytes, at) => {
        if ((flags & SMB2_FLAG.answer) === 0) this.#asks(command, messageId, bytes, at);
      },
      opens: (wanted) => {
        this.#onlyReads = this.#mayOnlyRead && opensToRead(wanted);
        this.#isLooking = this.#mayLook && isLookAtRoot(wanted);
      },
      opaque: () => {
        this.#isOpaque = true;
        this.#opaqueSent = true;
      },
      frameEnd: () => this.#hasAsked(),
    });
    this.fromServer = new FrameReader({
      message: (command, flags, messageId, status, bytes, at) => {
        const isInterim = status === STATUS_PENDING && (flags & SMB2_FLAG.async) !== 0;
        this.#answers(command, messageId, isInterim, status, bytes, at);
      },
      opaque: () => this.#answersOpaquely(),
      frameEnd: () => {
        this.#passing.length = 0;
      },
    });
  }

  /** Requests without an answer; notifications and locks that wait do not count. */
  get outstanding(): number {
    return this.#requests.size + (this.#opaqueSinceMs === null ? 0 : 1);
  }

  /** Since when the oldest of them waits, from its last byte on, monotonic ms; null: none waits. */
  get oldestMs(): number | null {
    let oldest = this.#opaqueSinceMs;
    for (const { sinceMs } of this.#requests.values()) {
      // Kept in the order in which they were sent.
      if (oldest === null || sinceMs < oldest) oldest = sinceMs;
      break;
    }
    return oldest;
  }

  /** The newest answer ended an operation: all files are closed, and nothing else was asked. */
  get endedOperation(): boolean {
    return this.#endedOperation && this.#requests.size === 0;
  }

  /** The headers of the open requests, oldest first, if all of them are reads and closes; null: some are not. */
  get readsAndCloses(): readonly Uint8Array[] | null {
    if (this.#opaqueSinceMs !== null) return null;
    const headers = [...this.#passing, ...this.#requests.values()].map(({ header }) => header);
    return headers.every((header) => header !== null) ? headers : null;
  }

  /** The client lets go of the share or connects to it again, and waits for the answer. */
  get isChangingShare(): boolean {
    const isWaiting = [...this.#requests.values()].some(
      ({ command }) => command === SMB2_COMMAND.treeConnect || command === SMB2_COMMAND.treeDisconnect,
    );
    return this.#hasLetGo && isWaiting;
  }

  /**
   * The only open request is a look at the share's root: the daemon's question, or rclone's check of a kept connection.
   */
  get isLookingAtRoot(): boolean {
    return this.#isLooking && this.outstanding > 0;
  }

  /** All open files were opened to be read, and nothing else was asked of them: nothing can be lost or left undone. */
  get onlyReads(): boolean {
    return this.#onlyReads;
  }

  /** Not all that passes can be read: encrypted, compressed, or not SMB 2. */
  get isOpaque(): boolean {
    return this.#isOpaque || this.fromClient.broken || this.fromServer.broken;
  }

  /** The client has said that it leaves. */
  get loggedOff(): boolean {
    return this.#loggedOff;
  }

  #asks(command: number, messageId: number, bytes: Uint8Array, at: number): void {
    if (command === SMB2_COMMAND.cancel || command === SMB2_COMMAND.changeNotify) return;
    if (command === SMB2_COMMAND.logoff) this.#loggedOff = true;
    if (command === SMB2_COMMAND.treeDisconnect) this.#hasLetGo = true;
    if (command === SMB2_COMMAND.create) {
      this.#mayLook = this.#open === 0 && this.outstanding === 0;
      this.#isLooking = false;
      this.#mayOnlyRead = this.#open === 0 || this.#onlyReads;
      this.#open += 1;
    }
    this.#isLooking &&= command === SMB2_COMMAND.queryInfo || command === SMB2_COMMAND.close;
    this.#onlyReads &&= CHANGES_NOTHING.has(command);
    const isSimple = command === SMB2_COMMAND.read || command === SMB2_COMMAND.close;
    const header = isSimple ? Uint8Array.prototype.slice.call(bytes, at, at + HEADER_BYTES) : null;
    this.#begun.push({ command, messageId, header });
  }

  #hasAsked(): void {
    if (this.#begun.length === 0 && !this.#opaqueSent) return;
    const nowMs = this.#now();
    this.#endedOperation = false;
    const wasIdle = this.outstanding === 0;
    for (const { command, messageId, header } of this.#begun)
      this.#requests.set(messageId, { command, sinceMs: nowMs, header });
    this.#begun.length = 0;
    if (this.#opaqueSent) this.#opaqueSinceMs ??= nowMs;
    this.#opaqueSent = false;
    if (this.#requests.size > MAX_REQUESTS) {
      this.#requests.clear();
      this.#isOpaque = true;
    }
    if (wasIdle) this.#listener.asked();
  }

  #answers(
    command: number,
    messageId: number,
    isInterim: boolean,
    status: number,
    bytes: Uint8Array,
    at: number,
  ): void {
    const nowMs = this.#now();
    const request = this.#requests.get(messageId);
    if (command === SMB2_COMMAND.sessionSetup && !isInterim) this.#listener.loggedOn?.(status);
    if (request === undefined) {
      this.#listener.answered(nowMs, 0);
      return;
    }
    this.#endedOperation = command === SMB2_COMMAND.close && !isInterim;
    const isRefused = request.command === SMB2_COMMAND.create && status >>> 30 === 3;
    // A close that is refused closes nothing, and its client may ask again.
    const isClosed = request.command === SMB2_COMMAND.close && status === 0;
    if (isRefused || isClosed) this.#open = Math.max(0, this.#open - 1);
    // A lock may wait for hours; any other pending request still gets its answer.
    if (!isInterim || command === SMB2_COMMAND.lock) {
      this.#requests.delete(messageId);
      this.#passing.push(request);
    }
    if (isInterim && request.header !== null)
      markPending(request.header, bytes.subarray(at, at + HEADER_BYTES));
    this.#listener.answered(nowMs, nowMs - request.sinceMs);
  }

  #answersOpaquely(): void {
    const nowMs = this.#now();
    this.#isOpaque = true;
    const waitedMs = this.#opaqueSinceMs === null ? 0 : nowMs - this.#opaqueSinceMs;
    this.#opaqueSinceMs = null;
    this.#listener.answered(nowMs, waitedMs);
  }
}
