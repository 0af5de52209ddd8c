// The URIs that results named, by principal: servers hand out resources that are in no list. And the URIs in results,
// under the names that clients use.
import { dropOldest } from "../../runtime/bounded-map.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { pageOfTool, withPage } from "../catalog/app-pages.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { type Principal, principalKey } from "../client-handle.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { tooManyValues } from "../written-results.ts";

const MOST_PRINCIPALS = 100;
const MOST_URIS = 1_000;
const LONGEST_URI = 1_024;
const FRESH_MS = 24 * 60 * 60_000;

interface Named {
  readonly backend: string;
  readonly atMs: number;
}

export class NamedUris {
  readonly #clock: Clock;
  readonly #byPrincipal = new Map<string, Map<string, Named>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The backend that named the URI to this principal within the last day; null: none. */
  namedBy(principal: Principal, uri: string): string | null {
    return this.#fresh(this.#byPrincipal.get(principalKey(principal))?.get(uri))?.backend ?? null;
  }

  /** Remembers the URIs in a backend's result. Another backend that named one before keeps it. */
  take(principal: Principal, backend: string, uris: Iterable<string>): void {
    for (const uri of uris) {
      if (uri.length > LONGEST_URI) continue;
      const key = principalKey(principal);
      const own = this.#byPrincipal.get(key) ?? new Map<string, Named>();
      if ((this.#fresh(own.get(uri))?.backend ?? backend) !== backend) continue;
      own.delete(uri);
      own.set(uri, { backend, atMs: this.#clock.monotonicMs() });
      dropOldest(own, MOST_URIS);
      this.#byPrincipal.delete(key);
      this.#byPrincipal.set(key, own);
      dropOldest(this.#byPrincipal, MOST_PRINCIPALS);
    }
  }

  #fresh(named: Named | undefined): Named | undefined {
    return named !== undefined && this.#clock.monotonicMs() - named.atMs < FRESH_MS ? named : undefined;
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
