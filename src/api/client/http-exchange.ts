// One request to a daemon, over its socket or over HTTP, with deadlines and errors that say what to do.

import type { ClientRequest } from "node:http";
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
  readonly body: object | null;
  readonly signal: AbortSignal;
}

interface Reply {
  readonly status: number;
  /** The parsed JSON; the string itself for an answer in plain text. */
  readonly value: unknown;
}

interface RequestHead {
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string | number>>;
}

/** Opens a request, which the caller ends. Redirects are not followed, so the token goes to one server only. */
export function beginRequest({ at }: Listener, { path, method, headers }: RequestHead): ClientRequest {
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

/** Sends a request and reads the whole answer. Rejects with `daemon_unreachable`, `protocol`, and `aborted`. */
export function exchange(
  listener: Listener,
  { path, method, body, signal }: ExchangeRequest,
): Promise<Reply> {
  const { pid, clock, silenceMs } = listener;
  const text = body === null ? null : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const request = beginRequest(listener, {
      path,
      method,
      headers:
        text === null
          ? {}
          : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) },
    });
    const finish = (outcome: Reply | Error): void => {
      silence[Symbol.dispose]();
      signal.removeEventListener("abort", onAbort);
      // The destroyed connection may still emit an error.
      request.on("error", () => {});
      request.destroy();
      if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    };
    const onSilence = (): void => finish(hung(pid, silenceMs));
    let silence = clock.setTimer(silenceMs, onSilence);
    const onSign = (): void => {
      silence[Symbol.dispose]();
      silence = clock.setTimer(silenceMs, onSilence);
    };
    const onAbort = (): void => finish(cancelled(signal));
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    request.on("information", onSign);
    request.once("error", (cause) => finish(lost(cause)));
    request.once("response", (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      onSign();
      response.on("data", (chunk: Buffer) => {
        onSign();
        bytes += chunk.length;
        if (bytes > ANSWER_LIMIT_BYTES) finish(strange("its answer has no end"));
        else chunks.push(chunk);
      });
      response.once("error", (cause) => finish(lost(cause)));
      response.once("end", () => {
        const status = response.statusCode ?? 0;
        const answer = Buffer.concat(chunks).toString("utf8");
        const isText = response.headers["content-type"]?.startsWith("text/plain") === true;
        try {
          finish({ status, value: isText ? answer : parseExactly(answer) });
        } catch (cause) {
          finish(strange(`its answer to ${path} is not JSON`, cause));
        }
      });
    });
    request.end(text ?? undefined);
  });
}

/** The error for a daemon that has sent nothing for `silenceMs`. */
export function hung(pid: number | null, silenceMs: number): MountaineerError {
  const who = pid === null ? "the daemon" : `the daemon (pid ${pid})`;
  // A hung daemon handles no SIGTERM; mounts survive a SIGKILL.
  const how = pid === null ? "" : ` (kill ${pid}, at last kill -9 ${pid})`;
  return new MountaineerError("daemon_unreachable", `${who} has said nothing for ${silenceMs / 1000} s`, {
    hint: `it hangs or the machine is overloaded; stop it${how}, then mountaineer up`,
    retry: "later",
  });
}

/** The error for a broken connection. */
export function lost(cause: Error): MountaineerError {
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
export function cancelled(signal: AbortSignal): MountaineerError {
  const reason: unknown = signal.reason;
  return reason instanceof MountaineerError ? reason : new MountaineerError("aborted", "cancelled");
}
