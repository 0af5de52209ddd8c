// Small changes of a source text that a good test notices: where they can be made, and a seeded draw of them. Pure.
import { scanSource } from "./source-scan.ts";

export interface Mutant {
  /** The same for the same source. */
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

/** `code` is the source with comments and the insides of strings blanked, at the same offsets. */
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

/** A whole statement on a line of its own, or a guard with its one-line body. */
function* dropStatement(code: string, source: string): Iterable<Place> {
  const statement =
    /^ +(?!(?:const|let|return|import|export|type|readonly|throw|static|for|while|else|case|default|yield|break|continue)\b)(?:await |void )?(?:if \([^\n]*|[\w.#?[\]]+(?:\([^\n]*| [+-]?= [^\n]*|\+\+|--));$/gm;
  for (const { index, 0: text } of code.matchAll(statement)) {
    const indent = text.length - text.trimStart().length;
    const bare = text.slice(indent);
    const opened = bare.indexOf("(");
    const end = opened === -1 ? bare.length : closing(bare, opened);
    // `name(…): Type;` is a signature, not a call; brackets that stay open end on another line.
    const tail = bare.slice(end + 1);
    if (opened !== -1 && (end === -1 || /^\??:/.test(tail) || /^ =>/.test(tail))) continue;
    const before = source.slice(index + indent, index + text.length);
    yield { offset: index + indent, before, after: ";" };
  }
}

function* returnEarly(code: string): Iterable<Place> {
  for (const { index, 0: before } of code.matchAll(/\): (?:void|Promise<void>) (?:=> )?\{\n/g))
    yield { offset: index, before, after: before.replace("\n", " return;\n") };
}

function* offByOne(code: string): Iterable<Place> {
  for (const { index, 0: before } of code.matchAll(/(?<![\w.$#])\d[\d_]*(?![\w.])/g)) {
    const value = Number(before.replaceAll("_", ""));
    yield { offset: index, before, after: String(value + 1) };
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
  "move a bound": swap({ " < ": " <= ", " <= ": " < ", " > ": " >= ", " >= ": " > " }),
  "swap equal and unequal": swap({ " === ": " !== ", " !== ": " === " }),
  "swap and and or": swap({ " && ": " || ", " || ": " && " }),
  "swap plus and minus": swap({ " + ": " - ", " - ": " + " }),
  "swap some and every": swap({ ".some(": ".every(", ".every(": ".some(" }),
  "swap least and most": swap({ "Math.min(": "Math.max(", "Math.max(": "Math.min(" }),
  "swap true and false": swap({
    ": true": ": false",
    ": false": ": true",
    " = true": " = false",
    " = false": " = true",
    "return true": "return false",
    "return false": "return true",
  }),
  "drop a statement": dropStatement,
  "return early": returnEarly,
  "off by one": offByOne,
  "swap arguments": swapArguments,
};

export function findMutants(file: string, source: string): Mutant[] {
  const { code } = scanSource(source);
  const found: Mutant[] = [];
  for (const [operator, places] of Object.entries(OPERATORS)) {
    for (const { offset, before, after } of places(code, source)) {
      const linesBefore = source.slice(0, offset).split("\n");
      const line = linesBefore.length;
      const column = (linesBefore.at(-1) ?? "").length + 1;
      const lineText = code.split("\n")[line - 1] ?? "";
      if (/^\s*(?:import|export type|export interface|type|interface|readonly)\b/.test(lineText)) continue;
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

/** The rooms in turn, each by its own dice, so that a change in one room leaves the others' draws alone. */
export function drawMutants(
  rooms: ReadonlyMap<string, readonly Mutant[]>,
  count: number,
  seed: number,
): Mutant[] {
  const piles = [...rooms].map(([room, mutants], index) => ({
    room,
    mutants: shuffled(mutants, seed + index),
  }));
  const drawn: Mutant[] = [];
  for (let round = 0; drawn.length < count; round++) {
    const before = drawn.length;
    for (const { room, mutants } of piles) {
      const mutant = mutants[round];
      if (mutant !== undefined && drawn.length < count) drawn.push({ ...mutant, id: `${room}-${round + 1}` });
    }
    if (drawn.length === before) break;
  }
  return drawn;
}

function shuffled<T>(values: readonly T[], seed: number): T[] {
  const random = randomNumbers(seed);
  return values
    .map((value) => ({ value, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ value }) => value);
}

/** Mulberry32: the same numbers from 0 to 1 for the same seed. */
function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
