// The unanswered requests of one connection, read from the SMB headers that pass.
import {
  FrameReader,
  HEADER_BYTES,
  isReadOnlyOpen,
  isRootOpen,
  markPending,
  SMB2_COMMAND,
  SMB2_FLAG,
  STATUS_PENDING,
} from "./smb-frames.ts";

/**
 * Servers grant at most 8,192 credits, so a connection with more open requests than this counts as
 * unreadable.
 */
const MAX_REQUESTS = 16_384;
/** Commands that change nothing on the server. `isReadOnlyOpen` decides about opens. */
const CHANGES_NOTHING: ReadonlySet<number> = new Set([
  SMB2_COMMAND.close,
  SMB2_COMMAND.read,
  SMB2_COMMAND.echo,
  SMB2_COMMAND.queryDirectory,
  SMB2_COMMAND.queryInfo,
]);

/** Flags of a session ([MS-SMB2] 2.2.6): the client is a guest or anonymous. */
const GUEST_OR_NULL = 0x3;

interface Request {
  readonly command: number;
  readonly sinceMs: number;
  /** The header of a read or a close; null for other commands. */
  readonly header: Uint8Array | null;
}

interface LedgerListener {
  /** Called when a request is sent while no other request is unanswered. */
  requested(): void;
  /** Call when an answer has come, `waitedMs` after its request, or when an unreadable frame has come. */
  answered(nowMs: number, waitedMs: number): void;
  /** The server has answered a request to log in. `isGuest`: it lets the client in, but not as the user it is. */
  loginAnswered?(status: number, isGuest: boolean): void;
  /** The server has reached its limit of connections or sessions and refused this one. */
  refused?(): void;
}

/** What servers answer to a login or to the connect to a share when they have too many of them. */
const TOO_MANY: ReadonlySet<number> = new Set([
  0xc000009a, // insufficient resources (Samba's `max connections`)
  0xc00000ce, // too many sessions
  0xc00000d0, // request not accepted (Windows)
  0xc0000205, // insufficient server resources
  0xc0000259, // license quota exceeded
]);

/** The open requests of a connection, and conclusions about its files. */
export class RequestLedger {
  readonly fromClient: FrameReader;
  readonly fromServer: FrameReader;
  readonly #now: () => number;
  readonly #listener: LedgerListener;
  readonly #requests = new Map<number, Request>();
  /** The requests of the frame that is passing; they count as open once its end has passed. */
  readonly #begun: { command: number; messageId: number; header: Uint8Array | null }[] = [];
  /** The requests whose answers are in the frame that is passing. */
  readonly #passing: Request[] = [];
  #opaqueSent = false;
  #opaqueSinceMs: number | null = null;
  #isOpaque = false;
  isSignedOff = false;
  /** True once the server has connected the client to a share. */
  isOnShare = false;
  #endedOperation = false;
  /** The status of the answer to a login that is passing. */
  #loginStatus: number | null = null;
  /** Opened files whose close has not been answered. */
  #open = 0;
  /** True if all open files were opened and used only to read, so that nothing can be lost. */
  onlyReads = false;
  /** True if no file was open before the newest CREATE, or if all open files were used only to read. */
  #mayOnlyRead = false;
  #hasLetGo = false;
  /** True while all open requests belong to one check of the share's root: an open, queries and a close. */
  #isChecking = false;
  #mayCheck = false;

  constructor(now: () => number, listener: LedgerListener) {
    this.#now = now;
    this.#listener = listener;
    this.fromClient = new FrameReader({
      message: (command, flags, messageId, _status, bytes, at) => {
        if ((flags & SMB2_FLAG.answer) === 0) this.#addRequest(command, messageId, bytes, at);
      },
      opens: (wanted) => {
        this.onlyReads = this.#mayOnlyRead && isReadOnlyOpen(wanted);
        this.#isChecking = this.#mayCheck && isRootOpen(wanted);
      },
      opaque: () => {
        this.#isOpaque = true;
        this.#opaqueSent = true;
      },
      frameEnd: () => this.#requestSent(),
    });
    this.fromServer = new FrameReader({
      message: (command, flags, messageId, status, bytes, at) => {
        const isInterim = status === STATUS_PENDING && (flags & SMB2_FLAG.async) !== 0;
        this.#answers(command, messageId, isInterim, status, bytes, at);
      },
      session: (flags) => {
        if (this.#loginStatus !== null)
          this.#listener.loginAnswered?.(this.#loginStatus, (flags & GUEST_OR_NULL) !== 0);
      },
      opaque: () => this.#answersOpaquely(),
      frameEnd: () => {
        this.#passing.length = 0;
      },
    });
  }

  /** The number of requests without an answer; change notifications and blocking locks do not count. */
  get outstanding(): number {
    return this.#requests.size + (this.#opaqueSinceMs === null ? 0 : 1);
  }

  /** When the last byte of the oldest open request was sent, monotonic ms; null: none is open. */
  get oldestMs(): number | null {
    let oldest = this.#opaqueSinceMs;
    for (const { sinceMs } of this.#requests.values()) {
      // The first entry is the oldest.
      if (oldest === null || sinceMs < oldest) oldest = sinceMs;
      break;
    }
    return oldest;
  }

  /** True if the newest answer was to a close, and no request is open. */
  get endedOperation(): boolean {
    return this.#endedOperation && this.#requests.size === 0;
  }

  /** The headers of the open requests, oldest first; null unless all of them are reads and closes. */
  get readsAndCloses(): readonly Uint8Array[] | null {
    if (this.#opaqueSinceMs !== null) return null;
    const headers = [...this.#passing, ...this.#requests.values()].map(({ header }) => header);
    return headers.every((header) => header !== null) ? headers : null;
  }

  /** True while the client waits for the answer to a tree disconnect, or to a tree connect after one. */
  get isChangingShare(): boolean {
    const isWaiting = [...this.#requests.values()].some(
      ({ command }) => command === SMB2_COMMAND.treeConnect || command === SMB2_COMMAND.treeDisconnect,
    );
    return this.#hasLetGo && isWaiting;
  }

  /**
   * True while only a check of the share's root waits for answers: the daemon's request, or rclone's check of
   * a pooled connection.
   */
  get isCheckingRoot(): boolean {
    return this.#isChecking && this.outstanding > 0;
  }

  /** True once something unreadable has passed: encrypted, compressed, or not SMB 2. */
  get isOpaque(): boolean {
    return this.#isOpaque || this.fromClient.broken || this.fromServer.broken;
  }

  #addRequest(command: number, messageId: number, bytes: Uint8Array, at: number): void {
    if (command === SMB2_COMMAND.cancel || command === SMB2_COMMAND.changeNotify) return;
    if (command === SMB2_COMMAND.logoff) this.isSignedOff = true;
    if (command === SMB2_COMMAND.treeDisconnect) this.#hasLetGo = true;
    if (command === SMB2_COMMAND.create) {
      this.#mayCheck = this.#open === 0 && this.outstanding === 0;
      this.#isChecking = false;
      this.#mayOnlyRead = this.#open === 0 || this.onlyReads;
      this.#open += 1;
    }
    this.#isChecking &&= command === SMB2_COMMAND.queryInfo || command === SMB2_COMMAND.close;
    this.onlyReads &&= CHANGES_NOTHING.has(command);
    const isSimple = command === SMB2_COMMAND.read || command === SMB2_COMMAND.close;
    const header = isSimple ? Uint8Array.prototype.slice.call(bytes, at, at + HEADER_BYTES) : null;
    this.#begun.push({ command, messageId, header });
  }

  #requestSent(): void {
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
    if (wasIdle) this.#listener.requested();
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
    const isLogin = command === SMB2_COMMAND.sessionSetup;
    this.#loginStatus = isLogin && !isInterim ? status : null;
    if ((isLogin || command === SMB2_COMMAND.treeConnect) && TOO_MANY.has(status)) this.#listener.refused?.();
    if (command === SMB2_COMMAND.treeConnect && status === 0) this.isOnShare = true;
    if (request === undefined) {
      this.#listener.answered(nowMs, 0);
      return;
    }
    this.#endedOperation = command === SMB2_COMMAND.close && !isInterim;
    const isRefused = request.command === SMB2_COMMAND.create && status >>> 30 === 3;
    // A refused close leaves the file open, and the client may send the close again.
    const isClosed = request.command === SMB2_COMMAND.close && status === 0;
    if (isRefused || isClosed) this.#open = Math.max(0, this.#open - 1);
    // A pending lock may wait for hours, so it no longer counts; other pending requests are answered soon.
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
