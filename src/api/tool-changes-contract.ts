// The shapes of what the management API asks and answers about what servers show to models, and is not as it was approved.
import {
  choice,
  flag,
  list,
  nullable,
  object,
  optional,
  strictObject,
  type TypeOf,
  text,
  wellFormedText,
} from "../runtime/shape.ts";

/** A report of all tools has the texts of this many; for the others, ask by name. */
export const MOST_SHOWN = 200;
/** Tools of one backend are at most half as many. */
const MOST_ITEMS = 10_000;

const memberChangeShape = object({
  /** `description`, `inputSchema`, … */
  member: text,
  /** A text as it is, else JSON on several lines; null: there was none. */
  before: nullable(text),
  after: nullable(text),
});

const toolChangeShape = object({
  backend: text,
  /** The server's own name of it: of a tool, or what `what` says. */
  tool: text,
  /** `prompt`, `resource`, `template`, `skill` or `instructions`; absent: a tool. */
  what: optional(text),
  /** What clients call it; null: it is withheld, or another backend has the name. */
  published_as: nullable(text),
  kind: choice("changed", "new"),
  /** No client gets it until it is approved. */
  withheld: flag,
  /** Names the tool as it is now: `approve` has to give it. */
  digest: text,
  /** False: the text that was approved was too long to be kept, and `before` is null throughout. */
  before_known: flag,
  /** Null: there are too many; ask for it by its name. */
  members: nullable(list(memberChangeShape)),
});
export type ToolChange = TypeOf<typeof toolChangeShape>;

export const toolChangesReportShape = object({
  changes: list(toolChangeShape),
  /** Text that nobody sees, of whatever is published; clients get it without. */
  unseen: list(object({ backend: text, kind: text, entry: text, faults: list(text) })),
  /** Why it is not known what servers showed; null: it is. */
  lost: nullable(text),
});
export type ToolChangesReport = TypeOf<typeof toolChangesReportShape>;

const names = optional(nullable(list(wellFormedText, MOST_ITEMS)));

/** Names are those that clients use, the servers' own, or `BACKEND:NAME`; null is all. */
export const toolChangesRequest = strictObject({ tools: names });

const itemShape = strictObject({ backend: wellFormedText, tool: text, digest: wellFormedText });

export const approveToolsRequest = strictObject({
  /** As a report of changes had them: what is another by now is not approved. */
  items: list(itemShape, MOST_ITEMS),
  /** What servers showed before is given up, where that was lost. Default false. */
  begin_anew: optional(flag),
});

export const approveToolsReportShape = object({
  approved: list(itemShape),
  /** Not as they were seen any more, or gone. */
  left: list(itemShape),
});

/** As a person reads it: a tool by its name, anything else after its kind. */
export function toldName({ tool, what }: Pick<ToolChange, "tool" | "what">): string {
  return what === undefined ? tool : what === tool ? what : `${what} ${tool}`;
}

/** With its backend: no other one is called so. */
export function fullName(change: ToolChange): string {
  return `${change.backend}:${toldName(change)}`;
}

/** Whether a person means this one by that name. */
export function isCalled(change: ToolChange, name: string): boolean {
  const { backend, tool, published_as } = change;
  return [tool, published_as, `${backend}:${tool}`, toldName(change), fullName(change)].includes(name);
}
