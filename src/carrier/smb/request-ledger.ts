// Which requests of one connection have no answer yet, told by the headers that pass.
import {
  createFrameReader,
  type FrameReader,
  HEADER_BYTES,
  markPending,
  opensToRead,
  SMB2_COMMAND,
  SMB2_FLAG,
  STATUS_PENDING,
} from "./smb-frames.ts";

/** Servers grant 8,192 credits at most; what has more is not followed any more. */
const MAX_REQUESTS = 16_384;
/** Nor does an open, which is judged by what it asks for. */
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
  /** Of a read or a close. */
  readonly header: Uint8Array | null;
}

export interface RequestLedger {
  /** Reads what the client sends, and what the server does. */
  readonly fromClient: FrameReader;
  readonly fromServer: FrameReader;
  /** Requests without an answer; notifications and locks that wait do not count. */
  readonly outstanding: number;
  /** Since when the oldest of them waits, monotonic ms, from its last byte on; null: none. */
  readonly oldestMs: number | null;
  /** The newest answer ended an operation: what was open is closed, and nothing else was asked. */
  readonly endedOperation: boolean;
  /** The headers of what waits for its answer, or for all of it, oldest first, when all of that is reads and closes; null: it is not. */
  readonly readsAndCloses: readonly Uint8Array[] | null;
  /** The client waits until it has let go of the share, or has it again after that. */
  readonly isChangingShare: boolean;
  /** All that is open was opened to be read, and nothing else was asked of it: nothing can be lost, nor left undone. */
  readonly onlyReads: boolean;
  /** Not all that passes can be read: it is encrypted, compressed, or not SMB 2. */
  readonly isOpaque: boolean;
  /** The client has said that it leaves. */
  readonly loggedOff: boolean;
}

interface LedgerListener {
  /** The client's first request since none was outstanding. */
  asked(): void;
  /** An answer, or any frame that cannot be read, has come; `waitedMs` after its request. */
  answered(nowMs: number, waitedMs: number): void;
}

export function createRequestLedger(now: () => number, listener: LedgerListener): RequestLedger {
  const requests = new Map<number, Request>();
  /** Of the frame that passes: they count once all of it has been sent. */
  const begun: { command: number; messageId: number; header: Uint8Array | null }[] = [];
  /** Of what the frame that passes answers. */
  const passing: Request[] = [];
  let opaqueSent = false;
  let opaqueSinceMs: number | null = null;
  let isOpaque = false;
  let loggedOff = false;
  let endedOperation = false;
  /** Opened files whose close has not been answered. */
  let open = 0;
  let onlyReads = false;
  /** Whether that is so if the open that is just being asked for is one, too. */
  let mayOnlyRead = false;
  let hasLetGo = false;

  const fromClient = createFrameReader({
    message(command, flags, messageId, _status, bytes, at) {
      if ((flags & SMB2_FLAG.answer) !== 0) return;
      if (command === SMB2_COMMAND.cancel || command === SMB2_COMMAND.changeNotify) return;
      if (command === SMB2_COMMAND.logoff) loggedOff = true;
      if (command === SMB2_COMMAND.treeDisconnect) hasLetGo = true;
      if (command === SMB2_COMMAND.create) {
        mayOnlyRead = open === 0 || onlyReads;
        open += 1;
      }
      onlyReads &&= CHANGES_NOTHING.has(command);
      const isSimple = command === SMB2_COMMAND.read || command === SMB2_COMMAND.close;
      const header = isSimple ? Uint8Array.prototype.slice.call(bytes, at, at + HEADER_BYTES) : null;
      begun.push({ command, messageId, header });
    },
    opens(wanted) {
      onlyReads = mayOnlyRead && opensToRead(wanted);
    },
    opaque() {
      isOpaque = true;
      opaqueSent = true;
    },
    frameEnd() {
      if (begun.length === 0 && !opaqueSent) return;
      const nowMs = now();
      endedOperation = false;
      const wasIdle = requests.size === 0 && opaqueSinceMs === null;
      for (const { command, messageId, header } of begun)
        requests.set(messageId, { command, sinceMs: nowMs, header });
      begun.length = 0;
      if (opaqueSent) opaqueSinceMs ??= nowMs;
      opaqueSent = false;
      if (requests.size > MAX_REQUESTS) {
        requests.clear();
        isOpaque = true;
      }
      if (wasIdle) listener.asked();
    },
  });
  const fromServer = createFrameReader({
    message(command, flags, messageId, status, bytes, at) {
      const nowMs = now();
      const request = requests.get(messageId);
      if (request === undefined) {
        listener.answered(nowMs, 0);
        return;
      }
      const isInterim = status === STATUS_PENDING && (flags & SMB2_FLAG.async) !== 0;
      endedOperation = command === SMB2_COMMAND.close && !isInterim;
      const isRefused = request.command === SMB2_COMMAND.create && status >>> 30 === 3;
      // One that is refused closes nothing, and its client may ask again.
      const isClosed = request.command === SMB2_COMMAND.close && status === 0;
      if (isRefused || isClosed) open = Math.max(0, open - 1);
      // A lock may wait for hours; what else is pending has its answer still to come.
      if (!isInterim || command === SMB2_COMMAND.lock) {
        requests.delete(messageId);
        passing.push(request);
      }
      if (isInterim && request.header !== null)
        markPending(request.header, bytes.subarray(at, at + HEADER_BYTES));
      listener.answered(nowMs, nowMs - request.sinceMs);
    },
    opaque() {
      const nowMs = now();
      isOpaque = true;
      const waitedMs = opaqueSinceMs === null ? 0 : nowMs - opaqueSinceMs;
      opaqueSinceMs = null;
      listener.answered(nowMs, waitedMs);
    },
    frameEnd() {
      passing.length = 0;
    },
  });
  return {
    fromClient,
    fromServer,
    get outstanding() {
      return requests.size + (opaqueSinceMs === null ? 0 : 1);
    },
    get oldestMs() {
      let oldest = opaqueSinceMs;
      for (const { sinceMs } of requests.values()) {
        // Kept in the order in which they were sent.
        if (oldest === null || sinceMs < oldest) oldest = sinceMs;
        break;
      }
      return oldest;
    },
    get endedOperation() {
      return endedOperation && requests.size === 0;
    },
    get readsAndCloses() {
      if (opaqueSinceMs !== null) return null;
      const headers = [...passing, ...requests.values()].map(({ header }) => header);
      return headers.every((header) => header !== null) ? headers : null;
    },
    get isChangingShare() {
      const isWaiting = [...requests.values()].some(
        ({ command }) => command === SMB2_COMMAND.treeConnect || command === SMB2_COMMAND.treeDisconnect,
      );
      return hasLetGo && isWaiting;
    },
    get onlyReads() {
      return onlyReads;
    },
    get isOpaque() {
      return isOpaque || fromClient.broken || fromServer.broken;
    },
    get loggedOff() {
      return loggedOff;
    },
  };
}
