// What stands for something else in a client's texts: `${VARIABLE}`, `${env:VARIABLE}`, `${VARIABLE:-default}`,
// `${input:ID}`, `${userHome}`. Here they are references, or what they stand for today.
import { isSecretName } from "../config/shown-values.ts";
import type { ClientSurroundings } from "./client-places.ts";

export interface TextMeaning {
  /** In the notation of a configuration of ours, or, for an argument, plain. */
  readonly text: string;
  /** Names of secrets that it refers to and that a person has yet to keep. */
  readonly wanted: readonly string[];
  /** Why it cannot be used as it is; null: it can. */
  readonly problem: string | null;
}

export interface TextReader {
  /** For a place that takes references: a variable of the program, or a header. */
  reference(text: string): TextMeaning;
  /** For an argument, an address or a path: these hold no references, and others can read them. */
  plain(text: string): TextMeaning;
}

const PLACEHOLDER = /\$\{([^{}]*)\}/g;
const VARIABLE = /^(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;
/** Words that mean a place, and no variable. */
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

/** `secretOf`: what the secret is called that an input of this id becomes. */
export function createTextReader(
  { userHome, environment }: Pick<ClientSurroundings, "userHome" | "environment">,
  secretOf: (inputId: string) => string,
): TextReader {
  const gather = (text: string, write: (part: Part) => string | Omit<TextMeaning, "text">): TextMeaning => {
    const wanted: string[] = [];
    let problem: string | null = null;
    const written = partsOf(text, userHome).map((part) => {
      const one = write(part);
      if (typeof one === "string") return one;
      wanted.push(...one.wanted);
      problem ??= one.problem;
      return part.kind === "input" && one.problem === null
        ? `\${secret:${secretOf(part.id)}}`
        : originalOf(part);
    });
    return { text: written.join(""), wanted, problem };
  };
  return {
    reference: (text) =>
      gather(text, (part) => {
        if (part.kind === "text") return part.text.replaceAll("${", "$${");
        if (part.kind === "input") return { wanted: [secretOf(part.id)], problem: null };
        if (part.kind === "unknown") return { wanted: [], problem: onlyThere(part.written) };
        const { name, otherwise } = part;
        return otherwise === null || environment[name] !== undefined ? `\${${name}}` : otherwise;
      }),
    plain: (text) =>
      gather(text, (part) => {
        if (part.kind === "text") return part.text;
        if (part.kind !== "variable") return { wanted: [], problem: onlyThere(originalOf(part)) };
        const { name, otherwise } = part;
        const value = environment[name] ?? otherwise;
        if (value === null) return { wanted: [], problem: `the variable ${name} is not set here` };
        if (!isSecretName(name)) return value;
        return {
          wanted: [],
          problem: `an argument takes the secret \${${name}}, and others can read arguments`,
        };
      }),
  };
}

function originalOf(part: Part): string {
  if (part.kind === "variable") return `\${${part.name}}`;
  if (part.kind === "input") return `\${input:${part.id}}`;
  return part.kind === "text" ? part.text : part.written;
}

function onlyThere(written: string): string {
  return `${written} means something to the client alone`;
}
