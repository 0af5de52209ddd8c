// Owns what is wrong with single keys and values: turns what the schema says into mistakes for people.
import type * as z from "zod";
import { closestWord } from "../runtime/suggest.ts";
import { describeKind, describeValue, type Finding, type KeyPath, MISSING } from "./mistakes.ts";
import { type IssueDetail, SECTIONS, type SectionDoc } from "./schema.ts";

function isIndexable(value: unknown): value is Readonly<Record<string | number, unknown>> {
  return typeof value === "object" && value !== null;
}

function valueAt(root: unknown, path: KeyPath): unknown {
  let value = root;
  for (const segment of path) {
    if (!isIndexable(value) || !Object.hasOwn(value, segment)) return undefined;
    value = value[segment];
  }
  return value;
}

function sectionOf(path: KeyPath): SectionDoc | null {
  return SECTIONS.find(({ name }) => name === path[0]) ?? null;
}

/** What may have been meant by a key that is unknown below `parent`: a mistyped one, or one that is right elsewhere. */
export function unknownKeyHint(parent: KeyPath, key: string): string | null {
  const siblings = parent.length === 0 ? SECTIONS.map(({ name }) => name) : (sectionOf(parent)?.keys ?? []);
  const meant = closestWord(key, siblings);
  if (meant !== null) return `did you mean \`${meant}\`?`;
  const home = SECTIONS.find((section) => section.keys.includes(key));
  if (home !== undefined) return `\`${key}\` belongs in \`${home.header}\``;
  for (const section of SECTIONS) {
    const elsewhere = closestWord(key, section.keys);
    if (elsewhere !== null) return `did you mean \`${elsewhere}\` in \`${section.header}\`?`;
  }
  return null;
}

const SECTION_HEADERS = SECTIONS.map(({ header }) => `\`${header}\``)
  .join(", ")
  .replace(/, (?!.*, )/, " or ");

function unknownKeyFinding(parent: KeyPath, key: string): Finding {
  const section = sectionOf(parent);
  const expected = section === null ? `a section: ${SECTION_HEADERS}` : `a key of \`${section.header}\``;
  return {
    path: [...parent, key],
    at: "key",
    found: "an unknown key",
    expected,
    hint: unknownKeyHint(parent, key),
  };
}

function isDetail(value: unknown): value is IssueDetail {
  return isIndexable(value) && typeof value["found"] === "string" && typeof value["expected"] === "string";
}

const YES_AND_NO: Readonly<Record<string, string>> = {
  true: "true",
  yes: "true",
  on: "true",
  "1": "true",
  false: "false",
  no: "false",
  off: "false",
  "0": "false",
};

function wrongValueHint(value: unknown, type: string, choices: readonly string[] | null): string | null {
  if (typeof value === "string") {
    const meant = choices === null ? null : closestWord(value, choices);
    if (meant !== null) return `did you mean "${meant}"?`;
    const text = value.trim().toLowerCase();
    if (type.endsWith("number") && text !== "" && Number.isFinite(Number(text)))
      return "write the number without quotes";
    const word = type === "true or false" && Object.hasOwn(YES_AND_NO, text) ? YES_AND_NO[text] : undefined;
    return word === undefined ? null : `write ${word}, without quotes`;
  }
  if (type === "true or false" && (value === 0 || value === 1)) return `write ${value === 1}`;
  if (type === "whole number" && typeof value === "number") return null;
  if (typeof value === "number" || typeof value === "boolean")
    return type.endsWith("number") ? null : "write it in quotes";
  return null;
}

/** A section of the wrong kind, or one that is empty. */
function sectionFinding(root: unknown, path: KeyPath): Finding {
  const value = valueAt(root, path);
  const found = describeValue(value);
  if (path[0] === "shares" && path.length === 1) {
    const hint = "each share begins with `[[shares]]` (YAML: `shares:` and `- name: …`)";
    return { path, at: "key", found, expected: "a list of shares", hint };
  }
  const expected = path[0] === "shares" ? "a table with the keys of a share" : "a table";
  return { path, at: "value", found, expected, hint: null };
}

function leafFinding(root: unknown, path: KeyPath, section: SectionDoc, key: string): Finding {
  const doc = section.keyDoc(key);
  const value = valueAt(root, path);
  const found = key === "password" ? describeKind(value) : describeValue(value);
  const isMissing = found === MISSING;
  // Not for the password: a hint that reads the value would tell of it.
  const hint = key === "password" ? null : wrongValueHint(value, doc.type, doc.choices);
  return { path, at: isMissing ? "key" : "value", found, expected: doc.expected, hint };
}

function isKeyPath(path: readonly PropertyKey[]): path is (string | number)[] {
  return path.every((segment) => typeof segment !== "symbol");
}

/** Mistakes for zod's issues about `root`, at most `limit`. */
export function valueFindings(root: unknown, issues: readonly z.core.$ZodIssue[], limit: number): Finding[] {
  const findings: Finding[] = [];
  for (const issue of issues) {
    if (findings.length >= limit) break;
    const { path } = issue;
    if (!isKeyPath(path)) continue;
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys.slice(0, limit - findings.length))
        findings.push(unknownKeyFinding(path, key));
      continue;
    }
    const detail = issue.code === "custom" ? issue.params?.["detail"] : undefined;
    const section = sectionOf(path);
    const key = path.at(-1);
    if (isDetail(detail)) findings.push({ path, at: "value", ...detail });
    else if (section !== null && typeof key === "string" && section.keys.includes(key)) {
      findings.push(leafFinding(root, path, section, key));
    } else findings.push(sectionFinding(root, path));
  }
  return findings;
}

/** What is wrong with `value` for one key, its path being the key alone; empty when the key takes it. */
export function keyFindings(section: SectionDoc, key: string, value: unknown): Finding[] {
  const checked = section.keySchema(key).safeParse(value);
  if (checked.success) return [];
  return checked.error.issues.map((issue) => {
    const detail = issue.code === "custom" ? issue.params?.["detail"] : undefined;
    const path = [key];
    return isDetail(detail)
      ? { path, at: "value", ...detail }
      : leafFinding({ [key]: value }, path, section, key);
  });
}
