// The connected clients and their calls. A client of 2026-07-28 has no session, so it counts as connected
// while it listens and for five minutes after each request.
import { dropOldest } from "../../runtime/bounded-map.ts";
import { safeLine } from "../../runtime/text/safe-line.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { type ClientHandle, type Principal, principalKey } from "../client-handle.ts";
import { isError, isJsonObject, type Reply } from "../json-rpc.ts";
import type { GatewayRequest, ServedClient } from "../middleware/middleware.ts";
import { MODERN_VERSION } from "../protocol.ts";

const HERE_MS = 300_000;
/**
 * Maximum number of clients without a session. Beyond it the oldest is dropped, because they choose their names freely.
 */
const MOST_WITHOUT_SESSION = 500;
const MOST_PRINCIPALS = 1_000;
const LONGEST_ERROR = 200;
const CALLS: ReadonlySet<string> = new Set(["tools/call", "prompts/get", "resources/read"]);

/**
 * The values are copied from the `ClientHandle`, because clients without a session share one port, whose values change
 * with each request.
 */
type Introduced = ServedClient & Pick<ClientHandle, "protocolVersion" | "transport">;

export interface ConnectedClient {
  readonly client: Introduced;
  /** Wall ms. */
  readonly sinceMs: number;
  /** When the client last sent a request, wall ms. */
  readonly heardMs: number;
  /** Nothing came for five minutes, and no stream or call is open: the client has probably gone without ending its session. */
  readonly isIdle: boolean;
  /** Uses of tools, prompts and resources. */
  readonly calls: number;
  /** `atMs` is wall ms. */
  readonly lastError: { readonly atMs: number; readonly message: string } | null;
}

interface Entry {
  client: Introduced & Partial<Pick<ClientHandle, "busy">>;
  readonly sinceMs: number;
  calls: number;
  lastError: ConnectedClient["lastError"];
  /** Monotonic ms. */
  lastActiveMs: number;
  readonly open: Set<ClientHandle>;
}

export class ConnectedClients {
  readonly #clock: Clock;
  readonly #clean: (text: string) => string;
  readonly #sessions = new Map<ClientHandle, Entry>();
  /** Clients without a session, by the text that `keyOf` returns. */
  readonly #others = new Map<string, Entry>();
  /** When people whose clients have gone were heard last, by `personKey`, wall ms. */
  readonly #heard = new Map<string, number>();
  /** Avoids calls of `keyOf` for most requests. */
  readonly #last = new WeakMap<ClientHandle, { readonly key: string; readonly entry: Entry }>();

  constructor(clock: Clock, clean: (text: string) => string) {
    this.#clock = clock;
    this.#clean = clean;
  }

  opened(client: ClientHandle): void {
    if (client.protocolVersion === MODERN_VERSION) this.#recordActive(client).open.add(client);
    else this.#sessions.set(client, this.#made(client));
  }

  /** When the person, or a program that acts for the person, last sent a request, wall ms; null: not in this process. */
  heardMs(person: Principal): number | null {
    const key = personKey(person);
    const own = [...this.#sessions.values(), ...this.#others.values()].filter(
      ({ client }) => personKey(client.principal) === key,
    );
    const lastMs = Math.max(this.#heard.get(key) ?? 0, ...own.map((entry) => this.#heardMs(entry)));
    return lastMs === 0 ? null : lastMs;
  }

  closed(client: ClientHandle): void {
    const session = this.#sessions.get(client);
    if (session !== undefined) {
      this.#remember(session);
      this.#sessions.delete(client);
      return;
    }
    const entry = this.#others.get(keyOf(client));
    // The port is in `open` only if its client listened.
    if (entry?.open.delete(client) === true) entry.lastActiveMs = this.#clock.monotonicMs();
  }

  answered({ method, handle: { client } }: Pick<GatewayRequest, "method" | "handle">, reply: Reply): void {
    const entry =
      client.protocolVersion === MODERN_VERSION ? this.#recordActive(client) : this.#sessions.get(client);
    if (entry !== undefined) entry.lastActiveMs = this.#clock.monotonicMs();
    if (entry === undefined || !CALLS.has(method)) return;
    entry.calls += 1;
    const message = failureOf(reply);
    if (message === null) return;
    const shown = safeLine(this.#clean(message), LONGEST_ERROR);
    entry.lastError = { atMs: this.#clock.wallMs(), message: shown };
  }

  /** Oldest first. */
  get list(): readonly ConnectedClient[] {
    const sinceMs = this.#clock.monotonicMs() - HERE_MS;
    for (const [key, entry] of this.#others)
      if (entry.open.size === 0 && entry.lastActiveMs < sinceMs) this.#forget(key, entry);
    return [...this.#sessions.values(), ...this.#others.values()]
      .toSorted((one, other) => one.sinceMs - other.sinceMs)
      .map((entry) => ({
        ...entry,
        heardMs: this.#heardMs(entry),
        isIdle: entry.client.busy === false && entry.lastActiveMs < sinceMs,
      }));
  }

  #heardMs({ lastActiveMs }: Entry): number {
    return this.#clock.wallMs() - (this.#clock.monotonicMs() - lastActiveMs);
  }

  #forget(key: string, entry: Entry): void {
    this.#remember(entry);
    this.#others.delete(key);
  }

  #remember(entry: Entry): void {
    const key = personKey(entry.client.principal);
    this.#heard.set(key, Math.max(this.#heard.get(key) ?? 0, this.#heardMs(entry)));
    dropOldest(this.#heard, MOST_PRINCIPALS);
  }

  #recordActive(client: ClientHandle): Entry {
    const last = this.#last.get(client);
    const isSame = last !== undefined && isSameClient(last.entry.client, client);
    const key = isSame ? last.key : keyOf(client);
    let entry = this.#others.get(key);
    if (entry === undefined || !isSame) {
      const { principal, group, clientInfo, capabilities, protocolVersion } = client;
      const shown = { principal, group, clientInfo, capabilities, protocolVersion };
      entry ??= this.#made(shown);
      entry.client = shown;
      this.#others.set(key, entry);
      this.#last.set(client, { key, entry });
      const [first] = this.#others;
      if (first !== undefined && this.#others.size > MOST_WITHOUT_SESSION) this.#forget(...first);
    }
    entry.lastActiveMs = this.#clock.monotonicMs();
    return entry;
  }

  #made(client: Introduced): Entry {
    const [sinceMs, lastActiveMs] = [this.#clock.wallMs(), this.#clock.monotonicMs()];
    return { client, sinceMs, calls: 0, lastError: null, lastActiveMs, open: new Set() };
  }
}

/** Cheaper than comparing `keyOf`. If this returns true, `keyOf` is equal for both clients. */
function isSameClient(one: Introduced, other: Introduced): boolean {
  return (
    one.principal === other.principal &&
    one.group === other.group &&
    one.clientInfo["name"] === other.clientInfo["name"] &&
    one.clientInfo["version"] === other.clientInfo["version"]
  );
}

/** The same for a user's own clients and for the programs that act for the user. */
function personKey(principal: Principal): string {
  return principal.user === undefined ? principalKey(principal) : `user ${principal.user}`;
}

function keyOf({ principal, group, clientInfo }: ClientHandle): string {
  return JSON.stringify([principalKey(principal), group, clientInfo["name"], clientInfo["version"]]);
}

/** Returns null if the reply is a success. */
function failureOf(reply: Reply): string | null {
  if (isError(reply)) return reply.error.message;
  if (reply.result["isError"] !== true) return null;
  const content = reply.result["content"];
  const [first]: readonly unknown[] = Array.isArray(content) ? content : [];
  return isJsonObject(first) && typeof first["text"] === "string" ? first["text"] : "it says nothing of why";
}
