// Placeholders in a client's texts: `${VARIABLE}`, `${env:VARIABLE}`, `${VARIABLE:-default}`, `${input:ID}`,
// `${userHome}`. They become references, or their current values.

import { HIDDEN, isSecretName } from "../config/shown-values.ts";
import { escaped, isStoredAlone } from "../config/values/secret-text.ts";
import { VARIABLE_NAME_FORM } from "../runtime/text/name-forms.ts";
import type { ClientSurroundings } from "./client.ts";

interface TextMeaning {
  /** The text as the configuration has it; for an argument, plain text. */
  readonly text: string;
  /** Names of the secrets that the text refers to and that the user still has to set. */
  readonly wanted: readonly string[];
  /** Why the text cannot be used; null: it can. */
  readonly problem: string | null;
}

export type TextReader = ReturnType<typeof createTextReader>;

const PLACEHOLDER = /\$\{([^{}]*)\}/g;
const VARIABLE = new RegExp(`^(?:env:)?(${VARIABLE_NAME_FORM})(?::-(.*))?$`, "s");
/** Placeholders of editors that are not environment variables. */
const PLACES = /^workspaceFolder(?:Basename)?$/;

type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "variable"; readonly name: string; readonly otherwise: string | null }
  | { readonly kind: "input"; readonly id: string }
  | { readonly kind: "unknown"; readonly written: string };

function partsOf(text: string, userHome: string): Part[] {
  const parts: Part[] = [];
  let done = 0;
  for (const { 0: written, 1: inside = "", index } of text.matchAll(PLACEHOLDER)) {
    if (index > done) parts.push({ kind: "text", text: text.slice(done, index) });
    done = index + written.length;
    const [, variable, otherwise = null] = VARIABLE.exec(inside) ?? [];
    if (inside === "userHome") parts.push({ kind: "text", text: userHome });
    else if (inside === "/" || inside === "pathSeparator") parts.push({ kind: "text", text: "/" });
    else if (inside.startsWith("input:")) parts.push({ kind: "input", id: inside.slice("input:".length) });
    else if (variable !== undefined && !PLACES.test(inside))
      parts.push({ kind: "variable", name: variable, otherwise });
    else parts.push({ kind: "unknown", written });
  }
  if (done < text.length) parts.push({ kind: "text", text: text.slice(done) });
  return parts;
}

/**
 * Makes a reader of texts with placeholders. `secretOf` names the secret that stands for an input, or for a variable
 * without a value; a service has few of the variables of a user's shell.
 */
export function createTextReader(
  { userHome, environment }: Pick<ClientSurroundings, "userHome" | "environment">,
  secretOf: (from: "input" | "variable", id: string) => string,
) {
  const asSecret = (secret: string): TextMeaning => {
    return { text: `\${secret:${secret}}`, wanted: [secret], problem: null };
  };
  const gather = (text: string, mean: (part: Part) => TextMeaning): TextMeaning => {
    const meanings = partsOf(text, userHome).map(mean);
    return {
      text: meanings.map((one) => one.text).join(""),
      wanted: meanings.flatMap(({ wanted }) => wanted),
      problem: meanings.find(({ problem }) => problem !== null)?.problem ?? null,
    };
  };
  return {
    /** Reads a variable or a header, which may contain references. */
    reference: (text: string): TextMeaning =>
      withoutSecretReference(
        gather(text, (part) => {
          if (part.kind === "text") return plainly(escaped(part.text));
          if (part.kind === "unknown") return { ...plainly(escaped(part.written)), problem: onlyThere(part) };
          if (part.kind === "input") return asSecret(secretOf("input", part.id));
          const { name, otherwise } = part;
          if (environment[name] !== undefined) return plainly(`\${${name}}`);
          return otherwise === null ? asSecret(secretOf("variable", name)) : plainly(otherwise);
        }),
      ),
    /**
     * Reads an argument, an address or a path. None of them may contain a reference in the configuration, and other
     * users can read them.
     */
    plain: (text: string): TextMeaning =>
      gather(text, (part) => {
        if (part.kind === "text") return plainly(part.text);
        // An argument cannot contain a reference, so a placeholder without a value becomes `(NAME)`.
        const gap = plainly(originalOf(part).replace(/^\$\{(.*)\}$/s, "($1)"));
        if (part.kind !== "variable") return { ...gap, problem: onlyThere(part) };
        const { name, otherwise } = part;
        if (isSecretName(name)) {
          return {
            ...gap,
            problem: `an argument takes the secret \${${name}}, and others can read arguments`,
          };
        }
        const value = environment[name] ?? otherwise;
        return value === null ? { ...gap, problem: `the variable ${name} is not set here` } : plainly(value);
      }),
  };
}

/**
 * Rejects the text `secret:NAME`, which is plain text for the client. Here it would refer to a stored secret, and
 * reveal that secret to the server.
 */
function withoutSecretReference(meaning: TextMeaning): TextMeaning {
  if (!isStoredAlone(meaning.text) || meaning.problem !== null || meaning.wanted.length > 0) return meaning;
  return { ...meaning, text: HIDDEN, problem: "a text of it would mean a secret that is kept here" };
}

function plainly(text: string): TextMeaning {
  return { text, wanted: [], problem: null };
}

function originalOf(part: Part): string {
  if (part.kind === "variable") return `\${${part.name}}`;
  if (part.kind === "input") return `\${input:${part.id}}`;
  return part.kind === "text" ? part.text : part.written;
}

function onlyThere(part: Part): string {
  return `${originalOf(part)} means something to the client alone`;
}
