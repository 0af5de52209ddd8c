// Holds the tools that a server lists against what is remembered of them. Pure.
import type { JsonObject } from "../json-rpc.ts";
import { approvedAs, MOST_TOOLS, type PinnedTool } from "./pin-book.ts";
import { isAsEarlierVersionsSaw, toolDigest, toolPin } from "./pinned-tool.ts";

/** A tool that waits for a person: it never was approved, or is not as it was then. */
export interface PendingTool {
  /** The server's own name. */
  readonly tool: string;
  readonly kind: "changed" | "new";
  readonly digest: string;
  readonly definition: JsonObject;
  /** The approved text; null: there is none, or it was too long to keep. */
  readonly before: string | null;
}

export interface PinCheck {
  /** What to remember from now on; the same object when nothing of it changed. */
  readonly tools: ReadonlyMap<string, PinnedTool>;
  readonly pending: readonly PendingTool[];
  /** Those of `pending` that were not told before. */
  readonly news: readonly PendingTool[];
  /** New to a known backend, and pinned at once. */
  readonly added: readonly string[];
  readonly gone: readonly string[];
  /** Beyond what is remembered of one backend. */
  readonly beyond: readonly string[];
}

/**
 * `known` null: the backend was never seen, and what it lists is pinned. Under "block" a new tool of a known backend is
 * pending, under "tell" it is pinned and told.
 */
export function checkPins(
  listed: readonly JsonObject[],
  known: ReadonlyMap<string, PinnedTool> | null,
  mode: "tell" | "block",
  digestOf: (tool: JsonObject) => string = toolDigest,
): PinCheck {
  let changed: Map<string, PinnedTool> | null = known === null ? new Map() : null;
  const remember = (name: string, tool: PinnedTool): void => {
    changed ??= new Map(known);
    changed.set(name, tool);
  };
  const pending: PendingTool[] = [];
  const news: PendingTool[] = [];
  const added: string[] = [];
  const beyond: string[] = [];
  const seen = new Set<string>();
  for (const definition of listed) {
    const name = String(definition["name"]);
    // Of two tools with one name only the first is published, so its verdict holds for both.
    if (seen.has(name)) continue;
    if (seen.size >= MOST_TOOLS) {
      beyond.push(name);
      continue;
    }
    seen.add(name);
    const pinned = known?.get(name);
    const isNew = pinned === undefined || pinned.approved.length === 0;
    if (isNew && (known === null || mode === "tell")) {
      const { digest, text } = toolPin(definition);
      remember(name, approvedAs(pinned, digest, text));
      if (known !== null) added.push(name);
      continue;
    }
    const digest = digestOf(definition);
    if (pinned?.approved[0] === digest) {
      if (!pinned.isListed || pinned.told !== null) remember(name, { ...pinned, told: null, isListed: true });
      continue;
    }
    const isSeen = pinned?.approved.includes(digest) === true;
    if (pinned !== undefined && !isSeen && isAsEarlierVersionsSaw(definition, pinned.approved)) {
      remember(name, approvedAs({ ...pinned, approved: [] }, digest, toolPin(definition).text));
      continue;
    }
    if (isSeen) {
      remember(name, approvedAs(pinned, digest, toolPin(definition).text));
      continue;
    }
    const one: PendingTool = {
      tool: name,
      kind: isNew ? "new" : "changed",
      digest,
      definition,
      before: pinned?.text ?? null,
    };
    pending.push(one);
    if (pinned?.told !== digest) news.push(one);
    if (pinned?.told !== digest || !pinned.isListed) {
      const { approved = [], text = null } = pinned ?? {};
      remember(name, { approved, text, told: digest, isListed: true });
    }
  }
  const gone: string[] = [];
  for (const [name, tool] of known ?? []) {
    if (!tool.isListed || seen.has(name)) continue;
    gone.push(name);
    remember(name, { ...tool, isListed: false });
  }
  return { tools: changed ?? known ?? new Map(), pending, news, added, gone, beyond };
}
