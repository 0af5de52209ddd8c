// Entries of a server's lists, checked against what strict clients accept: one bad entry makes them drop the whole list.
// Pure. The rules hold for the revisions 2025-06-18 to 2026-07-28 of the specification ("Schema reference": Tool,
// Resource, ResourceTemplate, Prompt) and for the official TypeScript SDK 1.32, which is stricter.
import { isRawNumber } from "../../runtime/text/exact-json.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import type { Listings } from "./catalog.ts";
import { checkSkill } from "./skill-check.ts";

export interface CheckedEntry {
  /** The server's own object when nothing was mended; null: it must not reach a client. */
  readonly entry: JsonObject | null;
  /** Each names the member and what is wrong with it, as "description is null". */
  readonly faults: readonly string[];
}

/**
 * A member that may be missing and is malformed is left out, and one that can be made up without harm is; what nobody can
 * guess withholds the entry. `isModern`: of a server of 2026-07-28, whose results may be anything.
 */
export function checkEntry(list: keyof Listings, entry: JsonObject, isModern = false): CheckedEntry {
  if (list === "skills") return checkSkill(entry);
  const mender = new Mender(entry);
  const isSound = CHECKS[list](mender, isModern);
  return { entry: isSound ? mender.mended : null, faults: mender.faults ?? NO_FAULTS };
}

/** Of one entry; a server may have thousands. */
const FAULTS_AT_MOST = 10;
const NO_FAULTS: readonly string[] = [];

/** Collects faults, and makes a copy at the first one that is mended. */
class Mender {
  #value: JsonObject;
  readonly #parent: Mender | null;
  readonly #key: string;
  #copy: Record<string, unknown> | null = null;
  /** Of the outermost one; null: none. */
  #faults: string[] | null = null;

  constructor(value: JsonObject, parent: Mender | null = null, key = "") {
    this.#value = value;
    this.#parent = parent;
    this.#key = key;
  }

  get faults(): readonly string[] | null {
    return this.#faults;
  }

  get mended(): JsonObject {
    return this.#value;
  }

  get(key: string): unknown {
    return Object.hasOwn(this.#value, key) ? this.#value[key] : undefined;
  }

  note(key: string, wanted: string, value: unknown = this.get(key)): void {
    this.#emit(key, toldOf(value, wanted));
  }

  #emit(path: string, what: string): void {
    if (this.#parent !== null) {
      this.#parent.#emit(`${this.#key}.${path}`, what);
      return;
    }
    this.#faults ??= [];
    if (this.#faults.length < FAULTS_AT_MOST) this.#faults.push(`${path} ${what}`);
  }

  /** Also of a name as `__proto__`. */
  set(key: string, value: unknown): void {
    Object.defineProperty(this.#ownCopy(), key, {
      value,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }

  leaveOut(key: string, wanted: string): void {
    this.note(key, wanted);
    delete this.#ownCopy()[key];
  }

  #ownCopy(): Record<string, unknown> {
    this.#copy ??= { ...this.#value };
    this.#value = this.#copy;
    return this.#copy;
  }

  /** A member that may be missing. */
  optional(key: string, isSound: (value: unknown) => boolean, wanted: string): void {
    const value = this.get(key);
    if (value !== undefined && !isSound(value)) this.leaveOut(key, wanted);
  }

  /** A member that may be missing, and whose own members are checked. */
  object(key: string, check: (inner: Mender) => void): void {
    const value = this.get(key);
    if (value === undefined) return;
    if (!isJsonObject(value)) {
      this.leaveOut(key, "an object");
      return;
    }
    const inner = new Mender(value, this, key);
    check(inner);
    if (inner.#copy !== null) this.set(key, inner.mended);
  }

  /** The same for the elements of a list; those for which `check` says false are left out, or all of it is refused. */
  list(key: string, check: (inner: Mender) => boolean, onBadElement: "leave out" | "refuse"): boolean {
    const value = this.get(key);
    if (value === undefined) return true;
    if (!Array.isArray(value)) {
      if (onBadElement === "refuse" && value !== null) {
        this.note(key, "a list");
        return false;
      }
      this.leaveOut(key, "a list");
      return true;
    }
    let isChanged = false;
    const kept: unknown[] = [];
    for (const [index, element] of value.entries()) {
      const at = `${key}[${index}]`;
      if (!isJsonObject(element)) this.note(at, "an object", element);
      const inner = isJsonObject(element) ? new Mender(element, this, at) : null;
      if (inner !== null && check(inner)) kept.push(inner.mended);
      else if (onBadElement === "refuse") return false;
      isChanged ||= inner === null || inner.#copy !== null || kept.length <= index;
    }
    if (isChanged) this.set(key, kept);
    return true;
  }
}

const CHECKS: Readonly<
  Record<Exclude<keyof Listings, "skills">, (entry: Mender, isModern: boolean) => boolean>
> = {
  tools(entry, isModern) {
    describe(entry);
    entry.object("annotations", (annotations) => {
      annotations.optional("title", isText, "a string");
      for (const hint of TOOL_HINTS) annotations.optional(hint, isBoolean, "true or false");
    });
    entry.object("execution", (execution) =>
      execution.optional("taskSupport", isOneOf(TASK_SUPPORT), `one of ${TASK_SUPPORT.join(", ")}`),
    );
    checkOutputSchema(entry, isModern);
    return checkInputSchema(entry);
  },
  resources(entry) {
    describe(entry);
    nameBy(entry, "uri");
    entry.optional("mimeType", isText, "a string");
    entry.optional("size", isNumber, "a number");
    entry.object("annotations", checkAnnotations);
    return true;
  },
  resourceTemplates(entry) {
    describe(entry);
    nameBy(entry, "uriTemplate");
    entry.optional("mimeType", isText, "a string");
    entry.object("annotations", checkAnnotations);
    return true;
  },
  prompts(entry) {
    describe(entry);
    const isSound = (argument: Mender): boolean => {
      argument.optional("title", isText, "a string");
      argument.optional("description", isText, "a string");
      argument.optional("required", isBoolean, "true or false");
      if (isText(argument.get("name"))) return true;
      argument.note("name", "a string");
      return false;
    };
    return entry.list("arguments", isSound, "refuse");
  },
};

const TOOL_HINTS = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];
const TASK_SUPPORT = ["required", "optional", "forbidden"];

/** What all kinds of entries may have. */
function describe(entry: Mender): void {
  entry.optional("title", isText, "a string");
  entry.optional("description", isText, "a string");
  entry.optional("_meta", isJsonObject, "an object");
  const isSound = (icon: Mender): boolean => {
    icon.optional("mimeType", isText, "a string");
    icon.optional("sizes", isListOfTexts, "a list of strings");
    icon.optional("theme", isOneOf(["light", "dark"]), "light or dark");
    if (isText(icon.get("src"))) return true;
    icon.note("src", "a string");
    return false;
  };
  entry.list("icons", isSound, "leave out");
}

/** It is only shown; what it stands for is known by its URI. */
function nameBy(entry: Mender, key: string): void {
  if (isText(entry.get("name"))) return;
  entry.note("name", "a string");
  const title = entry.get("title");
  entry.set("name", isText(title) && title !== "" ? title : entry.get(key));
}

function checkAnnotations(annotations: Mender): void {
  const isAudience = (value: unknown): boolean =>
    Array.isArray(value) && value.every(isOneOf(["user", "assistant"]));
  annotations.optional("audience", isAudience, "a list of user, assistant");
  annotations.optional("priority", (value) => isNumber(value) && isShare(Number(numberOf(value))), "0 to 1");
  annotations.optional("lastModified", isTime, "a time as 2026-01-31T12:00:00Z");
}

/** Every tool takes an object; of one that does not say so it is known all the same. */
function checkInputSchema(entry: Mender): boolean {
  const schema = entry.get("inputSchema");
  if (schema === undefined || schema === null) {
    entry.note("inputSchema", "an object");
    entry.set("inputSchema", { type: "object" });
    return true;
  }
  if (!isJsonObject(schema) || (schema["type"] !== undefined && schema["type"] !== "object")) {
    if (isJsonObject(schema)) entry.object("inputSchema", (inner) => inner.note("type", '"object"'));
    else entry.note("inputSchema", "an object");
    return false;
  }
  entry.object("inputSchema", (inner) => {
    if (inner.get("type") === undefined) {
      inner.note("type", '"object"');
      inner.set("type", "object");
    }
    checkProperties(inner);
  });
  return true;
}

/** Without it, clients take the result as it comes. */
function checkOutputSchema(entry: Mender, isModern: boolean): void {
  const schema = entry.get("outputSchema");
  if (isJsonObject(schema) && (schema["type"] === "object" || isModern))
    entry.object("outputSchema", checkProperties);
  else entry.optional("outputSchema", () => false, 'an object of type "object"');
}

/** `true` and `false` are schemas too ([JSON Schema 2020-12] 4.3.2), which the SDK does not know. */
function checkProperties(schema: Mender): void {
  schema.optional("required", isListOfTexts, "a list of strings");
  schema.object("properties", (properties) => {
    for (const name of Object.keys(properties.mended)) {
      const value = properties.get(name);
      if (isJsonObject(value)) continue;
      if (value === false) properties.set(name, { not: {} });
      else {
        if (value !== true) properties.note(name, "a schema");
        properties.set(name, {});
      }
    }
  });
}

const isText = (value: unknown): value is string => typeof value === "string";
const isBoolean = (value: unknown): boolean => typeof value === "boolean";
/** Clients read one that is too large as infinite, and refuse that. */
const isNumber = (value: unknown): boolean =>
  typeof value === "number" || (isRawNumber(value) && Number.isFinite(Number(value.rawJSON)));
const isListOfTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);
const isShare = (value: number): boolean => value >= 0 && value <= 1;
const numberOf = (value: unknown): unknown => (isRawNumber(value) ? value.rawJSON : value);

function isOneOf(values: readonly string[]): (value: unknown) => boolean {
  return (value) => isText(value) && values.includes(value);
}

const TIME = /^(\d{4}-\d{2}-\d{2})T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/;

/** RFC 3339, of a day that exists. */
function isTime(value: unknown): boolean {
  const day = isText(value) ? TIME.exec(value)?.[1] : undefined;
  if (day === undefined) return false;
  const midnight = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(day);
}

function toldOf(value: unknown, wanted: string): string {
  if (value === undefined) return "is missing";
  if (value === null) return "is null";
  if (Array.isArray(value)) return `is a list, not ${wanted}`;
  if (isJsonObject(value)) return `is an object, not ${wanted}`;
  const shown = typeof value === "string" && value.length <= 30 ? JSON.stringify(value) : `a ${typeof value}`;
  return `is ${shown}, not ${wanted}`;
}
