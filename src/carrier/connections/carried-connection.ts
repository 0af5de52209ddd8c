// One connection of a mount: held until a route is there, then joined to the server, and reset when it is abandoned.
import type { Socket } from "node:net";
import { connectOptions } from "../../network/probe/host-probe.ts";
import { errorText } from "../../runtime/errors.ts";
import { resetSocket } from "../../runtime/reset-socket.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { RouteEndpoint } from "../carrier.ts";
import { RequestLedger } from "../smb/request-ledger.ts";
import {
  answerWithoutServer,
  commandOfFrame,
  firstMessage,
  isEnoughToJudge,
  isHarmlessToLose,
  isOnlyBegun,
  SMB2_COMMAND,
} from "../smb/smb-frames.ts";
import { type AnswerStores, WholeAnswers } from "../smb/whole-answers.ts";
import { KEEP_ALIVE_AFTER_MS, openServerSide, resetServerSide } from "./connection-sockets.ts";
import { type CutOff, ownEndOf } from "./cut-off-sessions.ts";
import { HeldFrames } from "./held-frames.ts";

const CONNECT_WITHIN_MS = 2_000;
/** How long one side may stay open after the other has closed. */
const HALF_CLOSED_AT_MOST_MS = 10_000;
/** A retiring connection without an answer for this long is cut off: its route is gone. */
const RETIRING_SILENCE_MS = 2_000;
/** After this long without a byte, no operation is under way. */
const SILENCE_MS = 20;

/** Of one share, over all its connections. */
export interface Traffic {
  readonly stores: AnswerStores;
  bytesUp: number;
  bytesDown: number;
  longestWaitMs: number;
}

/** The share that connections belong to, and what it hears about them. */
export interface ConnectionHost {
  readonly clock: Clock;
  readonly traffic: Traffic;
  /** When the server ends a connection, the client does not notice: the host resets it later. */
  readonly orphans: boolean;
  /** Held again: the route did not take it. */
  connectFailed(connection: CarriedConnection, text: string): void;
  /** False: the server was lost meanwhile, so it may not be the one that was proved. The connection is held again. */
  mayJoin(connection: CarriedConnection): boolean;
  connected(connection: CarriedConnection): void;
  /** The server ended the connection, and the client had not. */
  serverClosed(connection: CarriedConnection, text: string): void;
  asked(): void;
  /** Whether it may log in now. If not, it is called when its turn comes, or is reset. */
  mayLogOn(connection: CarriedConnection): boolean;
  /** The server's answer to the login; null: there will be none. */
  loggedOn(connection: CarriedConnection, status: number | null): void;
  answered(connection: CarriedConnection, nowMs: number, waitedMs: number): void;
  /** The client of a released connection has noticed that its server is gone. */
  foundOut(): void;
  /** Both sides are gone. */
  closed(connection: CarriedConnection): void;
}

/**
 * `orphaned`: the server's side is gone, and the client does not know it yet. `released`: the client is about to
 * notice.
 */
type ConnectionStage = "held" | "connecting" | "joined" | "orphaned" | "released" | "closed";

export class CarriedConnection {
  readonly ledger: RequestLedger;
  readonly #client: Socket;
  readonly #host: ConnectionHost;
  readonly #answers: WholeAnswers;
  readonly #heldSinceMs: number;
  #stage: ConnectionStage = "held";
  #server: Socket | null = null;
  #serverGone: Promise<void> = Promise.resolve();
  #timer: Timer | null = null;
  #retireTimer: Timer | null = null;
  #clientEnded = false;
  #lastServerByteMs: number | null = null;
  #lastByteMs: number;
  readonly #held: HeldFrames;
  #isLoggingOn = false;
  /** What the client has asked since its server was lost. */
  #orphansQuestion: Buffer | null = null;
  #onRest: (() => void) | null = null;

  /** `client` is paused, and nothing of it has been read. */
  constructor(client: Socket, host: ConnectionHost) {
    this.#client = client;
    this.#host = host;
    this.#heldSinceMs = host.clock.monotonicMs();
    this.#lastByteMs = this.#heldSinceMs;
    this.#answers = new WholeAnswers(client, host.traffic.stores);
    this.#held = new HeldFrames(() => {
      this.#isLoggingOn = true;
      return host.mayLogOn(this);
    });
    this.ledger = new RequestLedger(host.clock.monotonicMs, {
      asked: () => host.asked(),
      answered: (nowMs, waitedMs) => host.answered(this, nowMs, waitedMs),
      loggedOn: (status) => host.loggedOn(this, status),
    });
    client.setNoDelay(true);
    client.setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
    client.on("end", () => this.#onClientEnd());
    client.on("error", this.#close);
    client.on("close", this.#close);
  }

  get stage(): ConnectionStage {
    return this.#stage;
  }

  /** When the server last sent a byte, monotonic ms; null: never. */
  get lastServerByteMs(): number | null {
    return this.#lastServerByteMs;
  }

  /** Its end of the connection to the server; null: there is none. */
  get serverEnd(): CutOff | null {
    return this.#stage === "joined" && this.#server !== null ? ownEndOf(this.#server) : null;
  }

  /** Holds back a frame whose loss the client might notice. */
  get holdsBackMore(): boolean {
    return this.#held.waitsMore;
  }

  get retiring(): boolean {
    return this.#held.holding === "retire";
  }

  /** It has begun to log in, and has asked for nothing else yet. */
  get isLoggingOn(): boolean {
    return this.#isLoggingOn && this.#held.holding === "logon";
  }

  get waitsToLogOn(): boolean {
    return this.isLoggingOn && this.#held.isWaiting;
  }

  /** It is its turn. */
  logOn(): void {
    if (this.#stage !== "joined" || !this.isLoggingOn) return;
    this.#held.goOn();
    this.#sendWhatMayPass();
    if (!this.#held.isWaiting) this.#client.resume();
  }

  /** Something is under way at the server, and nothing has come from it since `atMs`. */
  isStuckSince(atMs: number): boolean {
    if (this.#stage !== "joined" || this.#server === null) return false;
    if (this.#lastServerByteMs !== null && this.#lastServerByteMs >= atMs) return false;
    return this.ledger.outstanding > 0 || !this.#isBetweenFrames() || this.#server.writableLength > 0;
  }

  /** Only when held. */
  join(endpoint: RouteEndpoint): void {
    if (this.#stage !== "held") return;
    this.#stage = "connecting";
    const socket = openServerSide(
      () => this.#answers.window(),
      (length) => this.#onServerBytes(length),
    );
    this.#server = socket;
    const gone = Promise.withResolvers<void>();
    this.#serverGone = gone.promise;
    const isCurrent = (): boolean => this.#server === socket;
    socket.once("close", () => {
      gone.resolve();
      if (isCurrent()) this.#serverFailed(new Error("the server's side is closed"));
    });
    socket.on("error", (error) => {
      if (isCurrent()) this.#serverFailed(error);
    });
    socket.once("connect", () => {
      if (isCurrent()) this.#onConnect();
    });
    socket.on("end", () => {
      if (isCurrent()) this.#serverEnded();
    });
    socket.on("drain", () => this.#onServerDrain());
    this.#setTimer(CONNECT_WITHIN_MS, () => {
      if (isCurrent()) this.#serverFailed(new Error(`no answer within ${CONNECT_WITHIN_MS} ms`));
    });
    try {
      socket.connect(connectOptions(endpoint));
    } catch (error) {
      this.#serverFailed(error);
    }
  }

  /** Gives up a connect that is under way: the connection is held again. Nothing of the client has been read. */
  unjoin(): void {
    if (this.#stage !== "connecting") return;
    this.#clearTimer();
    this.#stage = "held";
    const ending = this.#server;
    this.#server = null;
    // Nothing was written to it: there is nothing to drop.
    ending?.destroy();
  }

  /**
   * From now on new frames of the client are held back where losing them costs least: reads and writes, or, with `all`,
   * any. Ends only with the connection. `onRest`: an operation has just ended, and the client has asked nothing more; a
   * busy client asks again within a millisecond.
   */
  holdBack(all: boolean, onRest: () => void): void {
    this.#onRest = onRest;
    this.#held.holding = all ? "all" : "some";
    if (!this.#held.isWaiting && this.#stage === "joined") this.#sendWhatMayPass();
  }

  /**
   * The connection stays on its route, and ends where rclone does not notice: before a read, or before the check that
   * follows each of its operations. Where that is cannot be seen on an encrypted connection.
   */
  retire(): void {
    const { holding } = this.#held;
    if (this.#stage !== "joined" || (holding !== "nothing" && holding !== "logon")) return;
    this.#held.holding = "retire";
    this.#watchRetiring();
  }

  /** Until then reads go on over this connection: if it ended now, they would be repeated over another that retires. */
  retireAtReads(): void {
    this.#held.readsEnd = true;
  }

  /** Its route is in use again. */
  unretire(): void {
    if (this.#stage !== "joined" || this.#held.holding !== "retire") return;
    this.#retireTimer?.[Symbol.dispose]();
    this.#held.letGo();
    this.#sendWhatMayPass();
    this.#client.resume();
  }

  /** No request is at the server, no frame is half sent, and the client is not in the middle of something. */
  isQuiet(nowMs: number): boolean {
    if (this.#stage !== "joined" || this.#server === null) return true;
    if (this.#client.writableLength > 0 || this.#server.writableLength > 0) return false;
    const isSilent = nowMs - this.#lastByteMs >= SILENCE_MS;
    if (this.ledger.isOpaque) return isSilent;
    if (this.ledger.outstanding > 0 || !this.#isBetweenFrames()) return false;
    return this.#held.isWaiting || (isSilent && this.#held.bytes.length === 0);
  }

  /** Resets the server's side, dropping what it has not sent. Resolves once that is gone; the client hears nothing. */
  orphan(): Promise<void> {
    this.#loseServer();
    return this.#serverGone;
  }

  /**
   * Ends an orphan where its client notices least: its reads fail, files that were only read are closed, and anything
   * else resets it.
   */
  release(): void {
    if (this.#stage !== "orphaned") return;
    const waiting = this.ledger.readsAndCloses;
    if (waiting === null || !this.#mayAnswer()) {
      this.#close();
      return;
    }
    this.#stage = "released";
    for (const header of waiting) this.#answerAlone(header);
    this.#answerOrphansQuestions();
    this.#client.resume();
  }

  /** Resets both sides. Resolves once the server's is gone. */
  reset(): Promise<void> {
    this.#close();
    return this.#serverGone;
  }

  // -- the client's side ---------------------------------------------------------------------------------------

  readonly #onClientData = (chunk: Buffer): void => {
    if (this.#stage === "orphaned" || this.#stage === "released") {
      this.#onOrphansQuestion(chunk);
      return;
    }
    this.#lastByteMs = this.#host.clock.monotonicMs();
    this.#held.push(chunk);
    if (this.#held.holding === "nothing") this.#sendAll();
    else this.#sendWhatMayPass();
  };

  #send(bytes: Buffer): void {
    if (this.#server === null || bytes.length === 0) return;
    this.#host.traffic.bytesUp += bytes.length;
    this.#server.write(bytes);
    // Not all of it was taken at once: the next read waits for the rest.
    if (this.#server.writableLength > 0) this.#client.pause();
  }

  /**
   * rclone sends a frame's length separately: if only that were lost with the server, the rest could not be understood.
   */
  #sendAll(): void {
    const { atBoundary, broken } = this.ledger.fromClient;
    if (this.#host.orphans && atBoundary && !broken && isOnlyBegun(this.#held.bytes)) return;
    const bytes = this.#held.take();
    this.ledger.fromClient.push(bytes, 0, false);
    this.#send(bytes);
  }

  #sendWhatMayPass(): void {
    if (!this.#held.pass(this.ledger.fromClient, (bytes) => this.#send(bytes))) return;
    this.#client.pause();
    this.#endIfRetired();
  }

  #onClientEnd(): void {
    this.#clientEnded = true;
    if (this.#stage !== "joined") {
      this.#close();
      return;
    }
    if (this.#held.holding === "nothing") this.#send(this.#held.take());
    this.#endServerSide();
    this.#setTimer(HALF_CLOSED_AT_MOST_MS, this.#close);
  }

  // -- the server's side ---------------------------------------------------------------------------------------

  #onConnect(): void {
    if (this.#stage !== "connecting") return;
    if (!this.#host.mayJoin(this)) {
      this.unjoin();
      return;
    }
    this.#clearTimer();
    this.#stage = "joined";
    const { clock, traffic } = this.#host;
    traffic.longestWaitMs = Math.max(traffic.longestWaitMs, clock.monotonicMs() - this.#heldSinceMs);
    this.#client.on("data", this.#onClientData);
    this.#client.on("drain", () => {
      this.#answers.taken();
      this.#server?.resume();
      this.#endIfRetired();
    });
    this.#client.resume();
    this.#host.connected(this);
  }

  /** False until the client has taken all: the buffer is free again only then. */
  #onServerBytes(length: number): boolean {
    if (this.#stage !== "joined") return false;
    const bytes = this.#answers.came(length);
    this.#lastServerByteMs = this.#host.clock.monotonicMs();
    this.#lastByteMs = this.#lastServerByteMs;
    this.#host.traffic.bytesDown += length;
    const { fromServer } = this.ledger;
    let ended = 0;
    for (let at = 0; at < length; ) {
      at = fromServer.push(bytes, at, true);
      // Frames that cannot be read, and those that only pass, are not kept.
      if (!this.#host.orphans || fromServer.broken || fromServer.atBoundary) ended = at;
    }
    const isTaken = this.#answers.pass(ended);
    this.#endIfRetired();
    if (this.#onRest !== null && this.#isBetweenOperations()) queueMicrotask(this.#onRest);
    return isTaken;
  }

  #onServerDrain(): void {
    if (this.#clientEnded) this.#endServerSide();
    else if (!this.#held.isWaiting) this.#client.resume();
  }

  #endServerSide(): void {
    const server = this.#server;
    // A socket with unsent bytes cannot be reset once its end is queued behind them.
    if (server !== null && server.writableLength === 0 && !server.writableEnded) server.end();
  }

  #serverEnded(): void {
    if (this.#stage !== "joined") return;
    const isServersDoing = this.#isServersDoing();
    if (this.#host.orphans && isServersDoing) this.#loseServer();
    else {
      this.#stage = "released";
      this.#resetServer();
      this.#client.end();
      this.#setTimer(HALF_CLOSED_AT_MOST_MS, this.#close);
      // Whatever the client still sends is dropped.
      this.#client.off("data", this.#onClientData);
      this.#client.on("data", this.#close);
      this.#client.resume();
    }
    if (isServersDoing) this.#host.serverClosed(this, "the server closed the connection");
  }

  #serverFailed(error: unknown): void {
    if (this.#stage === "connecting") {
      this.unjoin();
      this.#host.connectFailed(this, errorText(error));
      return;
    }
    if (this.#stage !== "joined") return;
    const isServersDoing = this.#isServersDoing();
    if (this.#host.orphans && isServersDoing) this.#loseServer();
    else this.#close();
    if (isServersDoing) this.#host.serverClosed(this, errorText(error));
  }

  #isServersDoing(): boolean {
    return !this.#clientEnded && !this.ledger.loggedOff;
  }

  // -- orphans -------------------------------------------------------------------------------------------------

  #loseServer(): void {
    if (this.#stage !== "joined") return;
    this.#stage = "orphaned";
    this.#host.loggedOn(this, null);
    this.#clearTimer();
    this.#retireTimer?.[Symbol.dispose]();
    // rclone asks this of a connection that it has kept; if it fails, it takes another one, and all programs wait
    // meanwhile. The daemon's question is about an earlier loss, so the answer to this one waits until that is over.
    if (this.ledger.isChangingShare || this.ledger.isLookingAtRoot) {
      this.#close();
      return;
    }
    if (this.#held.bytes.length > 0) this.#orphansQuestion = this.#held.take();
    // What it asks now is dropped; only that it asks matters.
    if (!this.#held.isWaiting) this.#client.resume();
    this.#answers.drop();
    this.#resetServer();
  }

  #onOrphansQuestion(chunk: Buffer): void {
    const question = this.#orphansQuestion === null ? chunk : Buffer.concat([this.#orphansQuestion, chunk]);
    this.#orphansQuestion = question;
    if (!isEnoughToJudge(question)) return;
    if (this.#stage === "released") {
      this.#answerOrphansQuestions();
      return;
    }
    // The daemon's own question ends the connection at once; a program's waits until none of the other connections is
    // dead.
    const isRead = commandOfFrame(question) === SMB2_COMMAND.read;
    if (!isRead && isHarmlessToLose(question) === true) this.#close();
    else this.#client.pause();
  }

  #answerOrphansQuestions(): void {
    while (
      this.#stage === "released" &&
      this.#orphansQuestion !== null &&
      isEnoughToJudge(this.#orphansQuestion)
    ) {
      const question = firstMessage(this.#orphansQuestion);
      this.#orphansQuestion =
        question === null || question.following.length === 0 ? null : question.following;
      if (question === null || !this.#answerAlone(question.header)) this.#close();
      this.#host.foundOut();
    }
  }

  /**
   * If rclone cannot close a file, it fails the program that reads elsewhere in it. Closing succeeds here for files
   * that were only read, because nothing of them can be lost. For other files, a close that succeeds would claim that
   * they are written, renamed or deleted on the server.
   */
  #mayAnswer(): boolean {
    const { onlyReads, isOpaque, fromClient } = this.ledger;
    return onlyReads && !isOpaque && fromClient.atBoundary && !this.#answers.isHalfPassed;
  }

  #answerAlone(header: Uint8Array): boolean {
    const answer = answerWithoutServer(header);
    if (answer !== null) this.#client.write(answer);
    return answer !== null;
  }

  // -- retiring, and the end -----------------------------------------------------------------------------------

  /** What is held back may be lost once the client has all answers. */
  #endIfRetired(): void {
    if (!this.retiring || !this.#held.isWaiting || this.ledger.outstanding > 0) return;
    if (!this.ledger.fromServer.atBoundary || this.#client.writableLength > 0) return;
    this.#loseServer();
    this.release();
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
    return isAnswered && !this.ledger.isOpaque && this.#held.bytes.length === 0 && this.#isBetweenFrames();
  }

  readonly #close = (): void => {
    if (this.#stage === "closed") return;
    this.#stage = "closed";
    this.#clearTimer();
    this.#retireTimer?.[Symbol.dispose]();
    this.#resetServer();
    resetSocket(this.#client);
    this.#held.take();
    this.#answers.drop();
    this.#host.closed(this);
  };

  #resetServer(): void {
    const ending = this.#server;
    this.#server = null;
    if (ending !== null) resetServerSide(ending);
  }

  #setTimer(delayMs: number, callback: () => void): void {
    this.#clearTimer();
    this.#timer = this.#host.clock.setTimer(delayMs, callback);
  }

  #clearTimer(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }
}
