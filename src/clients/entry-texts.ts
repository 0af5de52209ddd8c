// Placeholders in a client's texts: `${VARIABLE}`, `${env:VARIABLE}`, `{env:VARIABLE}`, `${VARIABLE:-default}`, `$VARIABLE`,
// `%VARIABLE%`, `${input:ID}`, `${{ secrets.ID }}`, `${workspaceFolder}`. They become references, or their current values.

import { basename } from "node:path";
import { HIDDEN, isSecretName } from "../config/shown-values.ts";
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

export interface TextSurroundings extends Pick<ClientSurroundings, "userHome" | "environment"> {
  /** The project's folder; null: the file is not a project's. */
  readonly project: string | null;
  /** What the client replaces besides placeholders in braces. */
  readonly expands: Client["expands"];
}

const BRACES = [
  String.raw`\$\{\{\s*(?:secrets|inputs)\.(?<secret>[\w.-]+)\s*\}\}`,
  String.raw`\$\{input:(?<input>[^{}]*)\}`,
  String.raw`\$\{(?:env:)?(?<braced>${NAME})(?::-(?<otherwise>[^{}]*))?\}`,
  String.raw`\{env:(?<env>${NAME})\}`,
  "%(?<percent>[A-Z][A-Z_]{2}[A-Z0-9_]*)%",
  String.raw`\$\{[^{}]*\}|\{\{\s*[A-Z][A-Z_]+\s*\}\}|\{file:[^{}]*\}`,
];
const DOLLAR = String.raw`\$(?<dollar>${NAME})`;
const FORMS = {
  braces: new RegExp(BRACES.join("|"), "g"),
  dollar: new RegExp([...BRACES, DOLLAR].join("|"), "g"),
  shell: new RegExp([...BRACES, DOLLAR, String.raw`\$\([^()]*\)`].join("|"), "g"),
  // A value of only this form is a reference in every client: no real secret is `$GITHUB_TOKEN`.
  lone: /^(?<before>(?:[Bb]earer|[Bb]asic|[Tt]oken) +)?\$(?<dollar>[A-Z][A-Z0-9_]+)$/,
};
/** Whether a text only names a variable, so that it is not a secret. */
export function isVariableNamed(text: string): boolean {
  return /^(?:bearer +)?(?:\$\{[\w:. -]+\}|\{env:\w+\}|\$[A-Z][A-Z0-9_]+)$/i.test(text);
}

/** Placeholders of clients for the folder of a project, a plugin or an extension. */
const FOLDER =
  /^\$\{(?:(?:workspace|project)(?:Folder|Root)?|cwd|PWD|CLAUDE_(?:PROJECT_DIR|PLUGIN_ROOT)|extensionPath)\}$/;

type Part =
  | { readonly kind: "text"; readonly text: string }
  | {
      readonly kind: "variable";
      readonly name: string;
      readonly otherwise: string | null;
      readonly written: string;
    }
  | { readonly kind: "input"; readonly id: string; readonly written: string }
  | { readonly kind: "unknown"; readonly written: string };

function partsOf(text: string, form: RegExp, { userHome, project }: TextSurroundings): Part[] {
  const parts: Part[] = [];
  let done = 0;
  for (const { 0: written, groups = {}, index } of text.matchAll(form)) {
    if (index > done) parts.push({ kind: "text", text: text.slice(done, index) });
    done = index + written.length;
    const { secret, input = secret, braced, env, percent, dollar, otherwise = null } = groups;
    const name = braced ?? env ?? percent ?? dollar;
    const isFolder = FOLDER.test(written) || written === "${workspaceFolderBasename}";
    if (written === "${userHome}") parts.push({ kind: "text", text: userHome });
    else if (written === "${/}" || written === "${pathSeparator}") parts.push({ kind: "text", text: "/" });
    else if (isFolder && project !== null)
      parts.push({ kind: "text", text: FOLDER.test(written) ? project : basename(project) });
    else if (input !== undefined) parts.push({ kind: "input", id: input, written });
    else if (name !== undefined && !isFolder) parts.push({ kind: "variable", name, otherwise, written });
    else parts.push({ kind: "unknown", written });
  }
  if (done < text.length) parts.push({ kind: "text", text: text.slice(done) });
  return parts;
}

/**
 * Makes a reader of texts with placeholders. `secretOf` names the secret that replaces an input or a variable, because
 * a service has few of the variables of a user's shell. `value`: the value to store under that name; null: unknown.
 */
export function createTextReader(
  surroundings: TextSurroundings,
  secretOf: (from: "input" | "variable", id: string, value: string | null) => string,
) {
  const { environment, expands } = surroundings;
  /** The meanings that refer to a secret of this import. */
  const ownReferences = new WeakSet<TextMeaning>();
  const asSecret = (from: "input" | "variable", id: string, value: string | null): TextMeaning => {
    const secret = secretOf(from, id, value);
    const meaning = { text: `\${secret:${secret}}`, wanted: value === null ? [secret] : [], problem: null };
    ownReferences.add(meaning);
    return meaning;
  };
  const gather = (parts: readonly Part[], mean: (part: Part) => TextMeaning): TextMeaning => {
    const meanings = parts.map(mean);
    const text = meanings.map((one) => one.text).join("");
    const problem = meanings.find((one) => one.problem !== null)?.problem ?? null;
    // Texts and defaults can form a reference only when they are joined.
    const owned = meanings.filter((one) => ownReferences.has(one)).length;
    if (problem === null && text.split("${secret:").length - 1 > owned) return REVEALING;
    return { text, wanted: meanings.flatMap(({ wanted }) => wanted), problem };
  };
  const form = FORMS[expands ?? "braces"];
  return {
    /** Reads a variable or a header, which may contain references. */
    reference: (text: string): TextMeaning => {
      const { before = "", dollar } = FORMS.lone.exec(text)?.groups ?? {};
      const plain = dollar === undefined ? text : `${before}\${${dollar}}`;
      return withoutSecretReference(
        gather(partsOf(plain, form, surroundings), (part) => {
          if (part.kind === "text") return plainly(escaped(part.text));
          if (part.kind === "unknown") return { ...plainly(escaped(part.written)), problem: onlyThere(part) };
          if (part.kind === "input") return asSecret("input", part.id, null);
          const { name, otherwise } = part;
          if (environment[name] !== undefined) return plainly(`\${${name}}`);
          return otherwise === null ? asSecret("variable", name, null) : plainly(escaped(otherwise));
        }),
      );
    },
    /**
     * Reads an argument or an address, which may refer to stored secrets only. `mayRefer`: false for a program or a
     * path, which may not.
     */
    plain: (text: string, mayRefer: boolean): TextMeaning =>
      gather(partsOf(text, form, surroundings), (part) => {
        if (part.kind === "text") return plainly(part.text);
        // A placeholder without a value becomes `(NAME)`, in which nothing may be taken for the name of a secret.
        const inside = trimEnd(part.written.replace(/^[$%{]+/, ""), "%}").replaceAll(":", " ");
        const gap = plainly(inside.startsWith("(") ? part.written : `(${inside})`);
        if (part.kind === "input" && mayRefer) return asSecret("input", part.id, null);
        if (part.kind !== "variable") return { ...gap, problem: onlyThere(part) };
        const { name, otherwise, written } = part;
        const value = environment[name] ?? otherwise;
        if (isSecretName(name) && mayRefer) return asSecret("variable", name, value);
        if (value !== null) return plainly(value);
        // The shell that gets this argument may know what the client leaves to it.
        if (written.startsWith(`$${name}`)) return plainly(written);
        return { ...gap, problem: `the variable ${name} is not set here` };
      }),
  };
}

const REVEALING: TextMeaning = {
  text: HIDDEN,
  wanted: [],
  problem: "a text of it would mean a secret that is stored here",
};

/**
 * Rejects the text `secret:NAME`, which is plain text for the client. Here it would refer to a stored secret, and
 * reveal that secret to the server.
 */
function withoutSecretReference(meaning: TextMeaning): TextMeaning {
  if (!isOnlyReference(meaning.text) || meaning.problem !== null || meaning.wanted.length > 0) return meaning;
  return REVEALING;
}

function plainly(text: string): TextMeaning {
  return { text, wanted: [], problem: null };
}

function onlyThere({ written }: Exclude<Part, { readonly kind: "text" }>): string {
  const isCommand = written.startsWith("$(");
  return `${written} ${isCommand ? "is a command, which is never run" : "has a meaning only in the client"}`;
}
