// Requests to the daemon this page came from: its session, and every operation of the management API.

import { EVENT_STREAM_PATH } from "../../../api/contract/contract.ts";
import { errorFromBody } from "../../../api/operations/http-errors.ts";
import {
  type InputOf,
  type OperationName,
  type OutputOf,
  requestPath,
} from "../../../api/operations/operations.ts";
import { OPERATIONS } from "../../../api/operations/table.ts";
import { errorText, MountaineerError } from "../../../runtime/errors.ts";
import { keepsDigits, parseExactly } from "../../../runtime/text/exact-json.ts";
import { objectOf } from "../../../runtime/text/json-object.ts";
import { parseJson } from "../../../runtime/text/parse-json.ts";

const SESSION_PATH = "/page/v1/session";
const OWNER_PATH = "/page/v1/owner";
/** The element that names the schema's address, which changes with the schema's content. */
const SCHEMA_NAMED_BY = 'meta[name="config-schema"]';
const JSON_BODY = { "Content-Type": "application/json" };
const ANSWER_MS = 20_000;
/** Deadline of operations that change something; mounts, edits and handovers have shorter deadlines. */
const WORK_MS = 180_000;
const CALL_MS = 15 * 60_000;

export interface Session {
  /** ISO 8601; null: the daemon does not say. */
  readonly expiresAt: string | null;
  /** True if this tab may change and approve commands that run on the daemon's machine. */
  readonly mayRunCommands: boolean;
  /** When this tab's owner right ends, ISO 8601; null: it has none. */
  readonly ownerUntil: string | null;
}

/** The methods reject with `MountaineerError` and no other error. */
export type Requests = ReturnType<typeof createRequests>;

/** Storage of the session's secret that survives a reload. Not a cookie, because browsers send those to every port of a host. */
export interface SecretStore {
  read(): string | null;
  /** null: removes the secret. */
  write(secret: string | null): void;
}

interface CallOptions {
  readonly signal?: AbortSignal;
}

export function createRequests(stored: SecretStore, onSignedOut: () => void) {
  let ownerRight: string | null = null;
  const signedIn = (): Record<string, string> => {
    const secret = stored.read();
    return {
      ...(secret === null ? {} : { Authorization: `Bearer ${secret}` }),
      ...(ownerRight === null ? {} : { "X-Mountaineer-Owner": ownerRight }),
    };
  };
  const own = (
    path: string,
    method: "GET" | "POST" | "DELETE",
    body: object | null = null,
  ): Promise<Response> =>
    send(path, {
      method,
      headers: { ...signedIn(), ...(body === null ? {} : JSON_BODY) },
      ...(body === null ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
  const refuse = async (response: Response): Promise<never> => {
    if (response.status !== 401) throw await errorOf(response);
    stored.write(null);
    onSignedOut();
    throw new MountaineerError("permission_denied", "the session has ended");
  };
  return {
    /** Rejects with `permission_denied` if the session has ended; `onSignedOut` is called before that. */
    async call<Name extends OperationName>(
      name: Name,
      input: InputOf<Name> | null = null,
      options: CallOptions = {},
    ): Promise<OutputOf<Name>> {
      const { method, output, counts } = OPERATIONS[name];
      const deadlineMs = counts === "calls" ? CALL_MS : counts === null ? ANSWER_MS : WORK_MS;
      const signals = [AbortSignal.timeout(deadlineMs), ...(options.signal ? [options.signal] : [])];
      const response = await send(requestPath(name, objectOf(input)), {
        method,
        headers: { ...signedIn(), ...(method === "GET" ? {} : JSON_BODY) },
        ...(method === "GET" ? {} : { body: JSON.stringify(input ?? {}) }),
        signal: AbortSignal.any(signals),
      });
      if (!response.ok) return refuse(response);
      const isText = !(response.headers.get("Content-Type") ?? "").startsWith("application/json");
      const answer: unknown = await read(async () => {
        const body = await response.text();
        // Browsers from before 2025 cannot keep all digits of a long number.
        return isText ? body : keepsDigits(body) ? parseExactly(body) : parseJson(body);
      });
      const fault = output.faultIn(answer);
      if (fault !== null) {
        const where = fault.path === "" ? "the answer" : fault.path;
        throw new MountaineerError("protocol", `${where} is not ${fault.expected}`);
      }
      // `faultIn` has checked the shape.
      return answer as OutputOf<Name>;
    },
    /**
     * The daemon's events after the event with the id `afterId`; 0: the events from now on. Resolves once the
     * stream is open; rejects like `call`.
     */
    async openEvents(afterId: number, signal: AbortSignal): Promise<AsyncGenerator<StreamFrame, void>> {
      const resume = afterId === 0 ? {} : { "Last-Event-ID": String(afterId) };
      const response = await send(`${EVENT_STREAM_PATH}?flow`, {
        headers: { ...signedIn(), ...resume },
        signal,
      });
      if (!response.ok || response.body === null) return refuse(response);
      return framesOf(response.body);
    },
    /** The configuration's JSON Schema, a file of the page. */
    async configSchema(signal: AbortSignal): Promise<unknown> {
      const path = document.querySelector<HTMLMetaElement>(SCHEMA_NAMED_BY)?.content ?? "";
      const response = await send(path, { signal });
      if (!response.ok) throw await errorOf(response);
      return read(async () => parseJson(await response.text()));
    },
    /** This tab's session; null if it has none. */
    async session(): Promise<Session | null> {
      if (stored.read() === null) return null;
      const response = await own(SESSION_PATH, "GET");
      if (response.ok) return sessionOf(parseJson(await response.text()));
      if (response.status !== 401) throw await errorOf(response);
      stored.write(null);
      return null;
    },
    /** Begins a session; rejects if the daemon does not accept the secret. */
    async signIn(secret: { readonly link: string } | { readonly token: string }): Promise<Session> {
      const response = await send(SESSION_PATH, {
        method: "POST",
        headers: JSON_BODY,
        body: JSON.stringify(secret),
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (!response.ok) throw await errorOf(response);
      const answer: unknown = parseJson(await response.text());
      const { session: given, right } = objectOf(answer);
      if (typeof given !== "string") throw new MountaineerError("protocol", "the answer has no session");
      stored.write(given);
      if (typeof right === "string") ownerRight = right;
      return sessionOf(answer);
    },
    async signOut(): Promise<void> {
      const response = await own(SESSION_PATH, "DELETE");
      if (!response.ok && response.status !== 401) throw await errorOf(response);
      stored.write(null);
      ownerRight = null;
    },
    /** Requests the owner's right; resolves with the code that the owner types. Only this tab's memory holds the right. */
    async requestOwner(): Promise<string> {
      const response = await own(OWNER_PATH, "POST");
      if (!response.ok) return refuse(response);
      const { right, code } = objectOf(parseJson(await response.text()));
      if (typeof right !== "string" || typeof code !== "string")
        throw new MountaineerError("protocol", "the answer has no code");
      ownerRight = right;
      return code;
    },
    /** Gets the owner's right by the code that a terminal shows. */
    async takeOwner(code: string): Promise<void> {
      const response = await own(OWNER_PATH, "POST", { code });
      if (!response.ok) return refuse(response);
      const { right } = objectOf(parseJson(await response.text()));
      if (typeof right !== "string") throw new MountaineerError("protocol", "the answer has no right");
      ownerRight = right;
    },
    async dropOwner(): Promise<void> {
      const response = await own(OWNER_PATH, "DELETE");
      ownerRight = null;
      if (!response.ok) return refuse(response);
    },
  };
}

function sessionOf(answer: unknown): Session {
  const {
    expires_at: expiresAt,
    may_run_commands: mayRunCommands,
    owner_until: ownerUntil,
  } = objectOf(answer);
  return {
    expiresAt: typeof expiresAt === "string" ? expiresAt : null,
    mayRunCommands: mayRunCommands === true,
    ownerUntil: typeof ownerUntil === "string" ? ownerUntil : null,
  };
}

function send(path: string, init: RequestInit): Promise<Response> {
  return read(() => fetch(path, { ...init, cache: "no-cache", credentials: "omit" }));
}

/** Turns the browser's exceptions into `MountaineerError`, also those of reading a body. */
async function read<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DOMException && error.name === "TimeoutError")
      throw new MountaineerError("timed_out", "the daemon did not answer in time");
    if (error instanceof DOMException && error.name === "AbortError")
      throw new MountaineerError("aborted", "cancelled");
    throw new MountaineerError("daemon_unreachable", "the daemon does not answer", {
      cause: errorText(error),
    });
  }
}

async function errorOf(response: Response): Promise<MountaineerError> {
  let body: unknown = null;
  try {
    body = parseJson(await response.text());
  } catch {
    // Proxies may answer without JSON.
  }
  const known = errorFromBody(body);
  if (known !== null) return known;
  const { error } = objectOf(body);
  const { message } = objectOf(error);
  const text = typeof message === "string" ? message : `the daemon answered ${response.status}`;
  return new MountaineerError(response.status === 401 ? "permission_denied" : "protocol", text);
}

// The daemon's event stream, read with fetch, because the browser's EventSource cannot send the session's header.

export interface StreamFrame {
  readonly id: number;
  readonly data: string;
}

/** The complete frames of a response's body, until the stream ends or breaks. */
export async function* framesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamFrame, void> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let text = "";
  try {
    while (true) {
      const { value, done } = await reader.read().catch(() => ({ value: undefined, done: true }));
      if (done) return;
      const frames = (text + decoder.decode(value, { stream: true })).split("\n\n");
      text = frames.pop() ?? "";
      for (const frame of frames) {
        const data = fieldOf(frame, "data");
        if (data !== null) yield { id: Number(fieldOf(frame, "id")), data };
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/**
 * The text of a frame's field, which the daemon writes once, on a line that ends with `\n`. null: the frame
 * has no such field, because it is a heartbeat or a hint for browsers.
 */
function fieldOf(frame: string, name: string): string | null {
  return new RegExp(`^${name}: ([^\\n]*)`, "m").exec(frame)?.[1] ?? null;
}
