// Finds the small changes of a source text that a good test notices, and draws some of them by a seed. Pure.
import { scanSource } from "./source-scan.ts";

export interface Mutant {
  /** Always the same for the same source. */
  readonly id: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly operator: string;
  readonly offset: number;
  readonly before: string;
  readonly after: string;
}

interface Place {
  readonly offset: number;
  readonly before: string;
  readonly after: string;
}

/** `code`: the source with comments and the contents of strings blanked, at the same offsets. */
type Operator = (code: string, source: string) => Iterable<Place>;

const swap = (pairs: Readonly<Record<string, string>>): Operator =>
  function* (code) {
    for (const [before, after] of Object.entries(pairs)) {
      for (let at = code.indexOf(before); at !== -1; at = code.indexOf(before, at + 1))
        yield { offset: at, before, after };
    }
  };

/** The offset of the bracket that closes the one at `open`. */
function closing(code: string, open: number): number {
  let depth = 0;
  for (let at = open; at < code.length; at++) {
    const one = code.charAt(at);
    if ("([{".includes(one)) depth++;
    else if (")]}".includes(one) && --depth === 0) return at;
  }
  return -1;
}

function* negateCondition(code: string, source: string): Iterable<Place> {
  for (const { index, 0: text } of code.matchAll(/\b(?:if|while) \(/g)) {
    const open = index + text.length - 1;
    const before = source.slice(open, closing(code, open) + 1);
    yield { offset: open, before, after: `(!${before})` };
  }
  for (const { index, 1: lead = "", 2: condition = "" } of code.matchAll(
    /(= |return |=> |\()([\w.!]+(?: [=!<>]=*? [\w."]+)?) \? /g,
  )) {
    const offset = index + lead.length;
    const before = source.slice(offset, offset + condition.length);
    yield { offset, before, after: `!(${before})` };
  }
}

/** Removes a whole statement that has a line of its own. */
function* dropStatement(code: string, source: string): Iterable<Place> {
  const statement =
    /^ +(?!(?:const|let|return|if|import|export|type|readonly|throw|static|for|while|else|case|default|yield|break|continue)\b)(?:await |void )?[\w.#?[\]]+(?:\([^\n]*| [+-]?= [^\n]*|\+\+|--);$/gm;
  for (const { index, 0: text } of code.matchAll(statement)) {
    const indent = text.length - text.trimStart().length;
    const bare = text.slice(indent);
    const opened = bare.indexOf("(");
    const end = opened === -1 ? bare.length : closing(bare, opened);
    // `name(…): Type;` is a signature, not a call. Open brackets end on another line.
    const tail = bare.slice(end + 1);
    if (opened !== -1 && (end === -1 || /^\??:/.test(tail) || /^ =>/.test(tail))) continue;
    const before = source.slice(index + indent, index + text.length);
    yield { offset: index + indent, before, after: ";" };
  }
}

/** Removes an error, a clean-up or an early return. */
function* neverBranch(code: string, source: string): Iterable<Place> {
  for (const { index, 0: text } of code.matchAll(/\bif \(/g)) {
    const open = index + text.length - 1;
    yield { offset: open, before: source.slice(open, closing(code, open) + 1), after: "(false)" };
  }
}

/** Changes `a && b`, `a || b` and `a ?? b` to `a`. */
function* dropSecondHalf(code: string, source: string): Iterable<Place> {
  for (const { index, 0: text } of code.matchAll(/\s(?:&&|\|\||\?\?)\s/g)) {
    const end = operandEnd(code, index + text.length);
    yield { offset: index, before: source.slice(index, end), after: "" };
  }
}

/** The end of the operand at `start`: the next bracket, comma, or operator of at most the same precedence. */
function operandEnd(code: string, start: number): number {
  let at = start;
  while (at < code.length) {
    const one = code.charAt(at);
    if ("([{".includes(one)) at = Math.max(at, closing(code, at));
    else if (")]},;:".includes(one)) break;
    else if (/^\s(?:&&|\|\||\?\??)\s/.test(code.slice(at, at + 4))) break;
    at++;
  }
  return start + code.slice(start, at).trimEnd().length;
}

/** Creates an error without throwing it. */
function* dropThrow(code: string, source: string): Iterable<Place> {
  for (const { index } of code.matchAll(/\bthrow \w/g)) {
    const end = operandEnd(code, index);
    if (code.charAt(end) === ";") yield { offset: index, before: source.slice(index, end), after: "" };
  }
}

/** Swaps true and false, and empty and found results. */
const constantResult: Operator = swap({
  "return true;": "return false;",
  "return false;": "return true;",
  "return [];": "return [undefined];",
});

function* returnEarly(code: string): Iterable<Place> {
  for (const { index, 0: before } of code.matchAll(/\): (?:void|Promise<void>) (?:=> )?\{\n/g))
    yield { offset: index, before, after: before.replace("\n", " return;\n") };
}

function* offByOne(code: string): Iterable<Place> {
  for (const { index, 0: before } of code.matchAll(/(?<![\w.$#])\d[\d_]*(?![\w.])/g)) {
    const value = Number(before.replaceAll("_", ""));
    // Larger limits and delays usually do not change behaviour.
    if (value <= 2) yield { offset: index, before, after: String(value + 1) };
  }
}

function* swapArguments(code: string, source: string): Iterable<Place> {
  for (const { index, 1: lead = "", 2: first = "", 3: second = "" } of code.matchAll(
    /(?<!\b(?:function|async) )(?<=\w)(\()([\w.]+), ([\w.]+)\)(?!: | {1,2}\{| =>)/g,
  )) {
    if (first === second) continue;
    const offset = index + lead.length;
    const before = source.slice(offset, offset + first.length + 2 + second.length);
    yield { offset, before, after: `${second}, ${first}` };
  }
}

const OPERATORS: Readonly<Record<string, Operator>> = {
  "negate a condition": negateCondition,
  "never take a branch": neverBranch,
  "drop a second half": dropSecondHalf,
  "drop a statement": dropStatement,
  "drop a throw": dropThrow,
  "constant result": constantResult,
  "return early": returnEarly,
  "move a bound": swap({ " < ": " <= ", " <= ": " < ", " > ": " >= ", " >= ": " > " }),
  "swap equal and unequal": swap({ " === ": " !== ", " !== ": " === " }),
  "swap plus and minus": swap({ " + ": " - ", " - ": " + " }),
  "swap some and every": swap({ ".some(": ".every(", ".every(": ".some(" }),
  "swap least and most": swap({ "Math.min(": "Math.max(", "Math.max(": "Math.min(" }),
  "swap true and false": swap({
    ": true": ": false",
    ": false": ": true",
    " = true": " = false",
    " = false": " = true",
  }),
  "off by one": offByOne,
  "swap arguments": swapArguments,
};

export function findMutants(file: string, source: string): Mutant[] {
  const { code } = scanSource(source);
  const found: Mutant[] = [];
  for (const [operator, places] of Object.entries(OPERATORS)) {
    for (const { offset, before, after } of places(code, source)) {
      // A change may begin with the space before it.
      const linesBefore = source.slice(0, offset + before.search(/\S/)).split("\n");
      const line = linesBefore.length;
      const column = (linesBefore.at(-1) ?? "").length + 1;
      const lineText = code.split("\n")[line - 1] ?? "";
      if (/^\s*(?:\||(?:import|export type|export interface|type|interface|readonly)\b)/.test(lineText))
        continue;
      found.push({ id: "", file, line, column, operator, offset, before, after });
    }
  }
  return found.sort((a, b) => a.offset - b.offset);
}

export function mutated(source: string, { offset, before, after, file }: Mutant): string {
  if (!source.startsWith(before, offset))
    throw new Error(`${file} is not the text that the change was drawn from`);
  return source.slice(0, offset) + after + source.slice(offset + before.length);
}

/** All places are equally likely. */
export function drawMutants(mutants: readonly Mutant[], count: number, seed: number): Mutant[] {
  return shuffled(mutants, seed)
    .slice(0, count)
    .map((mutant, index) => ({ ...mutant, id: String(index + 1) }));
}

function shuffled<T>(values: readonly T[], seed: number): T[] {
  const random = randomNumbers(seed);
  return values
    .map((value) => ({ value, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ value }) => value);
}

/** Mulberry32: the same numbers between 0 and 1 for the same seed. */
function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
