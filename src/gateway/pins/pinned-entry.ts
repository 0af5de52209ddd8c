// What models are shown of a server, one by one, and each as one canonical text with its digest: all that its server says
// of it.
import { hash } from "node:crypto";
import { isRawNumber, parseExactly } from "../../runtime/text/exact-json.ts";
import { namedEntries } from "../catalog/build-catalog.ts";
import type { CatalogSource, EntryKind } from "../catalog/catalog.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

/** In the order in which they are told; whatever else there is follows by its name. */
const FIRST_MEMBERS = ["name", "title", "description", "inputSchema", "outputSchema", "annotations"];
/** Of digests over all members. Those without it are of a version that left some out. */
const WHOLE = "2.";

export type ShownKind = EntryKind | "instructions";

/** Something that a model is shown of a server, as it is pinned. */
export interface Shown {
  readonly kind: ShownKind;
  /** The server's own name of it; of what is known by a URI or a template, that. */
  readonly name: string;
  readonly definition: JsonObject;
}

/** Where what a server says of itself is remembered; once it is there, all kinds are. */
export const INSTRUCTIONS_KEY = "\ninstructions";

/** What the filters leave of what a server shows: what it says of itself first, as it is never beyond what is remembered. */
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

/** A server that says nothing of itself is pinned as such, and may always come back to it. */
export function isSilence({ kind, definition }: Shown): boolean {
  return kind === "instructions" && definition["instructions"] === undefined;
}

/** Unique among all that one server shows. Tools and skills have the names under which earlier versions kept them. */
export function pinKey(kind: ShownKind, name: string): string {
  if (kind === "instructions") return INSTRUCTIONS_KEY;
  const isUri = name.includes("://");
  const isPlain = kind === (isUri ? "skill" : "tool") && !name.startsWith("\n");
  return isPlain ? name : `\n${kind} ${name}`;
}

/** What of an entry is pinned; the same object for the same entry. */
export function pinOf(kind: EntryKind, entry: JsonObject): JsonObject {
  if (kind !== "skill" && kind !== "resource") return entry;
  const known = pins.get(entry);
  if (known !== undefined) return known;
  const pin = kind === "skill" ? skillPin(entry) : withoutVolatile(entry);
  pins.set(entry, pin);
  return pin;
}

const pins = new WeakMap<JsonObject, JsonObject>();

function skillPin({ uri, frontmatter, resources }: JsonObject): JsonObject {
  return { name: uri, frontmatter, resources };
}

/** A file that is written to is no other resource: its size and the time of its last change say nothing to a model. */
function withoutVolatile(resource: JsonObject): JsonObject {
  const { size, annotations, ...others } = resource;
  const isDated = isJsonObject(annotations) && isDate(annotations["lastModified"]);
  const { lastModified: _, ...hints } = isDated ? annotations : {};
  return {
    ...others,
    ...(size === undefined || typeof size === "number" || isRawNumber(size) ? {} : { size }),
    ...(annotations === undefined ? {} : { annotations: isDated ? hints : annotations }),
  };
}

function isDate(value: unknown): boolean {
  return typeof value === "string" && /^\d{4}-\d\d-\d\d[T ]?[\d:.,+Z-]*$/.test(value);
}

/** Each listed tool has an input schema, which the gateway makes up where a server gives none. */
export function isSkillPin({ inputSchema, frontmatter }: JsonObject): boolean {
  return inputSchema === undefined && frontmatter !== undefined;
}

// A server's objects are its own until it lists again: each is read once, whatever is rebuilt meanwhile.
const digests = new WeakMap<JsonObject, string>();

/** Equal for entries that mean the same, however their keys are ordered. SHA-256, base64url. */
export function entryDigest(entry: JsonObject): string {
  return digests.get(entry) ?? entryPin(entry).digest;
}

export function entryPin(entry: JsonObject): { readonly digest: string; readonly text: string } {
  const text = textOf(entry, membersOf(entry));
  const digest = `${WHOLE}${hash("sha256", text, "base64url")}`;
  digests.set(entry, digest);
  return { digest, text };
}

/**
 * Whether all that an earlier version remembered of a tool is as it was. The rest is remembered as it is now, once: from
 * then on its digest is of the whole.
 */
export function isAsEarlierVersionsSaw(entry: JsonObject, approved: readonly string[]): boolean {
  if (approved.length === 0 || approved.some((digest) => digest.startsWith(WHOLE))) return false;
  const members = isSkillPin(entry) ? ["name", "frontmatter", "resources"] : FIRST_MEMBERS;
  return approved.includes(hash("sha256", textOf(entry, members), "base64url"));
}

function membersOf(entry: JsonObject): readonly string[] {
  const others = Object.keys(entry).filter(
    (member) => !FIRST_MEMBERS.includes(member) && !(member === "execution" && isUsual(entry[member])),
  );
  return [...FIRST_MEMBERS, ...others.sort()];
}

/** What a tool without it means, too: lists of 2025-11-25 have it where those of 2026-07-28 say nothing. */
function isUsual(execution: unknown): boolean {
  return canonical(execution) === '{"taskSupport":"forbidden"}';
}

/** Members as canonical JSON: keys in order, no spaces, numbers with the digits they came with. */
function textOf(entry: JsonObject, members: readonly string[]): string {
  const parts = members.flatMap((member) => {
    const value = Object.hasOwn(entry, member) ? entry[member] : undefined;
    return value === undefined ? [] : [`${JSON.stringify(member)}:${canonical(value)}`];
  });
  return `{${parts.join(",")}}`;
}

function canonical(value: unknown): string {
  return JSON.stringify(inOrder(value)) ?? "null";
}

/** A copy whose keys are in order, at any depth. Whole numbers as keys come first, as they do in any object. */
function inOrder(value: unknown): unknown {
  if (typeof value !== "object" || value === null || isRawNumber(value)) return value;
  if (Array.isArray(value)) {
    return value.some((part) => typeof part === "object" && part !== null) ? value.map(inOrder) : value;
  }
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value).sort()) {
    const part = inOrder(Reflect.get(value, key));
    if (key !== "__proto__") copy[key] = part;
    else Object.defineProperty(copy, key, { value: part, enumerable: true });
  }
  return copy;
}

/** As `entryDigest`, sooner for one that is written byte for byte as one of an earlier list was. */
export class ListDigests {
  #before: ReadonlyMap<string, string> = new Map();
  #now = new Map<string, string>();

  /** The next list begins: what was not in the last one is forgotten. */
  begin(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }

  of(entry: JsonObject): string {
    const key = hash("sha256", JSON.stringify(entry), "base64url");
    const digest = this.#before.get(key) ?? entryDigest(entry);
    this.#now.set(key, digest);
    return digest;
  }
}

export interface MemberChange {
  readonly member: string;
  /** JSON on several lines, a text as it is; null: it has none. */
  readonly before: string | null;
  readonly after: string | null;
}

/** What differs between a pinned text and an entry as it is now; `before` null: nothing of it is known. */
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
  // In canonical order, so that only what differs differs.
  return JSON.stringify(parseExactly(canonical(value)), null, 2);
}
