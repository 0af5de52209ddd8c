// Stories in words: what happens, and after a colon what must be so then. A test's folder brings the words.
//
//   By hand: --to fallback holds also when already there
//     over fallback; switch fallback: result skipped, held fallback, no steps; 60 s: on fallback
//
// A title stands at the margin and is a test's name; sentences end with `;` or with the line, words with a comma. Within
// double quotes these and colons are part of a word, as in `says "a, b; c: d"`. A word that nobody knows fails its story.
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { inspect } from "node:util";

type Groups = (string | undefined)[];

/** What happens: the whole of the words, and what it does to the world. */
export type Act<World> = readonly [words: RegExp, act: (world: World, ...groups: Groups) => unknown];
/** What must be so: as found, and as wanted. */
export type Fact<World> = readonly [
  words: RegExp,
  fact: (world: World, ...groups: Groups) => readonly [found: unknown, wanted: unknown],
];

export interface Words<World> {
  /** Worlds that stories begin with. */
  readonly starts: Readonly<Record<string, (t: TestContext) => World | Promise<World>>>;
  readonly acts: readonly Act<World>[];
  readonly facts: readonly Fact<World>[];
}

/** Each story is a test. */
export function tellStories<World>(words: Words<World>, text: string): void {
  const told = new Map<string, string[]>();
  let title = "";
  for (const line of text.split("\n").filter((each) => each.trim() !== "")) {
    if (line.startsWith(" ")) told.get(title)?.push(...split(line, /;/).map((sentence) => sentence.trim()));
    else {
      title = line;
      assert.ok(!told.has(title), `told twice: ${title}`);
      told.set(title, []);
    }
  }
  for (const [name, sentences] of told) test(name, (t) => play(t, words, sentences.filter(Boolean)));
}

async function play<World>(
  t: TestContext,
  { starts, acts, facts }: Words<World>,
  sentences: readonly string[],
): Promise<void> {
  let world: World | null = null;
  let count = 0;
  for (const [index, sentence] of sentences.entries()) {
    const [happens = "", ...others] = split(sentence, /(?<!fail): |^: /);
    const claims = others.join(": ");
    for (const words of wordsOf(happens)) {
      const start = starts[words];
      if (start !== undefined) {
        const made = start(t);
        world = made instanceof Promise ? await made : made;
        continue;
      }
      const happening = doIt(acts, world ?? assert.fail(`the story begins with "${words}"`), words);
      // What happens at once is looked at before anything else can happen.
      if (happening instanceof Promise) await happening;
    }
    for (const words of wordsOf(claims)) {
      count++;
      const [found, wanted] = factOf(facts, world ?? assert.fail("a story begins with a world"), words);
      const before = sentences.slice(0, index + 1).join("; ");
      assert.deepEqual(found, wanted, `${words}, not ${inspect(found)}, after: ${before}`);
    }
  }
  assert.ok(count > 0, "a story in which nothing must be so");
}

function wordsOf(part: string): readonly string[] {
  return split(part, /, /).filter(Boolean);
}

/** The parts of a text between those separators that stand outside quotes. */
export function split(text: string, separator: RegExp): string[] {
  const quoted: string[] = [];
  const bare = text.replace(/"[^"]*"/g, (quote) => `"${quoted.push(quote) - 1}"`);
  return bare.split(separator).map((part) => part.replace(/"(\d+)"/g, (_, at) => quoted[at] ?? ""));
}

export function doIt<World>(acts: readonly Act<World>[], world: World, words: string): unknown {
  for (const [form, act] of acts) {
    const match = form.exec(words);
    if (match !== null) return act(world, ...match.slice(1));
  }
  assert.fail(`nobody knows how "${words}" happens`);
}

function factOf<World>(
  facts: readonly Fact<World>[],
  world: World,
  words: string,
): readonly [unknown, unknown] {
  for (const [form, fact] of facts) {
    const match = form.exec(words);
    if (match !== null) return fact(world, ...match.slice(1));
  }
  assert.fail(`nobody knows what "${words}" means`);
}
