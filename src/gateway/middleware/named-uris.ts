// The URIs that results named, by principal: servers hand out resources that are in no list. And the URIs in results,
// under the names that clients use.

import { dropOldest, ofLargest } from "../../runtime/bounded-map.ts";
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { pageOfTool, withPage } from "../catalog/app-pages.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { type Principal, principalKey } from "../client-handle.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { tooManyValues } from "../written-results.ts";

/** What each server of each principal may fill. */
const MOST_URIS = 1_000;
/** Beyond this number, the server of a principal that has most URIs loses its oldest. */
const MOST_IN_ALL = 100_000;
const FRESH_MS = 24 * 60 * 60_000;

interface Mention {
  readonly firstMs: number;
  readonly atMs: number;
}

export class NamedUris {
  readonly #clock: Clock;
  /** By principal and backend. */
  readonly #mentions = new Map<string, Map<string, Map<string, Mention>>>();
  #size = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The backends that named the URI to this principal within the last day, in the order in which they began. */
  mentionedBy(principal: Principal, uri: string): readonly string[] {
    const found: { readonly backend: string; readonly firstMs: number }[] = [];
    for (const [backend, uris] of this.#mentions.get(principalKey(principal)) ?? []) {
      const mention = this.#fresh(uris.get(uri));
      if (mention !== undefined) found.push({ backend, firstMs: mention.firstMs });
    }
    return found.sort((one, other) => one.firstMs - other.firstMs).map(({ backend }) => backend);
  }

  /** Remembers the URIs in a backend's result. */
  take(principal: Principal, backend: string, uris: Iterable<string>): void {
    const atMs = this.#clock.monotonicMs();
    for (const uri of uris) {
      if (uri.length > TEXT_BOUNDS.mention.most) continue;
      const own = this.#urisOf(principalKey(principal), backend);
      const firstMs = this.#fresh(own.get(uri))?.firstMs ?? atMs;
      this.#size -= own.size;
      own.delete(uri);
      own.set(uri, { firstMs, atMs });
      dropOldest(own, MOST_URIS);
      this.#size += own.size;
      if (this.#size > MOST_IN_ALL) this.#dropOfLargest();
    }
  }

  #urisOf(key: string, backend: string): Map<string, Mention> {
    const byBackend = this.#mentions.get(key) ?? new Map<string, Map<string, Mention>>();
    const uris = byBackend.get(backend) ?? new Map<string, Mention>();
    if (uris.size === 0) this.#mentions.set(key, byBackend.set(backend, uris));
    return uris;
  }

  #dropOfLargest(): void {
    const owned = [...this.#mentions].flatMap(([owner, byBackend]) =>
      [...byBackend.values()].map((uris) => ({ owner, uris })),
    );
    const own = ofLargest(
      owned,
      ({ owner }) => owner,
      ({ uris }) => uris.size,
    );
    const largest = own.map(({ uris }) => uris).reduce((one, other) => (other.size > one.size ? other : one));
    const remaining = Math.floor(largest.size / 2);
    this.#size -= largest.size - remaining;
    dropOldest(largest, remaining);
  }

  #fresh(mention: Mention | undefined): Mention | undefined {
    return mention !== undefined && this.#clock.monotonicMs() - mention.atMs < FRESH_MS ? mention : undefined;
  }
}

/** Where results have messages and content blocks, and these have others. */
const NESTED = ["content", "contents", "messages", "resource"] as const;

/**
 * Returns the result with URIs that clients can use, and all its URIs as `uris`. `of` is the URI that was read. The
 * result is the same object if no URI has another name.
 */
export function publishedResult(
  { publishedUri }: Pick<Catalog, "publishedUri">,
  backend: string,
  result: JsonObject,
  of: { readonly name: string; readonly originalName: string } | null,
): { readonly result: JsonObject; readonly uris: readonly string[] } {
  const uris: string[] = [];
  const inside = (value: JsonObject): JsonObject => {
    let changed = value;
    for (const key of NESTED) {
      const part = value[key];
      const inner = part === undefined ? part : published(part);
      if (inner !== part) changed = { ...changed, [key]: inner };
    }
    return changed;
  };
  const published = (value: unknown): unknown => {
    if (Array.isArray(value)) {
      const list = value.map(published);
      return list.some((one, index) => one !== value[index]) ? list : value;
    }
    if (!isJsonObject(value)) return value;
    const changed = inside(value);
    const { uri, resource } = value;
    if (typeof uri !== "string" || isJsonObject(resource)) return changed;
    const name = uri === of?.originalName ? of.name : publishedUri(backend, uri);
    uris.push(name);
    return name === uri ? changed : { ...changed, uri: name };
  };
  try {
    const page = pageOfTool(result);
    return { result: inside(page === null ? result : withPage(result, publishedUri(backend, page))), uris };
  } catch (error) {
    // A list that stays bytes is passed on as it came.
    if (tooManyValues(error) === null) throw error;
    return { result, uris };
  }
}
