// Relays one connection of a mount to its server. The connection waits until the route is usable, and is then joined to
// a connection to the server. When that server is lost, it is a detached connection until its client learns of the loss.
import type { Socket } from "node:net";
import { connectFailure } from "../../network/local-network-privacy.ts";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { resetSocket } from "../../runtime/reset-socket.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { RelayRoute, RouteEndpoint } from "../relay.ts";
import { RequestLedger } from "../smb/request-ledger.ts";
import { answerWithoutServer, isOnlyBegun } from "../smb/smb-frames.ts";
import { type AnswerStores, WholeFrameReader } from "../smb/whole-frames.ts";
import { BufferedFrames } from "./buffered-frames.ts";
import type { CutOff } from "./cut-off-sessions.ts";
import { LateRequests } from "./late-requests.ts";
import type { LoginGate } from "./login-gate.ts";
import { KEEP_ALIVE_AFTER_MS, ServerSide } from "./server-side.ts";

const CONNECT_WITHIN_MS = 2_000;
/** How long one side may stay open after the other side has closed, ms. */
const HALF_CLOSED_AT_MOST_MS = 10_000;
/**
 * A retiring connection (see `retire`) is reset when a request has no answer for this long: its route is
 * gone.
 */
const RETIRING_SILENCE_MS = 2_000;
/** A refused client has this long, ms, to read the refusal. Some versions of rclone leave the connection open. */
const REFUSED_MS = 1_000;
/**
 * A server that closes a connection before its first answer has too many connections if the others stay open for this
 * long, ms.
 */
const ALL_END_MS = 200;
/** A connection without a byte for this long, ms, counts as idle. */
const SILENCE_MS = 20;

/** The counters and buffers that all connections of one share have in common. */
export interface Traffic {
  readonly stores: AnswerStores;
  bytesUp: number;
  bytesDown: number;
  longestWaitMs: number;
}

/** The share that a connection belongs to, and the events that the connection reports. */
export interface ConnectionHost {
  readonly clock: Clock;
  readonly traffic: Traffic;
  /**
   * True: when the server ends a connection, the client's side stays open (stage `detached`) until the share
   * fails its requests or resets it.
   */
  readonly detaches: boolean;
  /** True: the client repeats what a lost connection cut short, so none is detached. */
  repeats(): boolean;
  readonly logins: LoginGate;
  /** Whether a retiring connection may end at a read now. */
  readonly mayEndAtRead: () => boolean;
  /** A retiring connection has ended. */
  retired(): void;
  /** Called when the connect failed; the connection waits again. */
  connectFailed(text: string): void;
  /**
   * Asked after a successful connect. False if the route has been lost since: another server may have answered, so the
   * connection waits again.
   */
  mayJoin(): boolean;
  connected(): void;
  /** Whether the server has let connections in that are still open. */
  servesOthers(): boolean;
  /** The server has refused a connection because it has too many. */
  refused(): void;
  /** The server ended the connection before the client did. */
  serverClosed(connection: RelayedConnection, text: string): void;
  /** Called when a request is sent while no other request is unanswered. */
  requested(): void;
  answered(connection: RelayedConnection, nowMs: number, waitedMs: number): void;
  /** The client of a failing connection knows now, from an answer or a reset, that its server is lost. */
  foundOut(): void;
  /** Both sides are closed. */
  closed(connection: RelayedConnection): void;
}

/**
 * - `waiting`: for a usable route. In this stage and in `connecting`, the client's bytes are not read yet.
 * - `detached`: the server's side is gone, and the client does not know it yet.
 * - `failing`: the server's side is gone, and the client notices it with its next request.
 */
type ConnectionStage = "waiting" | "connecting" | "joined" | "detached" | "failing" | "closed";

export class RelayedConnection {
  readonly ledger: RequestLedger;
  readonly #client: Socket;
  readonly #host: ConnectionHost;
  readonly #answers: WholeFrameReader;
  readonly #waitingSinceMs: number;
  stage: ConnectionStage = "waiting";
  readonly #server = new ServerSide({
    window: () => this.#answers.window(),
    bytes: (length) => this.#onServerBytes(length),
    connected: () => this.#onConnect(),
    ended: () => this.#serverEnded(),
    failed: (error) => this.#serverFailed(error),
    drained: () => this.#onServerDrain(),
  });
  #timer: Timer | null = null;
  #retireTimer: Timer | null = null;
  #clientEnded = false;
  /** When the server last sent a byte, monotonic ms; null: never. */
  lastServerByteMs: number | null = null;
  /** The route that a retiring connection still uses; null: the connection is not retiring. */
  retiringFrom: RelayRoute | null = null;
  #lastByteMs: number;
  readonly #buffered: BufferedFrames;
  #isLoggingIn = false;
  #isRefused = false;
  readonly #late = new LateRequests();
  #onRest: (() => void) | null = null;

  /** `client` must be paused, with nothing read from it. */
  constructor(client: Socket, host: ConnectionHost) {
    this.#client = client;
    this.#host = host;
    this.#waitingSinceMs = host.clock.monotonicMs();
    this.#lastByteMs = this.#waitingSinceMs;
    this.#answers = new WholeFrameReader(client, host.traffic.stores);
    this.#buffered = new BufferedFrames(() => {
      this.#isLoggingIn = true;
      // The reset is deferred, because the caller is still reading the connection's bytes.
      if (host.logins.refused !== null) queueMicrotask(() => void this.reset());
      return host.logins.request(this);
    }, host.mayEndAtRead);
    this.ledger = new RequestLedger(host.clock.monotonicMs, {
      requested: () => host.requested(),
      answered: (nowMs, waitedMs) => host.answered(this, nowMs, waitedMs),
      loginAnswered: (status, isGuest) => {
        host.logins.answered(this, status, isGuest);
        if (status === 0 && host.logins.refused !== null) queueMicrotask(() => void this.reset());
      },
      refused: () => this.#refuse(REFUSED_MS),
    });
    client.setNoDelay(true);
    client.setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
    client.on("end", () => this.#onClientEnd());
    client.on("error", this.#close);
    client.on("close", this.#close);
  }

  /** The addresses of the connection to the server; null: it is not connected. */
  get serverEnd(): CutOff | null {
    return this.stage === "joined" ? this.#server.ownEnd : null;
  }

  get isRetiring(): boolean {
    return this.retiringFrom !== null;
  }

  /** True while a frame waits that is neither a read nor a write. The client might notice the loss of such a frame. */
  get buffersMore(): boolean {
    return this.#buffered.waitsMore;
  }

  /** True while the client logs in and has sent no other request yet. */
  get isLoggingIn(): boolean {
    return this.#isLoggingIn && this.#buffered.mode === "login";
  }

  get waitsToLogIn(): boolean {
    return this.isLoggingIn && this.#buffered.isWaiting;
  }

  /** The connection's place among those that the server accepts. `requested`: connected, but not accepted yet. */
  get slot(): "waits" | "none" | "requested" | "taken" {
    if (this.stage === "waiting") return "waits";
    if (this.#isRefused || (this.stage !== "connecting" && this.stage !== "joined")) return "none";
    const { isOnShare, isOpaque } = this.ledger;
    return isOnShare || (isOpaque && this.lastServerByteMs !== null) ? "taken" : "requested";
  }

  /** Ends the connection if it has waited for this long, ms, and is still waiting. */
  endIfWaitedFor(patienceMs: number): void {
    if (this.stage === "waiting" && this.#host.clock.monotonicMs() - this.#waitingSinceMs >= patienceMs)
      this.#close();
  }

  /** `isWanted`: another connection needs this one's place. This one then ends as soon as rclone would not notice. */
  offerSlot(isWanted: boolean): void {
    const { mode, isWaiting } = this.#buffered;
    const isFree = this.stage === "joined" && this.#host.detaches && !this.isRetiring;
    if (!isFree || isWaiting || (mode !== "nothing" && mode !== "retire")) return;
    this.#buffered.mode = isWanted ? "retire" : "nothing";
  }

  /** Sends the delayed login. */
  logIn(): void {
    if (this.stage !== "joined" || !this.isLoggingIn) return;
    this.#buffered.isWaiting = false;
    this.#sendWhatMayPass();
    if (!this.#buffered.isWaiting) this.#client.resume();
  }

  /** True if a request or a part of a frame is under way, and the server has sent nothing since `atMs`. */
  isStuckSince(atMs: number): boolean {
    if (this.stage !== "joined" || !this.#server.isThere) return false;
    if (this.lastServerByteMs !== null && this.lastServerByteMs >= atMs) return false;
    return this.ledger.outstanding > 0 || !this.#isBetweenFrames() || this.#server.unsentBytes > 0;
  }

  /** Connects to the server. Does nothing unless the connection is waiting. */
  join(endpoint: RouteEndpoint): void {
    if (this.stage !== "waiting") return;
    this.stage = "connecting";
    this.#setTimer(CONNECT_WITHIN_MS, () =>
      this.#serverFailed(new Error(`no answer within ${CONNECT_WITHIN_MS} ms`)),
    );
    this.#server.connect(endpoint);
  }

  /** Cancels a connect that is under way: the connection waits again. */
  unjoin(): void {
    if (this.stage !== "connecting") return;
    this.#clearTimer();
    this.stage = "waiting";
    this.#server.abandon();
  }

  /**
   * Holds back the client's new reads and writes (`all`: any frame) until the connection ends. `onRest` is called as
   * soon as the connection is between two operations, because a busy client begins the next one within a millisecond.
   */
  startBuffering(all: boolean, onRest: () => void): void {
    this.#onRest = onRest;
    this.#buffered.mode = all ? "all" : "some";
    if (!this.#buffered.isWaiting && this.stage === "joined") this.#sendWhatMayPass();
  }

  /**
   * Keeps the joined connection on the route `from` until it can end unnoticed by rclone: during the check after an
   * operation or, after `retireAtReads`, during a read. Encrypted connections never retire, because their frames
   * cannot be read.
   */
  retire(from: RelayRoute): void {
    const { mode } = this.#buffered;
    if (mode === "some" || mode === "all") return;
    this.retiringFrom = from;
    this.#buffered.mode = "retire";
    this.#watchRetiring();
  }

  /**
   * Also lets a retiring connection end at a read. Call it only after the idle connections have ended: rclone repeats
   * the read, and must not choose another retiring connection.
   */
  retireAtReads(): void {
    if (this.isRetiring) this.#buffered.readsEnd = true;
  }

  /** Cancels `retire`: the route is in use again. */
  unretire(): void {
    if (this.stage !== "joined" || !this.isRetiring) return;
    this.retiringFrom = null;
    this.#retireTimer?.[Symbol.dispose]();
    this.#buffered.reset();
    this.#sendWhatMayPass();
    this.#client.resume();
  }

  /** True if no request is outstanding, no frame is half sent, and the client has been silent for a moment. */
  isQuiet(nowMs: number): boolean {
    if (this.stage !== "joined" || !this.#server.isThere) return true;
    if (this.#client.writableLength > 0 || this.#server.unsentBytes > 0) return false;
    const isSilent = nowMs - this.#lastByteMs >= SILENCE_MS;
    if (this.ledger.isOpaque) return isSilent;
    if (this.ledger.outstanding > 0 || !this.#isBetweenFrames()) return false;
    return this.#buffered.isWaiting || (isSilent && this.#buffered.bytes.length === 0);
  }

  /** Resets the server's side and drops unsent bytes; the client does not notice. Resolves once the socket is closed. */
  detach(): Promise<void> {
    this.#loseServer();
    return this.#server.gone;
  }

  /**
   * Ends a detached connection with the least harm to its client: reads fail, closes of files that were only read succeed, and any
   * other request resets the connection.
   */
  failRequests(): void {
    if (this.stage !== "detached") return;
    const waiting = this.ledger.readsAndCloses;
    if (waiting === null || !this.#mayAnswer()) {
      this.#close();
      return;
    }
    this.stage = "failing";
    for (const header of waiting) {
      const answer = answerWithoutServer(header);
      if (answer !== null) this.#client.write(answer);
    }
    this.#answerLateRequests();
    this.#client.resume();
  }

  /** Resets both sides. Resolves once the server's socket is closed. */
  reset(): Promise<void> {
    this.#close();
    return this.#server.gone;
  }

  // -- the client's side ---------------------------------------------------------------------------------------

  readonly #onClientData = (chunk: Buffer): void => {
    if (this.stage === "detached" || this.stage === "failing") {
      this.#onLateBytes(chunk);
      return;
    }
    this.#lastByteMs = this.#host.clock.monotonicMs();
    this.#buffered.push(chunk);
    if (this.#buffered.mode === "nothing") this.#sendAll();
    else this.#sendWhatMayPass();
  };

  #send(bytes: Buffer): void {
    if (!this.#server.isThere || bytes.length === 0) return;
    this.#host.traffic.bytesUp += bytes.length;
    this.#server.write(bytes);
    // The system did not take all bytes at once, so reading pauses until "drain".
    if (this.#server.unsentBytes > 0) this.#client.pause();
  }

  /**
   * Sends all bytes, but holds back the start of a frame until the frame's header is complete: rclone sends a
   * frame's length separately, and if the server were lost in between, the remaining bytes could not be
   * understood.
   */
  #sendAll(): void {
    const { atBoundary, broken } = this.ledger.fromClient;
    if (this.#host.detaches && atBoundary && !broken && isOnlyBegun(this.#buffered.bytes)) return;
    const bytes = this.#buffered.take();
    this.ledger.fromClient.push(bytes, 0, false);
    this.#send(bytes);
  }

  #sendWhatMayPass(): void {
    if (!this.#buffered.pass(this.ledger.fromClient, (bytes) => this.#send(bytes))) return;
    this.#client.pause();
    this.#endIfRetired();
  }

  #onClientEnd(): void {
    this.#clientEnded = true;
    if (this.stage !== "joined") {
      this.#close();
      return;
    }
    if (this.#buffered.mode === "nothing") this.#send(this.#buffered.take());
    this.#server.end();
    this.#setTimer(HALF_CLOSED_AT_MOST_MS, this.#close);
  }

  // -- the server's side ---------------------------------------------------------------------------------------

  #onConnect(): void {
    if (this.stage !== "connecting") return;
    if (!this.#host.mayJoin()) {
      this.unjoin();
      return;
    }
    this.#clearTimer();
    this.stage = "joined";
    const { clock, traffic } = this.#host;
    traffic.longestWaitMs = Math.max(traffic.longestWaitMs, clock.monotonicMs() - this.#waitingSinceMs);
    this.#client.on("data", this.#onClientData);
    this.#client.on("drain", () => {
      this.#answers.taken();
      this.#server.resume();
      this.#endIfRetired();
    });
    this.#client.resume();
    this.#host.connected();
  }

  /**
   * Passes the server's bytes on. Returns false to pause reading until the client has taken all bytes,
   * because the buffer is in use until then.
   */
  #onServerBytes(length: number): boolean {
    if (this.stage !== "joined") return false;
    const bytes = this.#answers.came(length);
    this.lastServerByteMs = this.#host.clock.monotonicMs();
    this.#lastByteMs = this.lastServerByteMs;
    this.#host.traffic.bytesDown += length;
    const { fromServer } = this.ledger;
    let ended = 0;
    for (let at = 0; at < length; ) {
      at = fromServer.push(bytes, at, true);
      // If the share detaches no connections, or if the stream is not SMB, incomplete frames are passed on at
      // once.
      if (!this.#host.detaches || this.#host.repeats() || fromServer.broken || fromServer.atBoundary)
        ended = at;
    }
    const isTaken = this.#answers.pass(ended);
    this.#endIfRetired();
    if (this.#onRest !== null && this.#isBetweenOperations()) queueMicrotask(this.#onRest);
    return isTaken;
  }

  #onServerDrain(): void {
    if (this.#clientEnded) this.#server.end();
    else if (!this.#buffered.isWaiting) this.#client.resume();
  }

  #serverEnded(): void {
    if (this.stage !== "joined") return;
    const endClient = (): void => {
      this.stage = "failing";
      this.#server.reset();
      this.#client.end();
      this.#setTimer(HALF_CLOSED_AT_MOST_MS, this.#close);
      // A client that still sends is reset.
      this.#client.off("data", this.#onClientData);
      this.#client.on("data", this.#close);
      this.#client.resume();
    };
    this.#serverLost("the server closed the connection", endClient, true);
  }

  #serverFailed(error: unknown): void {
    if (this.stage === "connecting") {
      this.unjoin();
      this.#host.connectFailed(connectFailure(error));
    } else if (this.stage === "joined") {
      const isReset = ["ECONNRESET", "EPIPE"].includes(systemErrorCode(error) ?? "");
      this.#serverLost(errorText(error), this.#close, isReset);
    }
  }

  /**
   * Detaches the connection if the share allows that and the client has not ended it first; otherwise calls
   * `endClient`. `isByServer`: the server closed the connection.
   */
  #serverLost(text: string, endClient: () => void, isByServer: boolean): void {
    const isUnexpected = !this.#clientEnded && !this.ledger.isSignedOff;
    const isSilent = this.lastServerByteMs === null;
    if (this.#isRefused && !isSilent) {
      // The client still reads the refusal.
      this.#server.reset();
      return;
    }
    if (isUnexpected && isSilent && isByServer && this.#host.servesOthers()) {
      this.#server.reset();
      if (this.#isRefused) this.#refuse(0);
      // Waits to see whether the server also ends the others.
      else this.#setTimer(ALL_END_MS, () => this.#serverLost(text, endClient, true));
      this.#isRefused = true;
      return;
    }
    if (isUnexpected && this.#host.detaches) this.#loseServer();
    else endClient();
    if (isUnexpected) this.#host.serverClosed(this, text);
  }

  /** Ends the connection after `readMs`, in which the client can read the refusal. */
  #refuse(readMs: number): void {
    this.#isRefused = true;
    this.#setTimer(readMs, this.#close);
    this.#host.refused();
  }

  // -- detached: connections whose server is lost ---------------------------------------------------------------

  #loseServer(): void {
    if (this.stage !== "joined") return;
    if (this.#host.repeats()) {
      this.#close();
      return;
    }
    this.stage = "detached";
    this.#host.logins.gone(this);
    this.#clearTimer();
    this.#retireTimer?.[Symbol.dispose]();
    // An open request of one of these two kinds may be rclone's check of a pooled connection; if the check fails,
    // rclone takes another connection. All programs wait for that, so this connection ends at once.
    if (this.ledger.isChangingShare || this.ledger.isCheckingRoot) {
      this.#close();
      return;
    }
    if (this.#buffered.bytes.length > 0) this.#late.push(this.#buffered.take());
    // Reading continues only to notice the client's next request.
    if (!this.#buffered.isWaiting) this.#client.resume();
    this.#answers.drop();
    this.#server.reset();
  }

  #onLateBytes(chunk: Buffer): void {
    this.#late.push(chunk);
    if (this.stage === "failing") this.#answerLateRequests();
    else if (this.#late.first === "end") this.#close();
    else if (this.#late.first === "wait") this.#client.pause();
  }

  #answerLateRequests(): void {
    while (this.stage === "failing") {
      const answer = this.#late.answerFirst();
      if (answer === null) return;
      if (answer === "none") this.#close();
      else this.#client.write(answer);
      this.#host.foundOut();
    }
  }

  /**
   * True if requests may be answered in place of the server: only if nothing was written, because the answer to a
   * close claims that the server has done all that was asked.
   */
  #mayAnswer(): boolean {
    const { onlyReads, isOpaque, fromClient } = this.ledger;
    return onlyReads && !isOpaque && fromClient.atBoundary && !this.#answers.isHalfPassed;
  }

  // -- retiring, and the end -----------------------------------------------------------------------------------

  /** Ends a retiring connection once a frame is buffered and the client has all answers. */
  #endIfRetired(): void {
    if (this.#buffered.mode !== "retire" || !this.#buffered.isWaiting || this.ledger.outstanding > 0) return;
    if (!this.ledger.fromServer.atBoundary || this.#client.writableLength > 0) return;
    this.#loseServer();
    this.failRequests();
    this.#host.retired();
  }

  #watchRetiring(): void {
    const { clock } = this.#host;
    this.#retireTimer = clock.setTimer(RETIRING_SILENCE_MS, () => {
      const { oldestMs } = this.ledger;
      if (oldestMs !== null && clock.monotonicMs() - oldestMs >= RETIRING_SILENCE_MS) this.#close();
      else this.#watchRetiring();
    });
  }

  #isBetweenFrames(): boolean {
    return this.ledger.fromClient.atBoundary && this.ledger.fromServer.atBoundary;
  }

  #isBetweenOperations(): boolean {
    const isAnswered = this.ledger.endedOperation && this.#client.writableLength === 0;
    return (
      isAnswered && !this.ledger.isOpaque && this.#buffered.bytes.length === 0 && this.#isBetweenFrames()
    );
  }

  readonly #close = (): void => {
    if (this.stage === "closed") return;
    this.stage = "closed";
    this.#clearTimer();
    this.#retireTimer?.[Symbol.dispose]();
    this.#server.reset();
    resetSocket(this.#client);
    this.#buffered.take();
    this.#answers.drop();
    this.#host.logins.gone(this);
    this.#host.closed(this);
  };

  #setTimer(delayMs: number, callback: () => void): void {
    this.#clearTimer();
    this.#timer = this.#host.clock.setTimer(delayMs, callback);
  }

  #clearTimer(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }
}
