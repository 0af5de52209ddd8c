// Placeholders in a client's texts: `${VARIABLE}`, `${env:VARIABLE}`, `{env:VARIABLE}`, `${VARIABLE:-default}`, `$VARIABLE`,
// `%VARIABLE%`, `${input:ID}`, `${{ secrets.ID }}`, `${workspaceFolder}`, `{file:PATH}`. They become references, or their
// current values. Commands, and references of other tools, have no counterpart.

import { basename, resolve } from "node:path";
import { HIDDEN, isSecretName } from "../config/shown-values.ts";
import { foreignReference } from "../config/values/foreign-reference.ts";
import { escaped, isOnlyReference } from "../config/values/secret-text.ts";
import { VARIABLE_NAME_FORM as NAME } from "../runtime/text/name-forms.ts";
import { trimEnd } from "../runtime/text/trim-end.ts";
import type { Client, ClientSurroundings } from "./client.ts";

interface TextMeaning {
  /** The text as the configuration has it. */
  readonly text: string;
  /** Names of the secrets that the text refers to and that the user still has to set. */
  readonly wanted: readonly string[];
  /** Why the text cannot be used; null: it can. */
  readonly problem: string | null;
}

export type TextReader = ReturnType<typeof createTextReader>;

export interface TextSurroundings extends Pick<ClientSurroundings, "userHome" | "environment" | "keeps"> {
  /** The project's folder; null: the file is not a project's. */
  readonly project: string | null;
  /** What the client replaces besides placeholders in braces. */
  readonly expands: Client["expands"];
  /** The plugin or bundle whose folder the client's words for it mean; absent: it comes with none. */
  readonly package?: string;
  /** The inputs of the file that have a default, by id; absent: it has none. */
  readonly inputs?: ReadonlyMap<string, { readonly usual: string; readonly isSecret: boolean }>;
  /** The folder of the client's file, where its relative `{file:PATH}` begin; absent: it has none. */
  readonly fileFolder?: string;
}

const BRACES = [
  String.raw`\$\{\{\s*(?:secrets|inputs)\.(?<secret>[\w.-]+)\s*\}\}`,
  String.raw`\$\{input:(?<input>[^{}]*)\}`,
  String.raw`\$\{(?:env:)?(?<braced>${NAME})(?::-(?<otherwise>[^{}]*))?\}`,
  String.raw`\{env:(?<env>${NAME})\}`,
  // Within a word it is a part of a password.
  String.raw`(?<![^\s:;=/\\@])%(?<percent>[A-Z][A-Z_]{2}[A-Z0-9_]*)%(?![^\s:;/\\@])`,
  String.raw`\{file:(?<file>[^{}]*)\}`,
  String.raw`\$\{[^{}]*\}|\{\{\s*[A-Z][A-Z_]+\s*\}\}`,
];
const DOLLAR = String.raw`\$(?<dollar>${NAME})`;
/** A credential that a client gets from a command, whatever else its texts may be. */
const COMMAND = String.raw`(?<=^[Bb]earer )!\S+\s.+$`;
const FORMS = {
  braces: formOf(COMMAND),
  file: formOf(COMMAND),
  bang: formOf("(?<=^(?:[Bb]earer )?)!(?!!).+$"),
  dollar: formOf(COMMAND, DOLLAR),
  shell: formOf(COMMAND, DOLLAR, String.raw`\$\([^()]*\)`),
  // A value of only this form is a reference in every client: no real secret is `$GITHUB_TOKEN`.
  lone: /^(?<before>(?:[Bb]earer|[Bb]asic|[Tt]oken) +)?\$(?<dollar>[A-Z][A-Z0-9_]+)$/,
};
function formOf(...more: readonly string[]): RegExp {
  return new RegExp([...BRACES, ...more].join("|"), "gs");
}

/** Whether a text only names a variable, so that it is not a secret. */
export function isVariableNamed(text: string): boolean {
  return /^(?:bearer +)?(?:\$\{[\w:. -]+\}|\{env:\w+\}|\$[A-Z][A-Z0-9_]+)$/i.test(text);
}

/** Placeholders of clients for the folder of a plugin, an extension or a bundle. */
const PACKAGE = /^\$\{(?:(?:CLAUDE_|CODEX_|CURSOR_)?PLUGIN_ROOT|extensionPath|__dirname)\}$/;
/** The folder of a plugin or bundle as the configuration has it. */
const OWN_PACKAGE = "${package}";

/** Placeholders of clients for the folder of a project, a plugin or an extension. */
const FOLDER =
  /^\$\{(?:(?:workspace|project)(?:Folder|Root)?|cwd|PWD|CLAUDE_(?:PROJECT_DIR|PLUGIN_ROOT)|extensionPath)\}$/;

type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "package" }
  | { readonly kind: "file"; readonly path: string; readonly written: string }
  | {
      readonly kind: "variable";
      readonly name: string;
      readonly otherwise: string | null;
      readonly written: string;
    }
  | { readonly kind: "input"; readonly id: string; readonly written: string }
  | { readonly kind: "unknown"; readonly written: string };

function partsOf(text: string, form: RegExp, surroundings: TextSurroundings): Part[] {
  const { userHome, project, expands, fileFolder } = surroundings;
  const parts: Part[] = [];
  let done = 0;
  for (const { 0: written, groups = {}, index } of text.matchAll(form)) {
    if (index > done) parts.push({ kind: "text", text: text.slice(done, index) });
    done = index + written.length;
    const { secret, input = secret, braced, env, percent, dollar, file, otherwise = null } = groups;
    const name = braced ?? env ?? percent ?? dollar;
    if (surroundings.package !== undefined && PACKAGE.test(written)) {
      parts.push({ kind: "package" });
      continue;
    }
    const isFolder = FOLDER.test(written) || written === "${workspaceFolderBasename}";
    if (written === "${userHome}") parts.push({ kind: "text", text: userHome });
    else if (written === "${/}" || written === "${pathSeparator}") parts.push({ kind: "text", text: "/" });
    else if (isFolder && project !== null)
      parts.push({ kind: "text", text: FOLDER.test(written) ? project : basename(project) });
    else if (input !== undefined) parts.push(inputPart(input, written, surroundings));
    else if (file !== undefined && expands === "file" && fileFolder !== undefined)
      parts.push({ kind: "file", path: file.startsWith("~/") ? file : resolve(fileFolder, file), written });
    else if (name !== undefined && !isFolder) parts.push({ kind: "variable", name, otherwise, written });
    else parts.push({ kind: "unknown", written });
  }
  if (done < text.length) parts.push({ kind: "text", text: text.slice(done) });
  return parts;
}

/** A default stands for an input, unless it is a secret. */
function inputPart(id: string, written: string, { inputs }: TextSurroundings): Part {
  const known = inputs?.get(id);
  return known === undefined || known.isSecret
    ? { kind: "input", id, written }
    : { kind: "text", text: known.usual };
}

/** Variables that every service has, so that a reference to one of them stays. */
export const OF_EVERY_SERVICE: ReadonlySet<string> = new Set([
  "HOME",
  "PATH",
  "USER",
  "LOGNAME",
  "PWD",
  "LANG",
]);

/**
 * Makes a reader of texts with placeholders. `secretOf` names the secret that replaces an input or a variable, because
 * a service has few of the variables of a user's shell. `value`: the value to store under that name; null: unknown. `taken`
 * is called for each variable whose value is written out in place of it.
 */
export function createTextReader(
  surroundings: TextSurroundings,
  secretOf: (from: "input" | "variable", id: string, value: string | null) => string,
  taken: (variable: string) => void = () => {},
) {
  const { environment, expands, inputs, keeps = () => false } = surroundings;
  const stays = (name: string): boolean => OF_EVERY_SERVICE.has(name) || keeps(name);
  /** The meanings that refer to a secret of this import, or to a file of secrets. */
  const ownReferences = new WeakSet<TextMeaning>();
  const own = (text: string, wanted: readonly string[] = []): TextMeaning => {
    const meaning = { text, wanted, problem: null };
    ownReferences.add(meaning);
    return meaning;
  };
  const asSecret = (from: "input" | "variable", id: string, value: string | null): TextMeaning => {
    const secret = secretOf(from, id, value);
    return own(`\${secret:${secret}}`, value === null ? [secret] : []);
  };
  const gather = (parts: readonly Part[], mean: (part: Part) => TextMeaning): TextMeaning => {
    const meanings = parts.map(mean);
    const text = meanings.map((one) => one.text).join("");
    const problem = meanings.find((one) => one.problem !== null)?.problem ?? null;
    // Texts and defaults can form a reference only when they are joined.
    const owned = meanings.filter((one) => ownReferences.has(one)).length;
    const isForeign = text.split("${secret:").length - 1 > owned || (owned === 0 && isOnlyReference(text));
    if (problem === null && isForeign) return REVEALING;
    return { text, wanted: meanings.flatMap(({ wanted }) => wanted), problem };
  };
  const form = FORMS[expands ?? "braces"];
  /** The value of a variable, which the daemon does not have; null: there is none. */
  const shellValue = (name: string, otherwise: string | null): string | null => {
    const value = environment[name];
    if (value !== undefined) taken(name);
    return value ?? otherwise;
  };
  return {
    /**
     * Reads a variable or a header, which may contain references. `isBehind`: the program behind which the server runs
     * fills in its own references.
     */
    reference: (given: string, isBehind = false): TextMeaning => {
      const { before = "", dollar } = FORMS.lone.exec(given)?.groups ?? {};
      const text = dollar === undefined ? given : `${before}\${${dollar}}`;
      const foreign = isBehind ? null : foreignReference(text, "lone");
      if (foreign !== null)
        return { ...plainly(escaped(text)), problem: `${beginningOf(text)} is ${foreign}` };
      const plain = expands === "bang" ? text.replace(/^((?:[Bb]earer )?)!!/, "$1!") : text;
      const parts =
        plain === text ? partsOf(text, form, surroundings) : [{ kind: "text", text: plain } as const];
      return gather(parts, (part) => {
        if (part.kind === "text") return plainly(escaped(part.text));
        if (part.kind === "package") return plainly(OWN_PACKAGE);
        if (part.kind === "file") return plainly(`\${file:${part.path}}`);
        if (part.kind === "unknown") return { ...plainly(escaped(part.written)), problem: onlyThere(part) };
        if (part.kind === "input") return asSecret("input", part.id, inputs?.get(part.id)?.usual ?? null);
        const { name, otherwise } = part;
        if (environment[name] !== undefined && stays(name)) return plainly(`\${${name}}`);
        if (environment[name] !== undefined && isSecretName(name))
          return asSecret("variable", name, environment[name]);
        const value = shellValue(name, otherwise);
        return value === null ? asSecret("variable", name, null) : plainly(escaped(value));
      });
    },
    /**
     * Reads an argument or an address, which may refer to stored secrets only. `mayRefer`: false for a program or a
     * path, which may not. `isCode`: a shell reads it, and may know the variables that are not set here.
     */
    plain: (text: string, mayRefer: boolean, isBehind = false, isCode = false): TextMeaning => {
      const foreign = isBehind ? null : foreignReference(text, "address");
      if (foreign !== null) return { ...plainly(text), problem: `${text} is ${foreign}` };
      return gather(partsOf(text, form, surroundings), (part) => {
        if (part.kind === "text") return plainly(part.text);
        if (part.kind === "package") return plainly(OWN_PACKAGE);
        // A placeholder without a value becomes `(NAME)`, in which nothing may be taken for the name of a secret.
        const written = isNamed(part) ? part.written : "placeholder";
        const inside = trimEnd(written.replace(/^[$%{]+/, ""), "%}").replaceAll(":", " ");
        const gap = plainly(inside.startsWith("(") ? written : `(${inside})`);
        if (part.kind === "input" && mayRefer)
          return asSecret("input", part.id, inputs?.get(part.id)?.usual ?? null);
        if (part.kind !== "variable") return { ...gap, problem: onlyThere(part) };
        const { name, otherwise } = part;
        if (isSecretName(name) && mayRefer) return asSecret("variable", name, environment[name] ?? otherwise);
        const value = shellValue(name, otherwise);
        if (value !== null) return plainly(value);
        if (isCode && written.startsWith(`$${name}`)) return plainly(written);
        return { ...gap, problem: `the variable ${name} is not set here` };
      });
    },
  };
}

/** For a text that is plain for the client, but would reveal a secret of this home to the server. */
const REVEALING: TextMeaning = {
  text: HIDDEN,
  wanted: [],
  problem: "a text of it would mean a secret that is stored here",
};

function plainly(text: string): TextMeaning {
  return { text, wanted: [], problem: null };
}

/** False: what only looks like a placeholder may be a part of a secret. */
function isNamed({ written }: Extract<Part, { readonly written: string }>): boolean {
  return /^[$%{]*[\w:. /-]+[%}]*$/.test(written);
}

/** A header's or variable's value is shown nowhere. */
function beginningOf(text: string): string {
  return `${/^(?:\w+ +)?(?:\$\(|`|[\w+]+:\/\/)?/.exec(text)?.[0] ?? ""}…`;
}

function onlyThere(part: Extract<Part, { readonly written: string }>): string {
  const written = isNamed(part) ? part.written : HIDDEN;
  const isCommand = /^[!$]\(?(?!\{)/.test(part.written);
  return `${written} ${isCommand ? "is a command, which is never run" : "has a meaning only in the client"}`;
}
