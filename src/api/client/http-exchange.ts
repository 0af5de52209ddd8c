// One request to a daemon, over its socket or over HTTP, with deadlines and errors that say what to do.

import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { Socket } from "node:net";
import { MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { connectPrivately, type HomeSocket } from "../../runtime/process/private-socket.ts";
import { parseExactly } from "../../runtime/text/exact-json.ts";
import type { Clock } from "../../runtime/time/clock.ts";

const ANSWER_LIMIT_BYTES = 64 * 1024 * 1024;

/** Where the management API answers over HTTP. */
export interface HttpEndpoint {
  /** `https://host:port`, without a path. */
  readonly origin: URL;
  /** A secret: sent in the Authorization header only. */
  readonly token: string;
}

/** Where a daemon listens, and how long it may send nothing before it counts as hung. */
export interface Listener {
  /** The daemon's socket, or its HTTP endpoint. */
  readonly at: HomeSocket | HttpEndpoint;
  readonly pid: number | null;
  readonly clock: Clock;
  readonly silenceMs: number;
}

interface ExchangeRequest {
  /** From the root: `/manage/v1/status`. */
  readonly path: string;
  readonly method: string;
  /** Default: none. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: object | null;
  readonly signal: AbortSignal;
  /** The longest silence within the answer, ms; default: the listener's. */
  readonly answerSilenceMs?: number;
}

/** An answer whose head is there. Disposing it ends the request. */
export interface Answer extends Disposable {
  readonly response: IncomingMessage;
  /** The body. Rejects with `daemon_unreachable` (broken, or silent for too long), and `aborted`. */
  chunks(): AsyncGenerator<Buffer, void, undefined>;
  /** The whole body. Rejects as `chunks` does, and with `protocol` beyond the limit. */
  text(limitBytes: number): Promise<string>;
}

interface Reply {
  readonly status: number;
  /** The parsed JSON; the string itself for an answer in plain text. */
  readonly value: unknown;
}

/** Opens a request, which the caller ends. Redirects are not followed, so the token goes to one server only. */
function beginRequest(
  { at }: Listener,
  path: string,
  method: string,
  headers: OutgoingHttpHeaders,
): ClientRequest {
  // Not imported, because an import would also load fetch and WebSocket, 16 MB. Uses `createConnection` in
  // place of Node's agent, because the agent takes 6 ms to compile a pattern of IPv6 addresses.
  const { request } = process.getBuiltinModule("node:http");
  if ("home" in at)
    return request({
      createConnection(_options, opened) {
        connectPrivately(at).then(
          (socket) => opened(null, socket),
          // With an error the socket is ignored.
          (error) => opened(error, new Socket()),
        );
        return null;
      },
      path,
      method,
      headers: { Host: "mountaineer", ...headers },
    });
  const { origin, token } = at;
  const options = { method, headers: { ...headers, Authorization: `Bearer ${token}` } };
  const url = new URL(path, origin);
  return url.protocol === "https:"
    ? process.getBuiltinModule("node:https").request(url, options)
    : request(url, options);
}

/** Sends a request. Rejects with `daemon_unreachable` and `aborted`. */
export function openAnswer(
  listener: Listener,
  { path, method, headers = {}, body, signal, answerSilenceMs = listener.silenceMs }: ExchangeRequest,
): Promise<Answer> {
  const { pid, clock } = listener;
  if (signal.aborted) return Promise.reject(cancelled(signal));
  const sent = body === null ? null : JSON.stringify(body);
  const ofBody =
    sent === null ? {} : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(sent) };
  const request = beginRequest(listener, path, method, { ...headers, ...ofBody });
  const opening = Promise.withResolvers<Answer>();
  let limitMs = listener.silenceMs;
  let failure: MountaineerError | null = null;
  let opened: IncomingMessage | null = null;
  const fail = (error: MountaineerError): void => {
    failure ??= error;
    stop();
    opening.reject(failure);
    (opened ?? request).destroy(failure);
  };
  const onSilence = (): void => fail(hung(pid, limitMs));
  let silence = clock.setTimer(limitMs, onSilence);
  const onSign = (): void => {
    silence[Symbol.dispose]();
    silence = clock.setTimer(limitMs, onSilence);
  };
  const onAbort = (): void => fail(cancelled(signal));
  const stop = (): void => {
    silence[Symbol.dispose]();
    signal.removeEventListener("abort", onAbort);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  request.on("information", onSign);
  // The handler stays: Node throws an `error` event that has no handler.
  request.on("error", (error) => fail(lost(error)));
  request.once("response", (response) => {
    opened = response;
    response.on("error", () => {});
    limitMs = answerSilenceMs;
    onSign();
    const answer: Answer = {
      response,
      async *chunks() {
        try {
          for await (const chunk of response) {
            onSign();
            yield chunk;
          }
        } catch (error) {
          throw failure ?? (error instanceof Error ? lost(error) : error);
        }
      },
      async text(limitBytes) {
        const chunks: Buffer[] = [];
        let bytes = 0;
        for await (const chunk of answer.chunks()) {
          chunks.push(chunk);
          bytes += chunk.length;
          if (bytes > limitBytes) throw strange("its answer has no end");
        }
        return Buffer.concat(chunks).toString("utf8");
      },
      [Symbol.dispose]() {
        stop();
        request.destroy();
      },
    };
    opening.resolve(answer);
  });
  request.end(sent ?? undefined);
  return opening.promise;
}

/** Sends a request and reads the whole answer. Rejects with `daemon_unreachable`, `protocol`, and `aborted`. */
export async function exchange(listener: Listener, request: ExchangeRequest): Promise<Reply> {
  using answer = await openAnswer(listener, request);
  const { statusCode: status = 0, headers } = answer.response;
  const text = await answer.text(ANSWER_LIMIT_BYTES);
  if (headers["content-type"]?.startsWith("text/plain")) return { status, value: text };
  try {
    return { status, value: parseExactly(text) };
  } catch (cause) {
    throw strange(`its answer to ${request.path} is not JSON`, cause);
  }
}

/** The error for a daemon that has sent nothing for `silenceMs`. */
function hung(pid: number | null, silenceMs: number): MountaineerError {
  const who = pid === null ? "the daemon" : `the daemon (pid ${pid})`;
  // A hung daemon handles no SIGTERM; mounts survive a SIGKILL.
  const how = pid === null ? "" : ` (kill ${pid}, at last kill -9 ${pid})`;
  return new MountaineerError("daemon_unreachable", `${who} has said nothing for ${silenceMs / 1000} s`, {
    hint: `it hangs or the machine is overloaded; stop it${how}, then mountaineer up`,
    retry: "later",
  });
}

/** The error for a broken connection. */
function lost(cause: Error): MountaineerError {
  if (cause instanceof MountaineerError) return cause;
  const code = systemErrorCode(cause);
  if (code?.startsWith("HPE_")) return strange("it does not speak HTTP", cause);
  return new MountaineerError(
    "daemon_unreachable",
    "the connection to the daemon was lost before it answered",
    {
      cause,
      hint: "it stopped or crashed; run mountaineer status",
      retry: "later",
    },
  );
}

/** The error for an answer that breaks the contract. */
export function strange(what: string, cause?: unknown): MountaineerError {
  return new MountaineerError("protocol", `the daemon's answer is not understood by this version: ${what}`, {
    cause,
    hint: "after an update, restart the daemon so that both have the same version",
  });
}

/** The error for an aborted signal: its reason, or `aborted`. */
function cancelled(signal: AbortSignal): MountaineerError {
  const reason: unknown = signal.reason;
  return reason instanceof MountaineerError ? reason : new MountaineerError("aborted", "cancelled");
}
