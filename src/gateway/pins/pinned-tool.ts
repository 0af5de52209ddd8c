// What of a tool is pinned, as one canonical text and its digest: whatever a model or a person decides by.
import { hash } from "node:crypto";
import { isRawNumber, parseExactly } from "../../runtime/text/exact-json.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

/** In the order in which they are told. */
export const PINNED_MEMBERS = [
  "name",
  "title",
  "description",
  "inputSchema",
  "outputSchema",
  "annotations",
  "frontmatter",
  "resources",
] as const;
type PinnedMember = (typeof PINNED_MEMBERS)[number];

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
  const text = toolText(tool);
  const digest = hash("sha256", text, "base64url");
  digests.set(tool, digest);
  return { digest, text };
}

/** The pinned members as canonical JSON: keys in order, no spaces, numbers with the digits they came with. */
function toolText(tool: JsonObject): string {
  const { name, title, description, inputSchema, outputSchema, annotations } = tool;
  if (isSkillPin(tool)) {
    const { frontmatter, resources } = tool;
    return JSON.stringify({ name, frontmatter: inOrder(frontmatter), resources: inOrder(resources) });
  }
  return JSON.stringify({
    name,
    title,
    description,
    inputSchema: inOrder(inputSchema),
    outputSchema: inOrder(outputSchema),
    annotations: inOrder(annotations),
  });
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
    const { name, title, description, inputSchema, outputSchema, annotations } = tool;
    const of = isSkillPin(tool) ? [tool["frontmatter"], tool["resources"]] : [];
    const raw = JSON.stringify([name, title, description, inputSchema, outputSchema, annotations, ...of]);
    const key = hash("sha256", raw, "base64url");
    const digest = this.#before.get(key) ?? toolDigest(tool);
    this.#now.set(key, digest);
    return digest;
  }
}

export interface MemberChange {
  readonly member: PinnedMember;
  /** JSON on several lines, a text as it is; null: it has none. */
  readonly before: string | null;
  readonly after: string | null;
}

/** What differs between a pinned text and a tool as it is now; `before` null: nothing of it is known. */
export function memberChanges(before: string | null, after: JsonObject): readonly MemberChange[] {
  const was: unknown = before === null ? {} : parseExactly(before);
  const old = isJsonObject(was) ? was : {};
  const isSkill = isSkillPin(after);
  return PINNED_MEMBERS.flatMap((member) => {
    // What a tool calls so is nothing of ours.
    if (!isSkill && (member === "frontmatter" || member === "resources")) return [];
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
