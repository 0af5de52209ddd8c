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
    const key = principalKey(principal);
    for (const uri of uris) {
      if (uri.length > LONGEST_URI) continue;
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
  const named = (value: unknown): unknown => {
    if (!isJsonObject(value)) return value;
    const { uri, resource } = value;
    if (isJsonObject(resource)) {
      const inner = named(resource);
      return inner === resource ? value : { ...value, resource: inner };
    }
    if (typeof uri !== "string") return value;
    const published = uri === of?.originalName ? of.name : publishedUri(backend, uri);
    uris.push(published);
    return published === uri ? value : { ...value, uri: published };
  };
  const listed = (list: unknown): unknown => {
    if (!Array.isArray(list)) return named(list);
    const renamed = list.map(named);
    return renamed.every((value, index) => value === list[index]) ? list : renamed;
  };
  const message = (value: unknown): unknown => {
    if (!isJsonObject(value)) return value;
    const content = listed(value["content"]);
    return content === value["content"] ? value : { ...value, content };
  };
  try {
    const { content, contents, messages } = result;
    const page = pageOfTool(result);
    const paged = page === null ? result : withPage(result, publishedUri(backend, page));
    const prompts = Array.isArray(messages) ? messages.map(message) : messages;
    const isSame =
      Array.isArray(prompts) && prompts.every((value, index) => value === Object(messages)[index]);
    const members = {
      ...(content !== undefined && { content: listed(content) }),
      ...(contents !== undefined && { contents: listed(contents) }),
      ...(messages !== undefined && { messages: isSame ? messages : prompts }),
    };
    const isChanged = Object.entries(members).some(([key, value]) => value !== result[key]);
    return { result: isChanged ? { ...paged, ...members } : paged, uris };
  } catch (error) {
    // A list that stays bytes is passed on as it came.
    if (tooManyValues(error) === null) throw error;
    return { result, uris };
  }
}
