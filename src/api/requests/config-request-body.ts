// Owns the reading of request bodies about the configuration, by hand as request-body.ts does; a test holds it to
// the schemas of config-contract-schemas.ts.
import type { EditRequest, EditTextRequest, ReloadRequest, RollbackRequest } from "../contract.ts";
import { type Field, flag, readFields, text } from "./request-fields.ts";

/** As schema and reader understand a `source`: a word that a log line and the history can show. */
export const SOURCE_FORM = /^[a-z][a-z0-9-]{0,31}$/;
/** SHA-256, hexadecimal. */
export const SHA256_FORM = /^[0-9a-f]{64}$/;
/** Far more than a panel or a command edits at once. */
export const MOST_EDITS = 1_000;

const sha256: Field<string> = {
  holds: (value): value is string => typeof value === "string" && SHA256_FORM.test(value),
  expected: "a SHA-256 in small hexadecimal digits",
};
const source: Field<string> = {
  holds: (value): value is string => typeof value === "string" && SOURCE_FORM.test(value),
  expected: "a word of small letters",
};
const edits: Field<EditRequest["edits"]> = {
  holds: (value): value is EditRequest["edits"] =>
    Array.isArray(value) && value.length <= MOST_EDITS && value.every(isEdit),
  expected:
    `a list of at most ${MOST_EDITS} { key, value }, each value a text or null, { add, entry } or ` +
    "{ remove, name } of shares or aliases",
};
const entry: Field<number> = {
  holds: (value): value is number => typeof value === "number" && Number.isInteger(value) && value >= 0,
  expected: "a whole number from 0",
};

function isEdit(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 2) return false;
  if ("key" in value && "value" in value)
    return text.holds(value.key) && (value.value === null || text.holds(value.value));
  if ("add" in value && "entry" in value) return isList(value.add) && isEntry(value.entry);
  return "remove" in value && "name" in value && isList(value.remove) && text.holds(value.name);
}

function isList(value: unknown): boolean {
  return value === "shares" || value === "aliases";
}

function isEntry(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(([key, part]) => text.holds(key) && text.holds(part));
}

/** Reads `{ dry_run? }`. Throws `protocol`, as all of these do, naming the field that is wrong. */
export function readReloadRequest(body: string): ReloadRequest {
  return readFields<ReloadRequest>(body, { dry_run: flag }, []);
}

export function readEditRequest(body: string): EditRequest {
  return readFields<EditRequest>(body, { edits, expected_sha256: sha256, source }, ["edits", "source"]);
}

export function readEditTextRequest(body: string): EditTextRequest {
  const reading = { text, expected_sha256: sha256, source };
  return readFields<EditTextRequest>(body, reading, ["text", "expected_sha256", "source"]);
}

export function readRollbackRequest(body: string): RollbackRequest {
  return readFields<RollbackRequest>(body, { n: entry, sha256, expected_sha256: sha256 }, []);
}
