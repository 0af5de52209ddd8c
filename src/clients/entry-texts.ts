// Placeholders in a client's texts: `${VARIABLE}`, `${env:VARIABLE}`, `${VARIABLE:-default}`, `${input:ID}`,
// `${userHome}`. They become references, or the value that they have today.

import { HIDDEN, isSecretName } from "../config/shown-values.ts";
import { escaped, parseSecretText } from "../config/values/secret-text.ts";
import { VARIABLE_NAME_FORM } from "../runtime/text/name-forms.ts";
import type { ClientSurroundings } from "./client.ts";

interface TextMeaning {
  /** As a configuration writes it, or, for an argument, plain. */
  readonly text: string;
  /** Names of secrets that it refers to and that a person still has to set. */
  readonly wanted: readonly string[];
  /** Why it cannot be used as it is; null: it can. */
  readonly problem: string | null;
}

export type TextReader = ReturnType<typeof createTextReader>;

const PLACEHOLDER = /\$\{([^{}]*)\}/g;
const VARIABLE = new RegExp(`^(?:env:)?(${VARIABLE_NAME_FORM})(?::-(.*))?$`, "s");
/** Names that mean a place, not a variable. */
const PLACES = /^(?:workspaceFolder|workspaceFolderBasename|pathSeparator|userHome|\/)$/;

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
 * `secretOf`: the name of the secret that an input of this id becomes, or a variable of this name that has no value: a
 * service has next to nothing of a shell's environment.
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
    /** For a place that takes references: a variable of the program, or a header. */
    reference: (text: string): TextMeaning =>
      withoutOurs(
        gather(text, (part) => {
          if (part.kind === "text") return plainly(escaped(part.text));
          if (part.kind === "unknown") return { ...plainly(escaped(part.written)), problem: onlyThere(part) };
          if (part.kind === "input") return asSecret(secretOf("input", part.id));
          const { name, otherwise } = part;
          if (environment[name] !== undefined) return plainly(`\${${name}}`);
          return otherwise === null ? asSecret(secretOf("variable", name)) : plainly(otherwise);
        }),
      ),
    /** For an argument, an address or a path: these hold no references, and others can read them. */
    plain: (text: string): TextMeaning =>
      gather(text, (part) => {
        if (part.kind === "text") return plainly(part.text);
        // Arguments hold no references, so a placeholder without a value cannot stay as it was written.
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

/** To the client `secret:NAME` is plain text; here it would hand over a secret that was kept for another server. */
function withoutOurs(meaning: TextMeaning): TextMeaning {
  const reading = parseSecretText(meaning.text);
  const [part, ...more] = reading.ok ? reading.value : [];
  const isOurs = typeof part === "object" && part.kind === "stored" && more.length === 0;
  if (!isOurs || meaning.problem !== null || meaning.wanted.length > 0) return meaning;
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
