// Tells whether a URI can come from a URI template (RFC 6570, levels 1 to 3, and explode read as a list). It only
// decides which backend a URI belongs to; the values are checked by the server, so this is as lenient as servers are.

/** One step of a small automaton; all states that are possible run side by side, so nothing is ever tried twice. */
type Step =
  | { readonly kind: "one"; readonly unit: number }
  | { readonly kind: "some"; readonly excluded: string; readonly repeated: boolean }
  /** What follows, up to `to`, may be missing. */
  | { readonly kind: "optional"; readonly to: number };

/** Longer templates are refused: matching them costs time, and no real one is that long. */
const MAX_TEMPLATE_LENGTH = 1_024;
export const MAX_URI_LENGTH = 8_192;

const NAME = /^[\w.%]+(?::\d{1,4}|\*)?$/;

interface Operator {
  /** What an expression of it begins with; absent altogether when none of its variables has a value. */
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

/** Tells URIs that the template can stand for; null for what is no template we can read. */
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
  // An empty fragment or query is one; an empty value elsewhere is another URI.
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
