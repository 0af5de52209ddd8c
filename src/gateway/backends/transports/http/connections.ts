// The connections to one HTTP server: opened on demand, reused, bounded in number. Each carries one call at a time,
// written at once.
import type { Socket } from "node:net";
import { systemErrorCode } from "../../../../runtime/errors.ts";
import type { Clock, Timer } from "../../../../runtime/time/clock.ts";
import type { Dial, NotConnected } from "./dial.ts";
import { type ResponseHead, type ResponseParts, ResponseReader } from "./response-reader.ts";

/** Limit of concurrent calls and streams of one backend; more wait for a connection. */
const CONNECTIONS = 256;
/** Many servers end an idle connection after 5 s without announcing it; a request must not be sent at that moment. */
const IDLE_MS = 4_000;
/** Subtracted from the keep-alive time of the server, because its close takes time to arrive. */
const LATENCY_MS = 1_000;

/** How a connection ended before the response began. */
export type Lost =
  | (NotConnected & { readonly isStale: false })
  | {
      readonly how: /** The server answered something that is not HTTP. */ "not http" | "closed";
      /** The server ended a reused connection while we wrote: it may not have seen the request. */
      readonly isStale: boolean;
    };

/** The outcome of a request. Nothing is called back synchronously. */
export interface CallEvents {
  /** The whole request has been handed to the operating system. */
  onTaken?(): void;
  onResponse(response: Response): void;
  /** Called when no response has begun and none will. */
  onLost(lost: Lost): void;
}

export interface BodyReader {
  onData(piece: Buffer): void;
  /** Called once. */
  onEnd(end: "complete" | "broken"): void;
}

export interface Response extends Pick<ResponseHead, "status" | "headers"> {
  /** Delivers the body from now on; without a reader the body is dropped. */
  read(reader: BodyReader): void;
  pause(): void;
  resume(): void;
  /** Ends the connection; the reader gets a broken body. */
  destroy(): void;
}

/** A request that is in flight, or waits for a connection. */
export interface OutgoingRequest {
  /** Ends the request's connection, or stops the wait for a connection. */
  destroy(): void;
}

export class Connections {
  readonly #dial: Dial;
  readonly #mayKeep: boolean;
  readonly #clock: Clock;
  readonly #all = new Set<Connection>();
  /** The most recently used connection is the last. */
  readonly #idle: Connection[] = [];
  readonly #waiting = new Set<Call>();
  #idleTimer: Timer | null = null;

  /** `mayKeep`: a connection can carry more than one request. */
  constructor(dial: Dial, mayKeep: boolean, clock: Clock) {
    this.#dial = dial;
    this.#mayKeep = mayKeep;
    this.#clock = clock;
  }

  /** `text`: the whole request. */
  send(text: string, events: CallEvents): OutgoingRequest {
    const call = new Call(text, events, this.#waiting);
    const nowMs = this.#clock.monotonicMs();
    let idle = this.#idle.pop();
    // The timer runs for the oldest idle connection, but a newer one may expire earlier.
    for (; idle !== undefined && idle.idleUntilMs <= nowMs; idle = this.#idle.pop()) idle.destroy();
    if (idle !== undefined) idle.begin(call);
    else if (this.#all.size < CONNECTIONS) this.#connect(call);
    else this.#waiting.add(call);
    return call;
  }

  destroy(): void {
    this.#idleTimer?.[Symbol.dispose]();
    this.#waiting.clear();
    for (const connection of [...this.#all]) connection.destroy();
  }

  #connect(call: Call): void {
    const connection = new Connection(this, this.#dial, this.#mayKeep);
    this.#all.add(connection);
    connection.begin(call);
  }

  /** The response has been received; the connection can be kept for this long. */
  onFree(connection: Connection, idleMs: number): void {
    const [next] = this.#waiting;
    if (next !== undefined) {
      this.#waiting.delete(next);
      connection.begin(next);
      return;
    }
    connection.idleUntilMs = this.#clock.monotonicMs() + idleMs;
    this.#idle.push(connection);
    this.#idleTimer ??= this.#clock.setTimer(idleMs, () => this.#endIdle());
  }

  onClosed(connection: Connection): void {
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

class Connection implements ResponseParts {
  idleUntilMs = 0;
  readonly #mayKeep: boolean;
  readonly #dialling = new AbortController();
  #socket: Socket | null = null;
  readonly #owner: Connections;
  readonly #reader = new ResponseReader(this);
  #call: Call | null = null;
  #calls = 0;
  #error: Error | null = null;
  #isHttp = true;
  #isWritten = false;
  #isAnswered = false;
  #isPaused = false;
  #isGone = false;
  #idleMs = 0;

  constructor(owner: Connections, dial: Dial, mayKeep: boolean) {
    this.#owner = owner;
    this.#mayKeep = mayKeep;
    void dial(this.#dialling.signal).then((outcome) => {
      if ("how" in outcome) this.#failed(outcome);
      else this.#opened(outcome);
    });
  }

  begin(call: Call): void {
    call.connection = this;
    this.#call = call;
    this.#calls += 1;
    this.#isWritten = false;
    this.#reader.expect();
    this.#socket?.write(call.text, this.#onWritten);
  }

  /** The loss of the current call is reported once the socket has closed. */
  destroy(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#owner.onClosed(this);
    this.#dialling.abort();
    this.#socket?.destroy();
    if (this.#socket?.closed === true) this.#lose();
  }

  pause(): void {
    this.#isPaused = true;
    this.#reader.pause();
    this.#socket?.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#go(this.#reader.release());
    if (this.#isPaused) return;
    if (this.#socket?.readableEnded === true || this.#socket?.closed === true) this.#ended();
    else this.#socket?.resume();
  }

  onHead(head: ResponseHead): void {
    if (this.#isGone) return;
    this.#idleMs = this.#mayKeep && head.isReusable ? idleMs(head) : 0;
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
    this.#socket?.resume();
  }

  #opened(socket: Socket): void {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => this.#go(this.#reader.push(bytes)));
    socket.once("end", () => this.#ended());
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.once("close", () => {
      this.#ended();
      if (this.#isGone) this.#lose();
    });
    if (this.#isGone) socket.destroy();
    else if (this.#call !== null) socket.write(this.#call.text, this.#onWritten);
  }

  #failed(failure: NotConnected): void {
    this.destroy();
    this.#call?.lose({ ...failure, isStale: false });
    this.#call = null;
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

  /** Called when all received bytes are parsed: bytes beyond a response make the connection unusable. */
  #freeWhenDone(): void {
    if (!this.#isAnswered || this.#isGone) return;
    this.#isAnswered = false;
    // A server that has answered early may never read the rest of the request.
    if (this.#idleMs > 0 && this.#isWritten) this.#owner.onFree(this, this.#idleMs);
    else this.destroy();
  }

  /** While paused, the connection's end is reported only after `resume` has delivered all received bytes. */
  #ended(): void {
    this.#idleMs = 0;
    if (this.#isPaused) return;
    if (this.#socket?.readableEnded === true) this.#reader.finish();
    this.destroy();
  }

  #lose(): void {
    const code = systemErrorCode(this.#error);
    const isEnded = this.#error === null || code === "ECONNRESET" || code === "EPIPE";
    const how = this.#isHttp ? "closed" : "not http";
    this.#call?.lose({ how, isStale: this.#isHttp && this.#calls > 1 && isEnded });
    this.#call = null;
  }
}

function idleMs({ headers }: ResponseHead): number {
  const [, seconds] = /\btimeout=(\d{1,9})/i.exec(headers.get("keep-alive") ?? "") ?? [];
  return seconds === undefined ? IDLE_MS : Math.min(IDLE_MS, Number(seconds) * 1_000 - LATENCY_MS);
}

class Call implements OutgoingRequest, Response {
  readonly text: string;
  readonly events: CallEvents;
  readonly #waiting: Set<Call>;
  /** Null: the call waits for a connection, or is over. */
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
