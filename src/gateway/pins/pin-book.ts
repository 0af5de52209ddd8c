// What is remembered of the tools of all backends, and how it is written down. Plain data, bounded.
import { machineOf } from "../../config/backend-names.ts";
import { objectOf } from "../../runtime/text/json-object.ts";

/** Of one backend; what it lists beyond is not remembered. */
export const MOST_TOOLS = 5_000;
/** Earlier versions of one tool that were approved: one that comes back is known. */
const MOST_APPROVED = 8;
/** A longer text is not kept: then only its digest is, and a change shows no old text. */
const LONGEST_TEXT = 64 * 1024;
/** Of all texts together. */
const MOST_TEXT = 16 * 1024 * 1024;
/** Backends of which nothing is configured any more. */
const MOST_FORMER_BACKENDS = 200;

export interface PinnedTool {
  /** Digests, the one in use first. */
  readonly approved: readonly string[];
  /** The text whose digest is the first; null: not kept. */
  readonly text: string | null;
  /** The last digest that was told as a change. */
  readonly told: string | null;
  /** The server listed it when it was looked at last. */
  readonly isListed: boolean;
}

/** By backend, then by the server's own name of the tool. */
export interface PinBook {
  readonly backends: ReadonlyMap<string, ReadonlyMap<string, PinnedTool>>;
  /** Why earlier pins cannot be trusted; null: they can. Until a person approves all, no backend is a new one. */
  readonly lost: string | null;
}

export const EMPTY_BOOK: PinBook = { backends: new Map(), lost: null };

/** The same tool with this digest approved, and in use. */
export function approvedAs(tool: PinnedTool | undefined, digest: string, text: string): PinnedTool {
  const others = tool?.approved.filter((each) => each !== digest) ?? [];
  return {
    approved: [digest, ...others].slice(0, MOST_APPROVED),
    text: text.length <= LONGEST_TEXT ? text : null,
    told: null,
    isListed: true,
  };
}

/** Drops what is no longer listed first, then texts, so that the book stays within its bounds. */
export function withinBounds({ backends, lost }: PinBook, configured: ReadonlySet<string>): PinBook {
  const names = [...backends.keys()];
  const former = names.filter((name) => !configured.has(name));
  const dropped = formerBeyond(former);
  let characters = 0;
  const kept = new Map<string, ReadonlyMap<string, PinnedTool>>();
  for (const [name, tools] of backends) {
    if (dropped.has(name)) continue;
    const entries = [...tools];
    const listed = entries.filter(([, { isListed }]) => isListed);
    const gone = entries.filter(([, { isListed }]) => !isListed);
    const room = Math.max(0, MOST_TOOLS - listed.length);
    const most = [...listed.slice(0, MOST_TOOLS), ...(room === 0 ? [] : gone.slice(-room))];
    kept.set(
      name,
      new Map(
        most.map(([tool, pinned]) => {
          characters += pinned.text?.length ?? 0;
          return [tool, characters > MOST_TEXT ? { ...pinned, text: null } : pinned];
        }),
      ),
    );
  }
  return { backends: kept, lost };
}

/** Of whoever has most of them: a machine that changes the names of what it lends makes nobody else's forgotten. */
function formerBeyond(former: readonly string[]): ReadonlySet<string> {
  const dropped = new Set<string>();
  const byMachine = [...Map.groupBy(former, machineOf).values()];
  while (former.length - dropped.size > MOST_FORMER_BACKENDS) {
    const most = byMachine.reduce((one, other) => (other.length > one.length ? other : one));
    dropped.add(most.shift() ?? "");
  }
  return dropped;
}

/** As plain JSON. */
export function bookValue({ backends, lost }: PinBook): unknown {
  const tools = (of: ReadonlyMap<string, PinnedTool>): unknown =>
    [...of].map(([name, { approved, text, told, isListed }]) => [name, approved, text, told, isListed]);
  return { version: 1, lost, backends: [...backends].map(([name, of]) => [name, tools(of)]) };
}

/** Null: it is not of this form. Whether it is authentic is for whoever read it to know. */
export function readBook(value: unknown): PinBook | null {
  const { version, lost, backends } = objectOf(value) as Readonly<Record<string, unknown>>;
  if (version !== 1 || !Array.isArray(backends) || !(lost === null || typeof lost === "string")) return null;
  const book = new Map<string, Map<string, PinnedTool>>();
  for (const entry of backends) {
    if (!Array.isArray(entry)) return null;
    const [name, tools]: readonly unknown[] = entry;
    if (typeof name !== "string" || !Array.isArray(tools)) return null;
    const of = new Map<string, PinnedTool>();
    for (const each of tools) {
      const tool = readTool(each);
      if (tool === null) return null;
      of.set(tool.name, tool.pinned);
    }
    book.set(name, of);
  }
  return { backends: book, lost };
}

function readTool(entry: unknown): { readonly name: string; readonly pinned: PinnedTool } | null {
  if (!Array.isArray(entry)) return null;
  const [name, approved, text, told, isListed]: readonly unknown[] = entry;
  const isTextOrNull = (value: unknown): value is string | null =>
    value === null || typeof value === "string";
  if (typeof name !== "string" || typeof isListed !== "boolean") return null;
  if (!Array.isArray(approved) || !isTextOrNull(text) || !isTextOrNull(told)) return null;
  const digests = approved.filter((digest) => typeof digest === "string");
  return { name, pinned: { approved: digests, text, told, isListed } };
}
