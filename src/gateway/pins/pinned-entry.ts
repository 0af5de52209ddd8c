// What a server shows to models, each entry as one canonical text with its digest.
import { hash } from "node:crypto";
import { memoized } from "../../runtime/memo.ts";
import { isRawNumber, parseExactly } from "../../runtime/text/exact-json.ts";
import { namedEntries } from "../catalog/build-catalog.ts";
import type { CatalogSource, EntryKind } from "../catalog/catalog.ts";
import { canonical, isJsonObject, type JsonObject } from "../json-rpc.ts";

/** The members with which the text or diff of an entry begins. The other members follow by name. */
const FIRST_MEMBERS = ["name", "title", "description", "inputSchema", "outputSchema", "annotations"];
/** The form of a digest: all members count. A digest of another form approves nothing. */
const FORM = "2.";

export type ShownKind = EntryKind | "instructions";

/** A server's entry or instructions, in the form that is pinned. */
export interface Shown {
  readonly kind: ShownKind;
  /** The server's own name, URI or URI template. */
  readonly name: string;
  readonly definition: JsonObject;
}

export const INSTRUCTIONS_KEY = "\ninstructions";

/**
 * The server's instructions and all entries that the filters permit. Instructions come first, so that `MOST_PINNED`
 * never leaves them out.
 */
export function shownOf(source: CatalogSource): readonly Shown[] {
  const name = "instructions";
  const text = source.instructions ?? "";
  const entries = namedEntries(source).flatMap((one): Shown[] =>
    one.isPermitted ? [{ kind: one.kind, name: one.name, definition: pinOf(one.kind, one.entry) }] : [],
  );
  return [
    { kind: name, name, definition: text === "" ? { name } : { name, instructions: text } },
    ...entries,
  ];
}

/** True for the `instructions` entry of a server that has no instructions. Such an entry needs no approval. */
export function areNoInstructions({ kind, definition }: Shown): boolean {
  return kind === "instructions" && definition["instructions"] === undefined;
}

/** Unique within one server: the plain name of a tool, otherwise kind and name. */
export function pinKey(kind: ShownKind, name: string): string {
  if (kind === "instructions") return INSTRUCTIONS_KEY;
  const isPlain = kind === "tool" && !name.startsWith("\n");
  return isPlain ? name : `\n${kind} ${name}`;
}

/** Always the same object for the same entry. */
export function pinOf(kind: EntryKind, entry: JsonObject): JsonObject {
  return kind === "resource" ? withoutVolatile(entry) : entry;
}

/** Leaves out the size and the date, so that a resource counts as the same after its file was written to. */
const withoutVolatile = memoized((resource: JsonObject): JsonObject => {
  const { size, annotations, ...others } = resource;
  const isDated = isJsonObject(annotations) && isDate(annotations["lastModified"]);
  const { lastModified: _, ...hints } = isDated ? annotations : {};
  return {
    ...others,
    ...(size === undefined || typeof size === "number" || isRawNumber(size) ? {} : { size }),
    ...(annotations === undefined ? {} : { annotations: isDated ? hints : annotations }),
  };
});

function isDate(value: unknown): boolean {
  return typeof value === "string" && /^\d{4}-\d\d-\d\d[T ]?[\d:.,+Z-]*$/.test(value);
}

/** Texts of entries that were just read, until they are compared with their pins. */
const texts = new WeakMap<JsonObject, string>();

export function keepText(entry: JsonObject): void {
  texts.set(entry, textOf(entry));
}

export function forgetText(entry: JsonObject): void {
  texts.delete(entry);
}

export function entryText(entry: JsonObject): string {
  return texts.get(entry) ?? textOf(entry);
}

/** Equal for entries that differ only in the order of keys. SHA-256, base64url. Kept with the entry. */
export const entryDigest = memoized(
  (entry: JsonObject) => `${FORM}${hash("sha256", entryText(entry), "base64url")}`,
);

function membersOf(entry: JsonObject): readonly string[] {
  const others = Object.keys(entry).filter(
    (member) => !FIRST_MEMBERS.includes(member) && !(member === "execution" && isUsual(entry[member])),
  );
  return [...FIRST_MEMBERS, ...others.sort()];
}

/**
 * True if the value is what a missing `execution` stands for. A member with this value is not pinned, because lists
 * of 2025-11-25 contain it and lists of 2026-07-28 do not.
 */
function isUsual(execution: unknown): boolean {
  return canonical(execution) === '{"taskSupport":"forbidden"}';
}

/** Returns the entry as canonical JSON. */
function textOf(entry: JsonObject): string {
  const parts = membersOf(entry).flatMap((member) => {
    const value = entry[member];
    return value === undefined ? [] : [`${JSON.stringify(member)}:${canonical(value)}`];
  });
  return `{${parts.join(",")}}`;
}

export interface MemberChange {
  readonly member: string;
  /** Texts stay, other values become indented JSON; null: the member is missing. */
  readonly before: string | null;
  readonly after: string | null;
}

/** `before` null: the pinned text is not known. */
export function memberChanges(before: string | null, after: JsonObject): readonly MemberChange[] {
  const was: unknown = before === null ? {} : parseExactly(before);
  const old = isJsonObject(was) ? was : {};
  const members = new Set([...FIRST_MEMBERS, ...membersOf(old), ...membersOf(after)]);
  return [...members].flatMap((member) => {
    const [one, other] = [old[member], after[member]];
    const isSame =
      one === undefined || other === undefined ? one === other : canonical(one) === canonical(other);
    return isSame ? [] : [{ member, before: readable(one), after: readable(other) }];
  });
}

function readable(value: unknown): string | null {
  if (value === undefined) return null;
  if (typeof value === "string") return value;
  // The keys are sorted, so that their order does not count as a difference.
  return JSON.stringify(parseExactly(canonical(value)), null, 2);
}
