// One connection of a mount: held until a route is there, then joined to the server, and reset when it is abandoned.
import type { Socket } from "node:net";
import { errorText } from "../../runtime/errors.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { RouteEndpoint } from "../carrier.ts";
import { createRequestLedger, type RequestLedger } from "../smb/request-ledger.ts";
import { connectOptions } from "../smb/server-proof.ts";
import {
  answerWithoutServer,
  commandOfFrame,
  firstMessage,
  isEnoughToJudge,
  isHarmlessToLose,
  isOnlyBegun,
  SMB2_COMMAND,
} from "../smb/smb-frames.ts";
import { type AnswerStores, createWholeAnswers } from "../smb/whole-answers.ts";
import { KEEP_ALIVE_AFTER_MS, openServerSide, resetClient, resetServerSide } from "./connection-sockets.ts";

const CONNECT_WITHIN_MS = 2_000;
/** How long one side may stay open after the other has closed. */
const HALF_CLOSED_AT_MOST_MS = 10_000;
/** A connection that retires and has no answer for so long is cut off: its route is gone. */
const RETIRING_SILENCE_MS = 2_000;
const NOTHING = Buffer.alloc(0);
/** Without a byte for this long, nobody is in the middle of something. */
const SILENCE_MS = 20;

/** Of one share, over all its connections. */
export interface Traffic {
  readonly stores: AnswerStores;
  bytesUp: number;
  bytesDown: number;
  longestWaitMs: number;
}

interface ConnectionEvents {
  /** Held again: the route did not take it. */
  connectFailed(connection: CarriedConnection, text: string): void;
  connected(connection: CarriedConnection): void;
  /** The server ended it, and not because the client had. */
  serverClosed(connection: CarriedConnection, text: string): void;
  asked(): void;
  answered(connection: CarriedConnection, nowMs: number, waitedMs: number): void;
  /** The client of a released one has found out that its server is gone. */
  foundOut(): void;
  /** Both sides are gone. */
  closed(connection: CarriedConnection): void;
}

/** `orphaned`: the server's side is gone, and the client does not know it yet. `released`: it is about to find out. */
type ConnectionStage = "held" | "connecting" | "joined" | "orphaned" | "released" | "closed";

export interface CarriedConnection {
  readonly stage: ConnectionStage;
  readonly heldSinceMs: number;
  readonly ledger: RequestLedger;
  /** When the server last sent a byte, monotonic ms; null: never. */
  readonly lastServerByteMs: number | null;
  /** Only when held. */
  join(endpoint: RouteEndpoint): void;
  /** Gives up a connect that is under way: held again. Nothing of the client has been read. */
  unjoin(): void;
  /**
   * From now on new frames of the client are held back where losing them costs least: reads and writes, or, with `all`,
   * any. Ends with the connection only. `onRest`: an operation has just ended, and the client has asked nothing more;
   * one that works without a pause asks again within a millisecond.
   */
  holdBack(all: boolean, onRest: () => void): void;
  /**
   * It stays where it is and ends where rclone does not notice: before a read, or before the check that follows each of
   * its operations. Cannot be told of one that is encrypted.
   */
  retire(): void;
  /** Until then reads go on where it is: they would be asked again of another that retires. */
  retireAtReads(): void;
  /** Its route is in use again. */
  unretire(): void;
  readonly retiring: boolean;
  /** No request is at the server, no frame is half sent, and the client is not in the middle of something. */
  isQuiet(nowMs: number): boolean;
  /** A frame is held back whose loss its sender may notice. */
  readonly holdsBackMore: boolean;
  /** Resets the server's side, dropping what it has not sent. Resolves once that is gone; the client hears nothing. */
  orphan(): Promise<void>;
  /** Ends an orphan where its client notices least: its reads fail, files that it has read close, and all else resets it. */
  release(): void;
  /** Resets both sides. Resolves once the server's is gone. */
  reset(): Promise<void>;
}

/**
 * `client` is paused, and nothing of it has been read. `orphans`: when the server ends it, the client is not told; whoever
 * made the connection resets it later.
 */
export function createConnection(
  client: Socket,
  clock: Clock,
  traffic: Traffic,
  orphans: boolean,
  events: ConnectionEvents,
): CarriedConnection {
  const ledger = createRequestLedger(clock.monotonicMs, {
    asked: events.asked,
    answered: (nowMs, waitedMs) => events.answered(connection, nowMs, waitedMs),
  });
  const answers = createWholeAnswers(client, traffic.stores);
  let stage: ConnectionStage = "held";
  let heldSinceMs = clock.monotonicMs();
  let server: Socket | null = null;
  let serverGone: Promise<void> = Promise.resolve();
  let timer: Timer | null = null;
  let clientEnded = false;
  let lastServerByteMs: number | null = null;
  let lastByteMs = heldSinceMs;
  let holding: "nothing" | "some" | "all" | "retire" = "nothing";
  let retireTimer: Timer | null = null;
  let readsEnd = false;
  let heldBack: Buffer = NOTHING;
  let isHeldBack = false;
  let holdsBackMore = false;
  /** What the client has asked since its server is gone. */
  let orphansQuestion: Buffer | null = null;
  let onRest: (() => void) | null = null;

  const setTimer = (delayMs: number, callback: () => void): void => {
    timer?.[Symbol.dispose]();
    timer = clock.setTimer(delayMs, callback);
  };
  const clearTimer = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
  };

  const close = (): void => {
    if (stage === "closed") return;
    stage = "closed";
    clearTimer();
    retireTimer?.[Symbol.dispose]();
    resetServer();
    resetClient(client);
    heldBack = NOTHING;
    answers.drop();
    events.closed(connection);
  };
  const resetServer = (): void => {
    const ending = server;
    server = null;
    if (ending !== null) resetServerSide(ending);
  };

  const send = (bytes: Buffer): void => {
    if (server === null || bytes.length === 0) return;
    traffic.bytesUp += bytes.length;
    server.write(bytes);
    // Not all of it was taken at once: the next read waits for the rest.
    if (server.writableLength > 0) client.pause();
  };
  const onClientData = (chunk: Buffer): void => {
    if (stage === "orphaned" || stage === "released") {
      onOrphansQuestion(chunk);
      return;
    }
    lastByteMs = clock.monotonicMs();
    heldBack = heldBack.length === 0 ? chunk : Buffer.concat([heldBack, chunk]);
    if (holding === "nothing") sendAll();
    else sendWhatMayPass();
  };
  /** rclone sends a frame's length by itself: were only that gone when the server is lost, the rest could not be understood. */
  const sendAll = (): void => {
    const { atBoundary, broken } = ledger.fromClient;
    if (orphans && atBoundary && !broken && isOnlyBegun(heldBack)) return;
    const bytes = heldBack;
    heldBack = NOTHING;
    ledger.fromClient.push(bytes, 0, false);
    send(bytes);
  };
  const onOrphansQuestion = (chunk: Buffer): void => {
    orphansQuestion = orphansQuestion === null ? chunk : Buffer.concat([orphansQuestion, chunk]);
    if (!isEnoughToJudge(orphansQuestion)) return;
    if (stage === "released") {
      answerOrphansQuestions();
      return;
    }
    // The daemon's own question ends it at once; a program's waits until none of the others is dead.
    const isRead = commandOfFrame(orphansQuestion) === SMB2_COMMAND.read;
    if (!isRead && isHarmlessToLose(orphansQuestion) === true) close();
    else client.pause();
  };
  const answerOrphansQuestions = (): void => {
    while (stage === "released" && orphansQuestion !== null && isEnoughToJudge(orphansQuestion)) {
      const question = firstMessage(orphansQuestion);
      orphansQuestion = question === null || question.following.length === 0 ? null : question.following;
      if (question === null || !answerAlone(question.header)) close();
      events.foundOut();
    }
  };
  /**
   * rclone fails a program that goes elsewhere in a file when it cannot close that: so it can, for nothing of a file that
   * was only read is lost. Of another, a close that succeeds would say that it is written, renamed or deleted on the server.
   */
  const mayAnswer = (): boolean =>
    ledger.onlyReads && !ledger.isOpaque && ledger.fromClient.atBoundary && !answers.isHalfPassed;
  const answerAlone = (header: Uint8Array): boolean => {
    const answer = answerWithoutServer(header);
    if (answer !== null) client.write(answer);
    return answer !== null;
  };
  const release = (): void => {
    if (stage !== "orphaned") return;
    const waiting = ledger.readsAndCloses;
    if (waiting === null || !mayAnswer()) {
      close();
      return;
    }
    stage = "released";
    for (const header of waiting) answerAlone(header);
    answerOrphansQuestions();
    client.resume();
  };
  const sendWhatMayPass = (): void => {
    const { fromClient } = ledger;
    while (heldBack.length > 0) {
      if (holding === "retire" && fromClient.atBoundary && !fromClient.broken) {
        const isHarmless = isHarmlessToLose(heldBack);
        if (isHarmless === undefined) return;
        if (isHarmless && (readsEnd || commandOfFrame(heldBack) !== SMB2_COMMAND.read)) {
          isHeldBack = true;
          client.pause();
          retireIfQuiet();
          return;
        }
      } else if (holding !== "nothing" && fromClient.atBoundary && !fromClient.broken) {
        const command = commandOfFrame(heldBack);
        if (command === undefined) return;
        const isCheap = command === SMB2_COMMAND.read || command === SMB2_COMMAND.write;
        if (holding === "all" || isCheap) {
          isHeldBack = true;
          holdsBackMore = !isCheap;
          client.pause();
          return;
        }
      }
      const passed = fromClient.push(heldBack, 0, true);
      send(heldBack.subarray(0, passed));
      heldBack = heldBack.subarray(passed);
    }
  };
  /** What is held back may be lost once the client has all answers. */
  const retireIfQuiet = (): void => {
    if (holding !== "retire" || !isHeldBack || ledger.outstanding > 0) return;
    if (!ledger.fromServer.atBoundary || client.writableLength > 0) return;
    orphan();
    release();
  };
  const watchRetiring = (): void => {
    retireTimer = clock.setTimer(RETIRING_SILENCE_MS, () => {
      const { oldestMs } = ledger;
      if (oldestMs !== null && clock.monotonicMs() - oldestMs >= RETIRING_SILENCE_MS) close();
      else watchRetiring();
    });
  };
  const endServerSide = (): void => {
    // A socket that still has to send cannot be reset once its end is queued behind that.
    if (server !== null && server.writableLength === 0 && !server.writableEnded) server.end();
  };
  const onServerDrain = (): void => {
    if (clientEnded) endServerSide();
    else if (!isHeldBack) client.resume();
  };
  const onClientEnd = (): void => {
    clientEnded = true;
    if (stage !== "joined") {
      close();
      return;
    }
    if (holding === "nothing") {
      send(heldBack);
      heldBack = NOTHING;
    }
    endServerSide();
    setTimer(HALF_CLOSED_AT_MOST_MS, close);
  };

  const onServerBytes = (length: number): boolean => {
    if (stage !== "joined") return false;
    const bytes = answers.came(length);
    lastServerByteMs = clock.monotonicMs();
    lastByteMs = lastServerByteMs;
    traffic.bytesDown += length;
    const { fromServer } = ledger;
    let ended = 0;
    for (let at = 0; at < length; ) {
      at = fromServer.push(bytes, at, true);
      // What cannot be read, and what only passes, is not kept.
      if (!orphans || fromServer.broken || fromServer.atBoundary) ended = at;
    }
    const isTaken = answers.pass(ended);
    retireIfQuiet();
    if (onRest !== null && isBetweenOperations()) queueMicrotask(onRest);
    return isTaken;
  };
  const isBetweenOperations = (): boolean =>
    ledger.endedOperation &&
    !ledger.isOpaque &&
    heldBack.length === 0 &&
    client.writableLength === 0 &&
    ledger.fromClient.atBoundary &&
    ledger.fromServer.atBoundary;
  const orphan = (): void => {
    if (stage !== "joined") return;
    stage = "orphaned";
    clearTimer();
    retireTimer?.[Symbol.dispose]();
    // rclone asks that of one that it has kept, takes another when it fails, and keeps everybody waiting meanwhile.
    if (ledger.isChangingShare) {
      close();
      return;
    }
    if (heldBack.length > 0) orphansQuestion = heldBack;
    // What it asks now has nowhere to go; that it asks is worth knowing.
    if (!isHeldBack) client.resume();
    heldBack = NOTHING;
    answers.drop();
    resetServer();
  };
  const serverEnded = (text: string): void => {
    if (stage !== "joined") return;
    const isServersDoing = !clientEnded && !ledger.loggedOff;
    if (orphans && isServersDoing) {
      orphan();
      events.serverClosed(connection, text);
      return;
    }
    stage = "released";
    resetServer();
    client.end();
    setTimer(HALF_CLOSED_AT_MOST_MS, close);
    // Whatever the client still sends has nowhere to go.
    client.off("data", onClientData);
    client.on("data", close);
    client.resume();
    if (isServersDoing) events.serverClosed(connection, text);
  };
  const serverFailed = (error: unknown): void => {
    if (stage === "connecting") {
      unjoin();
      events.connectFailed(connection, errorText(error));
      return;
    }
    if (stage !== "joined") return;
    const isServersDoing = !clientEnded && !ledger.loggedOff;
    if (orphans && isServersDoing) orphan();
    else close();
    if (isServersDoing) events.serverClosed(connection, errorText(error));
  };

  const onConnect = (): void => {
    if (stage !== "connecting") return;
    clearTimer();
    stage = "joined";
    traffic.longestWaitMs = Math.max(traffic.longestWaitMs, clock.monotonicMs() - heldSinceMs);
    client.on("data", onClientData);
    client.on("drain", () => {
      server?.resume();
      retireIfQuiet();
    });
    client.resume();
    events.connected(connection);
  };
  const unjoin = (): void => {
    if (stage !== "connecting") return;
    clearTimer();
    stage = "held";
    const ending = server;
    server = null;
    // Nothing was written to it: there is nothing to drop.
    ending?.destroy();
  };

  const connection: CarriedConnection = {
    get stage() {
      return stage;
    },
    get heldSinceMs() {
      return heldSinceMs;
    },
    ledger,
    get lastServerByteMs() {
      return lastServerByteMs;
    },
    get holdsBackMore() {
      return holdsBackMore;
    },
    join(endpoint) {
      if (stage !== "held") return;
      stage = "connecting";
      const socket = openServerSide(answers.window, onServerBytes);
      server = socket;
      const gone = Promise.withResolvers<void>();
      serverGone = gone.promise;
      socket.once("close", () => {
        gone.resolve();
        if (server === socket) serverFailed(new Error("the server's side is closed"));
      });
      socket.on("error", (error) => {
        if (server === socket) serverFailed(error);
      });
      socket.once("connect", () => {
        if (server === socket) onConnect();
      });
      socket.on("end", () => {
        if (server === socket) serverEnded("the server closed the connection");
      });
      socket.on("drain", onServerDrain);
      setTimer(CONNECT_WITHIN_MS, () => {
        if (server === socket) serverFailed(new Error(`no answer within ${CONNECT_WITHIN_MS} ms`));
      });
      try {
        socket.connect(connectOptions(endpoint));
      } catch (error) {
        serverFailed(error);
      }
    },
    unjoin() {
      unjoin();
      heldSinceMs = Math.min(heldSinceMs, clock.monotonicMs());
    },
    holdBack(all, callback) {
      onRest = callback;
      holding = all ? "all" : "some";
      if (isHeldBack || stage !== "joined") return;
      sendWhatMayPass();
    },
    get retiring() {
      return holding === "retire";
    },
    retire() {
      if (stage !== "joined" || holding !== "nothing") return;
      holding = "retire";
      watchRetiring();
    },
    retireAtReads() {
      readsEnd = true;
    },
    unretire() {
      if (stage !== "joined" || holding !== "retire") return;
      retireTimer?.[Symbol.dispose]();
      holding = "nothing";
      readsEnd = false;
      isHeldBack = false;
      sendWhatMayPass();
      client.resume();
    },
    isQuiet(nowMs) {
      if (stage !== "joined" || server === null) return true;
      if (client.writableLength > 0 || server.writableLength > 0) return false;
      const isSilent = nowMs - lastByteMs >= SILENCE_MS;
      if (ledger.isOpaque) return isSilent;
      if (ledger.outstanding > 0) return false;
      if (!ledger.fromClient.atBoundary || !ledger.fromServer.atBoundary) return false;
      return isHeldBack || (isSilent && heldBack.length === 0);
    },
    orphan() {
      orphan();
      return serverGone;
    },
    release,
    reset() {
      close();
      return serverGone;
    },
  };
  client.setNoDelay(true);
  client.setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
  client.on("end", onClientEnd);
  client.on("error", close);
  client.on("close", close);
  return connection;
}
