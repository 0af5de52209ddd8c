// The connections to one HTTP server: opened as they are needed, kept for the next call, a bounded number at once. One
// call at a time goes over each, as one write.
import type { Socket } from "node:net";
import { systemErrorCode } from "../../../../runtime/errors.ts";
import type { Clock, Timer } from "../../../../runtime/time/clock.ts";
import { type ResponseHead, type ResponseParts, ResponseReader } from "./response-reader.ts";

export const CONNECT_TIMEOUT_MS = 5_000;
/** Calls and streams of one backend at once; more wait for a connection. */
const CONNECTIONS = 256;
/** Many servers end an idle connection after 5 s, some without saying so: a request must not meet that end. */
const IDLE_MS = 4_000;
/** What a server says of how long it keeps a connection is true where it is, and later here. */
const ON_THE_WAY_MS = 1_000;
/** Of a stream on which nothing is said: a peer that is gone is found, and Node's own 1 s would wake both ends for it. */
const PROBE_MS = 30_000;

/** How a connection ended before the response began. */
export interface Lost {
  /** Null: the server ended it. */
  readonly error: Error | null;
  readonly how: /** It was never there. */
    | "not connected"
    /** Nobody took it within `CONNECT_TIMEOUT_MS`. */
    | "not taken"
    /** Somebody took it, and TLS came to nothing in that time. */
    | "not secured"
    /** The server answered something that is no HTTP. */
    | "not http"
    | "closed";
  /** A kept connection, which the server ended as we wrote: it may not have seen the request. */
  readonly isStale: boolean;
}

/** What becomes of a request. Nothing is called back synchronously. */
export interface CallEvents {
  /** The system has all of it. */
  onTaken?(): void;
  onResponse(response: Response): void;
  /** No response has begun, and none will. */
  onLost(lost: Lost): void;
}

export interface BodyReader {
  onData(piece: Buffer): void;
  /** Once. */
  onEnd(end: "complete" | "broken"): void;
}

export interface Response extends Pick<ResponseHead, "status" | "headers"> {
  /** From now on; without a reader the body is dropped. */
  read(reader: BodyReader): void;
  pause(): void;
  resume(): void;
  /** Ends its connection; the body is broken then. */
  destroy(): void;
}

/** A request that is under way, or waits for its connection. */
export interface Asked {
  /** Ends its connection, or takes it back. */
  destroy(): void;
}

type ConnectedEvent = "connect" | "secureConnect";

export class Connections {
  readonly #open: () => Socket;
  readonly #connectedEvent: ConnectedEvent;
  readonly #clock: Clock;
  readonly #all = new Set<Connection>();
  /** The one that was used last is the last. */
  readonly #idle: Connection[] = [];
  readonly #waiting = new Set<Call>();
  #idleTimer: Timer | null = null;

  /** `open` begins one; `connectedEvent`: from when on requests can go over it. */
  constructor(open: () => Socket, connectedEvent: ConnectedEvent, clock: Clock) {
    this.#open = open;
    this.#connectedEvent = connectedEvent;
    this.#clock = clock;
  }

  /** `text`: the whole request. */
  ask(text: string, events: CallEvents): Asked {
    const call = new Call(text, events, this.#waiting);
    const nowMs = this.#clock.monotonicMs();
    let kept = this.#idle.pop();
    // The timer is that of the first, which may be kept for longer.
    for (; kept !== undefined && kept.idleUntilMs <= nowMs; kept = this.#idle.pop()) kept.destroy();
    if (kept !== undefined) kept.begin(call);
    else if (this.#all.size < CONNECTIONS) this.#connect(call);
    else this.#waiting.add(call);
    return call;
  }

  /** Ends all of them. */
  destroy(): void {
    this.#idleTimer?.[Symbol.dispose]();
    this.#waiting.clear();
    for (const connection of [...this.#all]) connection.destroy();
  }

  #connect(call: Call): void {
    const connection = new Connection(this.#open(), this.#connectedEvent, this.#clock, {
      onFree: (keptMs) => this.#onFree(connection, keptMs),
      onClosed: () => this.#onClosed(connection),
    });
    this.#all.add(connection);
    connection.begin(call);
  }

  #onFree(connection: Connection, keptMs: number): void {
    const [next] = this.#waiting;
    if (next !== undefined) {
      this.#waiting.delete(next);
      connection.begin(next);
      return;
    }
    connection.idleUntilMs = this.#clock.monotonicMs() + keptMs;
    this.#idle.push(connection);
    this.#idleTimer ??= this.#clock.setTimer(keptMs, () => this.#endIdle());
  }

  #onClosed(connection: Connection): void {
    this.#all.delete(connection);
    const index = this.#idle.indexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    this.#connect(next);
  }

  #endIdle(): void {
    this.#idleTimer = null;
    const nowMs = this.#clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const connection of [...this.#idle]) {
      if (connection.idleUntilMs <= nowMs) connection.destroy();
      else nextMs = Math.min(nextMs, connection.idleUntilMs);
    }
    if (nextMs < Number.POSITIVE_INFINITY)
      this.#idleTimer = this.#clock.setTimer(nextMs - nowMs, () => this.#endIdle());
  }
}

interface ConnectionEvents {
  /** Its answer has come whole; it may be kept for so long. */
  onFree(keptMs: number): void;
  /** Once, and at once. */
  onClosed(): void;
}

class Connection implements ResponseParts {
  idleUntilMs = 0;
  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  readonly #reader = new ResponseReader(this);
  #call: Call | null = null;
  #calls = 0;
  #error: Error | null = null;
  #isTaken = false;
  #isConnected = false;
  #isLate = false;
  #isHttp = true;
  #isWritten = false;
  #isAnswered = false;
  #isPaused = false;
  #isGone = false;
  #keptMs = 0;

  constructor(socket: Socket, connectedEvent: ConnectedEvent, clock: Clock, events: ConnectionEvents) {
    this.#socket = socket;
    this.#events = events;
    const timer = clock.setTimer(CONNECT_TIMEOUT_MS, () => {
      this.#isLate = true;
      this.destroy();
    });
    socket.once("connect", () => {
      this.#isTaken = true;
      socket.setNoDelay(true).setKeepAlive(true, PROBE_MS);
    });
    socket.once(connectedEvent, () => {
      this.#isConnected = true;
      timer[Symbol.dispose]();
    });
    socket.on("data", (bytes: Buffer) => this.#go(this.#reader.push(bytes)));
    socket.once("end", () => this.#ended());
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.once("close", () => {
      timer[Symbol.dispose]();
      this.#ended();
      if (this.#isGone) this.#lose();
    });
  }

  begin(call: Call): void {
    call.connection = this;
    this.#call = call;
    this.#calls += 1;
    this.#isWritten = false;
    this.#reader.expect();
    this.#socket.write(call.text, this.#onWritten);
  }

  /** The call of now hears of it when the connection has closed. */
  destroy(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#events.onClosed();
    this.#socket.destroy();
    if (this.#socket.closed) this.#lose();
  }

  pause(): void {
    this.#isPaused = true;
    this.#reader.hold();
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#go(this.#reader.release());
    if (this.#isPaused) return;
    if (this.#socket.readableEnded || this.#socket.closed) this.#ended();
    else this.#socket.resume();
  }

  onHead(head: ResponseHead): void {
    if (this.#isGone) return;
    this.#keptMs = head.isKept ? keptMs(head) : 0;
    this.#call?.begin(head);
  }

  onData(piece: Buffer): void {
    if (!this.#isGone) this.#call?.reader?.onData(piece);
  }

  onEnd(): void {
    if (this.#isGone) return;
    const call = this.#call;
    this.#call = null;
    this.#isAnswered = true;
    call?.end("complete");
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#reader.release();
    this.#socket.resume();
  }

  readonly #onWritten = (error?: Error | null): void => {
    if (error != null) return;
    this.#isWritten = true;
    this.#call?.events.onTaken?.();
  };

  #go(isHttp: boolean): void {
    if (isHttp) this.#freeWhenDone();
    else {
      this.#isHttp = false;
      this.destroy();
    }
  }

  /** After all that was read: what comes beyond the answer would be taken for that of the next call. */
  #freeWhenDone(): void {
    if (!this.#isAnswered || this.#isGone) return;
    this.#isAnswered = false;
    // A server that has answered may never read the rest of the request.
    if (this.#keptMs > 0 && this.#isWritten) this.#events.onFree(this.#keptMs);
    else this.destroy();
  }

  /** What came before the end, and is held, is handed over first. */
  #ended(): void {
    this.#keptMs = 0;
    if (this.#isPaused) return;
    if (this.#socket.readableEnded) this.#reader.finish();
    this.destroy();
  }

  #lose(): void {
    this.#call?.lose(this.#lost());
    this.#call = null;
  }

  #lost(): Lost {
    const error = this.#error;
    const code = systemErrorCode(error);
    const isEnded = error === null || code === "ECONNRESET" || code === "EPIPE";
    const how = this.#how();
    return { error, how, isStale: how === "closed" && this.#calls > 1 && isEnded };
  }

  #how(): Lost["how"] {
    if (this.#isLate) return this.#isTaken ? "not secured" : "not taken";
    if (!this.#isConnected) return "not connected";
    return this.#isHttp ? "closed" : "not http";
  }
}

function keptMs({ headers }: ResponseHead): number {
  const [, seconds] = /\btimeout=(\d{1,9})/i.exec(headers.get("keep-alive") ?? "") ?? [];
  return seconds === undefined ? IDLE_MS : Math.min(IDLE_MS, Number(seconds) * 1_000 - ON_THE_WAY_MS);
}

/** One request, and its response from when that has begun. */
class Call implements Asked, Response {
  readonly text: string;
  readonly events: CallEvents;
  readonly #waiting: Set<Call>;
  /** Null: it waits for one, or is over. */
  connection: Connection | null = null;
  reader: BodyReader | null = null;
  status = 0;
  headers: ReadonlyMap<string, string> = NO_HEADERS;

  constructor(text: string, events: CallEvents, waiting: Set<Call>) {
    this.text = text;
    this.events = events;
    this.#waiting = waiting;
  }

  read(reader: BodyReader): void {
    this.reader = reader;
  }

  pause(): void {
    this.connection?.pause();
  }

  resume(): void {
    this.connection?.resume();
  }

  destroy(): void {
    if (this.connection === null) this.#waiting.delete(this);
    else this.connection.destroy();
  }

  begin({ status, headers }: ResponseHead): void {
    this.status = status;
    this.headers = headers;
    this.events.onResponse(this);
  }

  end(how: "complete" | "broken"): void {
    this.connection = null;
    this.reader?.onEnd(how);
  }

  lose(lost: Lost): void {
    if (this.status > 0) this.end("broken");
    else {
      this.connection = null;
      this.events.onLost(lost);
    }
  }
}

const NO_HEADERS: ReadonlyMap<string, string> = new Map();
