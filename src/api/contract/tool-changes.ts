// Shapes of requests and answers about tools and other entries that have changed since they were approved.
import {
  choice,
  flag,
  jsonObject,
  list,
  nullable,
  object,
  optional,
  strictObject,
  type TypeOf,
  text,
  wellFormedText,
} from "../../runtime/shape.ts";

/**
 * Maximum number of changes in a report that include the changed texts. Clients request the texts of further
 * changes by name.
 */
export const MOST_SHOWN = 200;
/** Twice the limit of tools of one backend. */
const MOST_ITEMS = 10_000;

const memberChangeShape = object({
  /** `description`, `inputSchema`, … */
  member: text,
  /** A string, or JSON on several lines; null: the member was absent. */
  before: nullable(text),
  after: nullable(text),
});

const toolChangeShape = object({
  backend: text,
  /** The server's own name of the tool, or of the entry of kind `what`. */
  tool: text,
  /** `prompt`, `resource`, `template` or `instructions`; absent: a tool. */
  what: optional(text),
  /** The name that clients use; null: the entry is withheld, or another backend has the name. */
  published_as: nullable(text),
  /** The arguments that the configuration sets in each call; absent: none. The changes are those of the server's own definition. */
  set_arguments: optional(jsonObject),
  kind: choice("changed", "new"),
  /** True: clients do not get the entry before it is approved. */
  withheld: flag,
  /** Identifies the present content; required for the approval. */
  digest: text,
  /** False: the approved text was too long to be stored, and every `before` is null. */
  before_known: flag,
  /** null: the report has too many changes; ask by name. */
  members: nullable(list(memberChangeShape)),
});
export type ToolChange = TypeOf<typeof toolChangeShape>;

export const toolChangesReportShape = object({
  changes: list(toolChangeShape),
  /** Published entries that have invisible characters. Clients get these entries without those characters. */
  unseen: list(object({ backend: text, kind: text, entry: text, faults: list(text) })),
  /** Why the approved content is not known; null: it is known. */
  lost: nullable(text),
});
export type ToolChangesReport = TypeOf<typeof toolChangesReportShape>;

const names = optional(nullable(list(wellFormedText, MOST_ITEMS)));

/** Names that clients use, servers' own names, or `BACKEND:NAME`; null: all. */
export const toolChangesRequest = strictObject({ tools: names });

const itemShape = strictObject({ backend: wellFormedText, tool: text, digest: wellFormedText });

export const approveToolsRequest = strictObject({
  /** Items of a report of changes. Items that have changed since the report are not approved. */
  items: list(itemShape, MOST_ITEMS),
  /** Starts without the earlier approvals, if these were lost. Default false. */
  discard_previous: optional(flag),
});

export const approveToolsReportShape = object({
  approved: list(itemShape),
  /** Items that were not approved, because they have changed since the report or are gone. */
  skipped: list(itemShape),
});

/** The entry's name for people: only the name of a tool, but name and kind of any other entry. */
export function displayName({ tool, what }: Pick<ToolChange, "tool" | "what">): string {
  return what === undefined ? tool : what === tool ? what : `${what} ${tool}`;
}

/** The unique name, with the backend. */
export function fullName(change: ToolChange): string {
  return `${change.backend}:${displayName(change)}`;
}

/** Whether `name` is one of the names of this entry. */
export function isCalled(change: ToolChange, name: string): boolean {
  const { backend, tool, published_as } = change;
  return [tool, published_as, `${backend}:${tool}`, displayName(change), fullName(change)].includes(name);
}
