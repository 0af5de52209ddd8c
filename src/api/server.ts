// Owns the serving of the management API over the home's socket: limits, time-outs, and errors that are always JSON.
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { type Clock, isoTime, type Timer } from "../runtime/clock.ts";
import { createDisposalStack } from "../runtime/disposal.ts";
import { errorText, MountaineerError, systemErrorCode } from "../runtime/errors.ts";
import type { Logger } from "../runtime/log.ts";
import {
  MANAGE_PREFIX,
  OPERATIONS,
  type OperationName,
  type StepReport,
  type StepResult,
  type VerifyReport,
} from "./contract.ts";
import type { DaemonControl } from "./control.ts";
import { removeDaemonNote, writeDaemonNote } from "./daemon-note.ts";
import { errorBody, httpStatusOf } from "./http-errors.ts";
import { listenPrivately } from "./private-socket.ts";
import { readRequestBody } from "./request-body.ts";

const BODY_LIMIT_BYTES = 64 * 1024;
// A body over the limit is read and thrown away this far, so that the sender gets to read why.
const DISCARD_LIMIT_BYTES = 8 * 1024 * 1024;
/** From connecting until the request has come whole. */
const RECEIVE_DEADLINE_MS = 10_000;
/** From answering until the answer is read. */
const DRAIN_DEADLINE_MS = 10_000;
/** How often a request under way is told so; a client takes silence for a hung daemon. */
export const SIGN_OF_LIFE_MS = 2_000;
const CONNECTION_LIMIT = 128;
const CHANGE_LIMIT = 32;
const STOP_DEADLINE_MS = 1_000;

export interface ManagementServerOptions {
  readonly home: string;
  readonly control: DaemonControl;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly version: string;
}

export interface ManagementServer extends AsyncDisposable {
  readonly socketPath: string;
}

/**
 * Serves `control` over the home's socket, whose path it notes in `<home>/daemon.json`. The home's lock must be
 * held. Disposing removes both, aborts the requests under way, and cuts what is left after a second. Rejects with
 * `path_taken` and `home_unwritable`.
 */
export async function startManagementServer(options: ManagementServerOptions): Promise<ManagementServer> {
  const { home, clock, logger, version } = options;
  const stack = createDisposalStack((error) => {
    logger.warn("management server did not end cleanly", { error: errorText(error) });
  });
  const exchange = startExchange(options);
  stack.defer(() => exchange.stop());
  try {
    const socket = stack.use(await listenPrivately(exchange.server, home));
    stack.defer(() => removeDaemonNote(home, process.pid));
    try {
      const started_at = isoTime(clock.wallMs());
      await writeDaemonNote(home, { pid: process.pid, socket: socket.path, version, started_at });
    } catch (error) {
      // A full disk must not keep the daemon from serving; at the usual path it is found without the note.
      logger.warn("daemon.json could not be written", { error: errorText(error) });
    }
    return { socketPath: socket.path, [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose]() };
  } catch (error) {
    await stack[Symbol.asyncDispose]();
    throw error;
  }
}

interface Exchange {
  readonly server: Server;
  stop(): Promise<void>;
}

/** One connection, which carries one request. */
interface Visit {
  response: ServerResponse | null;
  timer: Timer;
}

function startExchange({ control, clock, logger }: ManagementServerOptions): Exchange {
  // Not imported: the module's ESM face evaluates lazy exports, and those load 16 MB of fetch and WebSocket.
  const { createServer } = process.getBuiltinModule("node:http");
  const visits = new Map<Duplex, Visit>();
  const stopping = new AbortController();
  let changes = 0;

  const server = createServer({
    // The deadlines here are kept with the injected clock instead.
    headersTimeout: 0,
    requestTimeout: 0,
    connectionsCheckingInterval: 2 ** 31 - 1,
  });
  server.maxConnections = CONNECTION_LIMIT;
  server.on("connection", (socket) => {
    const onLate = (): void => {
      const visit = visits.get(socket);
      refuse(socket, visit?.response ?? null, 408, "the request did not come in time");
    };
    visits.set(socket, { response: null, timer: clock.setTimer(RECEIVE_DEADLINE_MS, onLate) });
    socket.once("close", () => {
      visits.get(socket)?.timer[Symbol.dispose]();
      visits.delete(socket);
    });
  });
  server.on("request", (request, response) => void serve(request, response));
  // These are answered like any other request; what they ask for is not done.
  server.on("checkContinue", (request, response) => {
    response.writeContinue();
    void serve(request, response);
  });
  server.on("checkExpectation", (request, response) => void serve(request, response));
  server.on("connect", (_request, socket) => refuse(socket, null, 405, "CONNECT is not served"));
  server.on("clientError", (error, socket) => {
    const code = systemErrorCode(error);
    const tooLarge = code === "HPE_HEADER_OVERFLOW";
    if (code === "ECONNRESET" || !socket.writable) socket.destroy();
    else if (tooLarge) refuse(socket, visits.get(socket)?.response ?? null, 431, "the headers are too large");
    else refuse(socket, visits.get(socket)?.response ?? null, 400, "the request is not HTTP");
  });
  server.on("drop", () => logger.warn("management connection dropped", { connections: CONNECTION_LIMIT }));

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    const visit = visits.get(socket);
    // One request per connection; what is pipelined behind it is never begun.
    if (visit === undefined || visit.response !== null) return;
    visit.response = response;
    response.shouldKeepAlive = false;
    response.on("error", () => socket.destroy());
    const gone = new AbortController();
    response.once("close", () => {
      if (!response.writableFinished) gone.abort(new MountaineerError("aborted", "the client went away"));
    });
    const startedAtMs = clock.monotonicMs();
    try {
      const body = await readBody(request);
      visit.timer[Symbol.dispose]();
      if (body === null) return;
      const asked = operationOf(request);
      if (asked.allow !== null) response.setHeader("Allow", asked.allow);
      if (body.text === null) {
        const message = `the body is larger than ${BODY_LIMIT_BYTES} bytes`;
        send(visit, socket, response, 413, errorBody(new MountaineerError("protocol", message)));
      } else if (asked.name === null) {
        const message = `${request.method} ${pathOf(request)} is not served`;
        send(visit, socket, response, asked.status, errorBody(new MountaineerError("protocol", message)));
      } else {
        const signal = AbortSignal.any([gone.signal, stopping.signal]);
        send(visit, socket, response, 200, await perform(asked.name, body.text, response, signal));
      }
    } catch (error) {
      visit.timer[Symbol.dispose]();
      fail(visit, socket, response, error);
    } finally {
      logger.debug("management request", {
        method: request.method,
        url: request.url,
        status: response.headersSent ? response.statusCode : null,
        tookMs: Math.round(clock.monotonicMs() - startedAtMs),
      });
    }
  }

  async function perform(
    operation: OperationName,
    body: string,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<unknown> {
    if (operation === "status") return control.status();
    if (stopping.signal.aborted) throw stopping.signal.reason;
    const call = callOf(operation, body, control);
    if (changes >= CHANGE_LIMIT) {
      const message = `${changes} requests are under way already; this one was not begun`;
      throw new MountaineerError("daemon_unreachable", message, {
        retry: "later",
        hint: "try again in a moment",
      });
    }
    changes += 1;
    let pulse = clock.setTimer(SIGN_OF_LIFE_MS, function beat() {
      if (signal.aborted) return;
      response.writeProcessing();
      pulse = clock.setTimer(SIGN_OF_LIFE_MS, beat);
    });
    try {
      return await call(signal);
    } finally {
      pulse[Symbol.dispose]();
      changes -= 1;
    }
  }

  function fail(visit: Visit, socket: Duplex, response: ServerResponse, thrown: unknown): void {
    // The client that would be told is the one that went away, unless it is the daemon that ends.
    const ends =
      stopping.signal.aborted && (!(thrown instanceof MountaineerError) || thrown.code === "aborted");
    const error = ends ? stopping.signal.reason : thrown;
    if (!(error instanceof MountaineerError)) {
      const stack = error instanceof Error ? error.stack : undefined;
      logger.error("management request failed", { error: errorText(error), stack });
    }
    send(visit, socket, response, httpStatusOf(error), errorBody(error));
  }

  function send(visit: Visit, socket: Duplex, response: ServerResponse, status: number, body: unknown): void {
    if (response.headersSent || response.destroyed) return;
    const text = JSON.stringify(body);
    response.writeHead(status, {
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(text),
      "Cache-Control": "no-store",
    });
    response.end(text);
    visit.timer = clock.setTimer(DRAIN_DEADLINE_MS, () => socket.destroy());
  }

  function refuse(socket: Duplex, response: ServerResponse | null, status: number, message: string): void {
    if (socket.destroyed || response?.headersSent) {
      socket.destroy();
      return;
    }
    const text = JSON.stringify(errorBody(new MountaineerError("protocol", message)));
    const reason = process.getBuiltinModule("node:http").STATUS_CODES[status] ?? "Error";
    const head = `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/json\r\nConnection: close\r\n`;
    socket.end(`${head}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`, () => socket.destroy());
    const cut = clock.setTimer(DRAIN_DEADLINE_MS, () => socket.destroy());
    socket.once("close", () => cut[Symbol.dispose]());
  }

  return {
    server,
    stop() {
      const reason = "the daemon stopped before it was done";
      stopping.abort(new MountaineerError("daemon_unreachable", reason, { retry: "later" }));
      return new Promise((resolve) => {
        const cut = clock.setTimer(STOP_DEADLINE_MS, () => {
          for (const socket of visits.keys()) socket.destroy();
        });
        server.close(() => {
          cut[Symbol.dispose]();
          resolve();
        });
        for (const [socket, visit] of visits) if (visit.response === null) socket.destroy();
      });
    },
  };
}

interface Asked {
  readonly name: OperationName | null;
  readonly status: 200 | 404 | 405;
  readonly allow: string | null;
}

function operationOf(request: IncomingMessage): Asked {
  const path = pathOf(request);
  const name = path.startsWith(`${MANAGE_PREFIX}/`) ? path.slice(MANAGE_PREFIX.length + 1) : "";
  if (!isOperation(name)) return { name: null, status: 404, allow: null };
  if (request.method !== OPERATIONS[name]) return { name: null, status: 405, allow: OPERATIONS[name] };
  return { name, status: 200, allow: null };
}

function isOperation(name: string): name is OperationName {
  return Object.hasOwn(OPERATIONS, name);
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? "").split("?", 1)[0] ?? "";
}

/** Reads the body first, so that a bad one is refused before anything is begun. Throws `protocol`. */
function callOf(
  operation: Exclude<OperationName, "status">,
  body: string,
  control: DaemonControl,
): (signal: AbortSignal) => Promise<VerifyReport | StepReport> {
  const steps = async (results: Promise<readonly StepResult[]>) => ({ results: [...(await results)] });
  switch (operation) {
    case "verify": {
      const { shares } = readRequestBody(body, ["shares"]);
      return (signal) => control.verify(shares, signal);
    }
    case "reconcile": {
      const { shares } = readRequestBody(body, ["shares"]);
      return (signal) => steps(control.reconcile(shares, signal));
    }
    case "mount": {
      const { shares } = readRequestBody(body, ["shares"]);
      return (signal) => steps(control.mount(shares, signal));
    }
    case "unmount": {
      const { shares, force } = readRequestBody(body, ["shares", "force"]);
      return (signal) => steps(control.unmount(shares, { force }, signal));
    }
    case "switch": {
      const { shares, to, force, wait } = readRequestBody(body, ["shares", "to", "force", "wait"]);
      if (to === null) throw new MountaineerError("protocol", "the body lacks to: tb, fallback or auto");
      return (signal) => steps(control.switchRoute(shares, { to, force, wait }, signal));
    }
  }
}

/** `text` is null when it is too large; the whole is null when the client went away before its end. */
function readBody(request: IncomingMessage): Promise<{ text: string | null } | null> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= BODY_LIMIT_BYTES) chunks.push(chunk);
      else if (bytes > DISCARD_LIMIT_BYTES) resolve({ text: null });
    });
    request.once("end", () => {
      resolve({ text: bytes > BODY_LIMIT_BYTES ? null : Buffer.concat(chunks).toString("utf8") });
    });
    request.once("error", () => resolve(null));
    request.once("close", () => resolve(null));
  });
}
