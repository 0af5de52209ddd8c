// Results that were too large to send: kept for the session that asked, and read in pieces as resources. They
// stay in memory, so that nothing is left on disk.
import { randomBytes } from "node:crypto";
import { ofLargest } from "../../runtime/bounded-map.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { type ClientHandle, principalKey } from "../client-handle.ts";
import { errorReply, RESOURCE_NOT_FOUND, type Reply } from "../json-rpc.ts";
import { RESULTS_PREFIX } from "../middleware/request-target.ts";
import { MODERN_VERSION } from "../protocol.ts";
import { textSize } from "./result-size.ts";

const MEBIBYTE = 1024 * 1024;

/** How much is kept, and for how long. A backend's message has at most 64 MiB, so each single result fits. */
const BOUNDS = {
  sessionResults: 32,
  sessionBytes: 64 * MEBIBYTE,
  allResults: 256,
  allBytes: 256 * MEBIBYTE,
  retainedMs: 3_600_000,
};
export type KeepBounds = Readonly<typeof BOUNDS>;

/** Base64 is cut only after whole groups of four characters, so that each piece can be decoded separately. */
const GROUP = 4;

export interface LargePart {
  readonly kind: "text" | "blob";
  readonly mimeType: string;
  /** Text, or base64 for a blob. */
  readonly content: string;
}

export interface StoredPart {
  readonly uri: string;
  readonly pieces: number;
  readonly bytes: number;
}

/** The session that may read the part, or the key of a principal without sessions. */
type Holder = ClientHandle | string;

interface StoredResult extends StoredPart {
  readonly holder: Holder;
  /** The `principalKey` of the principal that may read the part. */
  readonly principal: string;
  readonly part: LargePart;
  /** Shared by the parts of one result, which are dropped together. */
  readonly result: symbol;
  readonly pieceCharacters: number;
  readonly untilMs: number;
}

export class StoredResults implements Disposable {
  readonly #clock: Clock;
  readonly #bounds: KeepBounds;
  /** The kept results by id, oldest first. */
  readonly #stored = new Map<string, StoredResult>();
  readonly #inFlight: () => number;
  #timer: Timer | null = null;

  /** `inFlight`: the bytes of calls, which are of the same budget. */
  constructor(clock: Clock, bounds: KeepBounds = BOUNDS, inFlight: () => number = () => 0) {
    this.#clock = clock;
    this.#bounds = bounds;
    this.#inFlight = inFlight;
  }

  get size(): number {
    return this.#stored.size;
  }

  get retainedMs(): number {
    return this.#bounds.retainedMs;
  }

  /**
   * Keeps all parts of one result, in order, dropping older results of the session if necessary. null if the parts do not
   * fit within the bounds, or the session has ended; then none is kept.
   */
  keep(
    client: ClientHandle,
    parts: readonly LargePart[],
    pieceCharacters: number,
  ): readonly StoredPart[] | null {
    const { sessionBytes, retainedMs } = this.#bounds;
    const sizes = parts.map(({ kind, content }) =>
      kind === "blob" ? Math.floor((content.length / 4) * 3) : textSize(content),
    );
    const sum = sizes.reduce((all, bytes) => all + bytes, 0);
    if (sum > sessionBytes || client.ended.aborted) return null;
    const characters = Math.max(GROUP, Math.ceil(pieceCharacters / GROUP) * GROUP);
    const result = Symbol();
    const all = parts.map((part, index): StoredResult => {
      const id = randomBytes(12).toString("base64url");
      const stored = {
        uri: `${RESULTS_PREFIX}${id}`,
        pieces: Math.max(1, Math.ceil(part.content.length / characters)),
        bytes: sizes[index] ?? 0,
        holder: clientKey(client),
        principal: principalKey(client.principal),
        part,
        result,
        pieceCharacters: characters,
        untilMs: this.#clock.monotonicMs() + retainedMs,
      };
      this.#stored.set(id, stored);
      return stored;
    });
    this.#dropExcess(clientKey(client));
    this.#timer ??= this.#clock.setTimer(retainedMs, this.#expire);
    const isStored = [...this.#stored.values()].some((stored) => stored.result === result);
    return isStored ? all : null;
  }

  /** The reply to resources/read of a kept part. */
  read({ client, uri }: { readonly client: ClientHandle; readonly uri: string }): Reply {
    const [id = "", pieceText = "1", ...more] = uri.slice(RESULTS_PREFIX.length).split("/");
    const stored = this.#stored.get(id);
    const piece = /^[1-9][0-9]{0,8}$/.test(pieceText) && more.length === 0 ? Number(pieceText) : 0;
    // Another session's URI gets the same reply as an unknown one.
    const isOwn = stored?.holder === clientKey(client) && stored.principal === principalKey(client.principal);
    if (!isOwn || piece === 0 || piece > stored.pieces) return unknown(uri);
    return { result: { contents: [contents(stored, uri, piece)] } };
  }

  hasStateOf(client: ClientHandle): boolean {
    return this.#stored.values().some(({ holder }) => holder === client);
  }

  /** Drops the results of a session that has ended. */
  forget(client: ClientHandle): void {
    for (const [id, stored] of this.#stored) if (stored.holder === client) this.#stored.delete(id);
    if (this.size === 0) this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#stored.clear();
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }

  /**
   * Drops this session's oldest results until the session is within its bounds. If the results of all sessions exceed
   * the bounds for all, drops results of the session that has the most bytes, of the principal that has most.
   */
  #dropExcess(holder: Holder): void {
    const { sessionResults, sessionBytes } = this.#bounds;
    this.#dropOldest(holder, sessionResults, sessionBytes);
    this.fit();
  }

  /** Drops what the calls in flight leave no room for. */
  fit(): void {
    const { sessionBytes, allResults, allBytes } = this.#bounds;
    while (this.#stored.size > 0) {
      const all = [...this.#stored.values()];
      if (resultsOf(all) <= allResults && bytesOf(all) + this.#inFlight() <= allBytes) return;
      const own = ofLargest(
        all,
        ({ principal }) => principal,
        ({ bytes }) => bytes,
      );
      const byClient = [...Map.groupBy(own, (stored) => stored.holder)];
      const [largest] = byClient.toSorted(([, one], [, other]) => bytesOf(other) - bytesOf(one));
      if (largest === undefined) return;
      this.#dropOldest(largest[0], resultsOf(largest[1]) - 1, sessionBytes);
    }
  }

  #dropOldest(holder: Holder, mostResults: number, mostBytes: number): void {
    const own = [...this.#stored].filter(([, stored]) => stored.holder === holder);
    let bytes = own.reduce((sum, [, stored]) => sum + stored.bytes, 0);
    const results = Map.groupBy(own, ([, { result }]) => result);
    let count = results.size;
    for (const parts of results.values()) {
      if (count <= mostResults && bytes <= mostBytes) return;
      for (const [id, stored] of parts) {
        this.#stored.delete(id);
        bytes -= stored.bytes;
      }
      count -= 1;
    }
  }

  readonly #expire = (): void => {
    const nowMs = this.#clock.monotonicMs();
    this.#timer = null;
    for (const [id, { untilMs }] of this.#stored) {
      if (untilMs > nowMs) {
        this.#timer = this.#clock.setTimer(untilMs - nowMs, this.#expire);
        return;
      }
      this.#stored.delete(id);
    }
  };
}

function resultsOf(stored: readonly StoredResult[]): number {
  return new Set(stored.map(({ result }) => result)).size;
}

function bytesOf(stored: readonly StoredResult[]): number {
  return stored.reduce((sum, { bytes }) => sum + bytes, 0);
}

function clientKey(client: ClientHandle): Holder {
  return client.protocolVersion === MODERN_VERSION ? principalKey(client.principal) : client;
}

function contents({ part, pieces, pieceCharacters, uri: whole }: StoredResult, uri: string, piece: number) {
  const { kind, mimeType, content } = part;
  const from = boundary(content, (piece - 1) * pieceCharacters);
  const cut = content.slice(from, boundary(content, piece * pieceCharacters));
  return {
    uri,
    mimeType,
    [kind]: cut,
    _meta: {
      "mountaineer/piece": piece,
      "mountaineer/pieces": pieces,
      ...(piece < pieces && { "mountaineer/next": `${whole}/${piece + 1}` }),
    },
  };
}

/** Returns `at`, or the next index if a cut at `at` would split a surrogate pair. */
function boundary(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  return unit >= 0xdc00 && unit <= 0xdfff ? at + 1 : at;
}

function unknown(uri: string): Reply {
  const message =
    "Resource not found: a result is kept for an hour at most, and for the session that asked for it";
  return errorReply(RESOURCE_NOT_FOUND, message, { uri: uri.slice(0, 200) });
}
