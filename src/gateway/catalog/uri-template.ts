// Matches URIs with URI templates (RFC 6570, levels 1 to 3, and the explode modifier as a list). The match
// only selects a backend, so it is as lenient as servers are.

/** A step of an automaton that follows all possible states at once, so it never backtracks. */
type Step =
  | { readonly kind: "one"; readonly unit: number }
  | { readonly kind: "some"; readonly excluded: string; readonly repeated: boolean }
  /** The steps before `to` may be skipped. */
  | { readonly kind: "optional"; readonly to: number };

/** Matching costs time, and no real template is longer. */
const MAX_TEMPLATE_LENGTH = 1_024;
export const MAX_URI_LENGTH = 8_192;

const NAME = /^[\w.%]+(?::\d{1,4}|\*)?$/;

interface Operator {
  /**
   * The text before the expanded values of an expression. It is left out if no variable of the expression has a
   * value.
   */
  readonly lead: string;
  readonly excluded: string;
  readonly excludedInList: string;
}

const OPERATORS: Readonly<Record<string, Operator>> = {
  "+": { lead: "", excluded: "", excludedInList: "" },
  "#": { lead: "#", excluded: "", excludedInList: "" },
  ".": { lead: ".", excluded: "/", excludedInList: "/" },
  "/": { lead: "/", excluded: "/", excludedInList: "?#" },
  ";": { lead: ";", excluded: "/?#", excludedInList: "/?#" },
  "?": { lead: "?", excluded: "#", excludedInList: "#" },
  "&": { lead: "&", excluded: "#", excludedInList: "#" },
};
const SIMPLE: Operator = { lead: "", excluded: "/", excludedInList: "/" };

/** Returns null if the template is invalid or not supported. */
export function compileUriTemplate(template: string): ((uri: string) => boolean) | null {
  if (template.length > MAX_TEMPLATE_LENGTH) return null;
  const steps: Step[] = [];
  const literal = (text: string): void => {
    for (let at = 0; at < text.length; at++) steps.push({ kind: "one", unit: text.charCodeAt(at) });
  };
  let at = 0;
  while (at < template.length) {
    const open = template.indexOf("{", at);
    const text = template.slice(at, open === -1 ? undefined : open);
    if (text.includes("}")) return null;
    literal(text);
    if (open === -1) break;
    const close = template.indexOf("}", open);
    if (close === -1) return null;
    if (!addExpression(template.slice(open + 1, close), steps, literal)) return null;
    at = close + 1;
  }
  const firstBrace = template.indexOf("{");
  const prefix = firstBrace === -1 ? template : template.slice(0, firstBrace);
  return (uri) => uri.length <= MAX_URI_LENGTH && uri.startsWith(prefix) && runs(steps, uri);
}

function addExpression(expression: string, steps: Step[], literal: (text: string) => void): boolean {
  const known = Object.hasOwn(OPERATORS, expression.charAt(0)) ? OPERATORS[expression.charAt(0)] : undefined;
  const variables = (known === undefined ? expression : expression.slice(1)).split(",");
  if (!variables.every((variable) => NAME.test(variable))) return false;
  const { lead, excluded, excludedInList } = known ?? SIMPLE;
  const isList = variables.length > 1 || expression.endsWith("*");
  const place = steps.length;
  if (lead !== "") steps.push({ kind: "optional", to: 0 });
  literal(lead);
  const characters = isList ? excludedInList : excluded;
  // A fragment or query may be empty. Elsewhere an empty value would be another resource.
  if (lead !== "#" && lead !== "?" && lead !== "&") {
    steps.push({ kind: "some", excluded: characters, repeated: false });
  }
  steps.push({ kind: "some", excluded: characters, repeated: true });
  if (lead !== "") steps[place] = { kind: "optional", to: steps.length };
  return true;
}

function runs(steps: readonly Step[], text: string): boolean {
  let current = new Set<number>();
  const enter = (states: Set<number>, state: number): void => {
    if (states.has(state)) return;
    states.add(state);
    const step = steps[state];
    if (step === undefined) return;
    if (step.kind === "optional") {
      enter(states, state + 1);
      enter(states, step.to);
    } else if (step.kind === "some" && step.repeated) enter(states, state + 1);
  };
  enter(current, 0);
  for (let at = 0; at < text.length; at++) {
    const next = new Set<number>();
    for (const state of current) {
      const step = steps[state];
      if (step === undefined || step.kind === "optional") continue;
      if (step.kind === "one") {
        if (text.charCodeAt(at) === step.unit) enter(next, state + 1);
      } else if (!step.excluded.includes(text.charAt(at))) enter(next, step.repeated ? state : state + 1);
    }
    if (next.size === 0) return false;
    current = next;
  }
  return current.has(steps.length);
}

// A filter or policy must apply to every spelling of a URI that a server may treat as the same.

const MAX_ROUNDS = 3;

/** True if the URI may be read as a different URI: it has dot segments, or characters that URL parsers drop. */
export function isUnclear(uri: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no URI holds them; parsers drop tabs and line ends
  return /[\u0000-\u001f\u007f]|^ | $/.test(uri) || hasDotSegments(uri);
}

/** True if the URI contains `/../` or `/./`, also in escaped form. */
function hasDotSegments(uri: string): boolean {
  let text = uri;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    if (/(?:^|[/\\:])\.{1,2}(?:$|[/\\?#])/.test(text)) return true;
    const decoded = unescaped(text);
    if (decoded === text) return false;
    text = decoded;
  }
  // No honest client escapes a URI so many times, so the URI counts as unclear.
  return true;
}

/** Other spellings of the URI: without escapes, without empty segments, and normalized as the URL standard says. */
export function otherSpellings(uri: string): readonly string[] {
  const spellings = new Set<string>();
  for (const one of URL.canParse(uri) ? [uri, new URL(uri).href] : [uri]) {
    const plain = plainSpelling(one);
    spellings.add(one).add(plain).add(withoutEmptySegments(plain));
  }
  spellings.delete(uri);
  return [...spellings];
}

function withoutEmptySegments(uri: string): string {
  return uri.replace(
    /^([^:/?#]+:\/\/[^/]*|[^:/?#]+:|)(.*)$/s,
    (_, before: string, path: string) => before + path.replace(/\/{2,}/g, "/"),
  );
}

function plainSpelling(uri: string): string {
  return unescaped(uri).replace(/^[A-Za-z][A-Za-z\d+.-]*:/, (scheme) => scheme.toLowerCase());
}

export function unescaped(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    // The decoded bytes are not valid UTF-8, so only ASCII characters are decoded.
    return text.replace(/%([0-7][\dA-Fa-f])/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  }
}
