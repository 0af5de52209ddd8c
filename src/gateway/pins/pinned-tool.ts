// What of a tool is pinned, as one canonical text and its digest: all that its server says of it.
import { hash } from "node:crypto";
import { isRawNumber, parseExactly } from "../../runtime/text/exact-json.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

/** In the order in which they are told; whatever else there is follows by its name. */
const FIRST_MEMBERS = ["name", "title", "description", "inputSchema", "outputSchema", "annotations"];
/** Of digests over all members. Those without it are of a version that left some out. */
const WHOLE = "2.";

/** A skill as it is pinned, among its server's tools: by its URI, which is no tool's name. */
export function skillPin(skill: JsonObject): JsonObject {
  const known = skillPins.get(skill);
  if (known !== undefined) return known;
  const { uri, frontmatter, resources } = skill;
  const pin = { name: uri, frontmatter, resources };
  skillPins.set(skill, pin);
  return pin;
}

/** Each listed tool has an input schema, which the gateway makes up where a server gives none. */
export function isSkillPin({ inputSchema, frontmatter }: JsonObject): boolean {
  return inputSchema === undefined && frontmatter !== undefined;
}

const skillPins = new WeakMap<JsonObject, JsonObject>();

// A server's objects are its own until it lists again: each is read once, whatever is rebuilt meanwhile.
const digests = new WeakMap<JsonObject, string>();

/** Equal for tools that mean the same, however their keys are ordered. SHA-256, base64url. */
export function toolDigest(tool: JsonObject): string {
  return digests.get(tool) ?? toolPin(tool).digest;
}

export function toolPin(tool: JsonObject): { readonly digest: string; readonly text: string } {
  const text = textOf(tool, membersOf(tool));
  const digest = `${WHOLE}${hash("sha256", text, "base64url")}`;
  digests.set(tool, digest);
  return { digest, text };
}

/**
 * Whether all that an earlier version remembered of a tool is as it was. The rest is remembered as it is now, once: from
 * then on its digest is of the whole.
 */
export function isAsEarlierVersionsSaw(tool: JsonObject, approved: readonly string[]): boolean {
  if (approved.length === 0 || approved.some((digest) => digest.startsWith(WHOLE))) return false;
  const members = isSkillPin(tool) ? ["name", "frontmatter", "resources"] : FIRST_MEMBERS;
  return approved.includes(hash("sha256", textOf(tool, members), "base64url"));
}

function membersOf(tool: JsonObject): readonly string[] {
  const others = Object.keys(tool).filter(
    (member) => !FIRST_MEMBERS.includes(member) && !(member === "execution" && isUsual(tool[member])),
  );
  return [...FIRST_MEMBERS, ...others.sort()];
}

/** What a tool without it means, too: lists of 2025-11-25 have it where those of 2026-07-28 say nothing. */
function isUsual(execution: unknown): boolean {
  return canonical(execution) === '{"taskSupport":"forbidden"}';
}

/** Members as canonical JSON: keys in order, no spaces, numbers with the digits they came with. */
function textOf(tool: JsonObject, members: readonly string[]): string {
  const parts = members.flatMap((member) => {
    const value = Object.hasOwn(tool, member) ? tool[member] : undefined;
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

/** As `toolDigest`, sooner for a tool that is written byte for byte as one of an earlier list was. */
export class ListDigests {
  #before: ReadonlyMap<string, string> = new Map();
  #now = new Map<string, string>();

  /** The next list begins: what was not in the last one is forgotten. */
  begin(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }

  of(tool: JsonObject): string {
    const key = hash("sha256", JSON.stringify(tool), "base64url");
    const digest = this.#before.get(key) ?? toolDigest(tool);
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

/** What differs between a pinned text and a tool as it is now; `before` null: nothing of it is known. */
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
