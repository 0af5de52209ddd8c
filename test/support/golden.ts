// Golden texts: a file of cases, each an input and below it what is said of it.
//
//   == B6 a key that is not there is told with its place, and with what was meant
//   [global]
//   share_root = "x"
//   > 2:1 global.share_root: an unknown key, not a key of `[global]` (did you mean `shares_root`?)
//
// `==` begins a test; a line with `@` gives it an option, one with `|` stands before each of its inputs. What follows a `>` is
// the next input; `⏎` ends a line of it as well. MOUNTAINEER_ACCEPT=1 writes into the file what is said now: look at the difference before you keep it.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { createTwoFilesPatch } from "diff";

interface Case {
  readonly input: readonly string[];
  said: readonly string[];
}

interface Story {
  readonly title: string;
  readonly options: string[];
  readonly before: string[];
  readonly cases: Case[];
}

/** Says a text of an input. `options`: those of its test. */
export type Say = (input: string, options: readonly string[], t: TestContext) => string | Promise<string>;

/** Each title of the file is a test. */
export function goldenTests(file: URL, say: Say): void {
  const stories = storiesIn(readFileSync(file, "utf8"));
  const accepts = process.env["MOUNTAINEER_ACCEPT"] === "1";
  const titles = stories.map(({ title }) => title);
  assert.deepEqual(titles, [...new Set(titles)], "told twice");
  for (const story of stories) {
    test(story.title, async (t) => {
      const before = textOf([story]);
      for (const one of story.cases) one.said = (await say(textIn(story, one), story.options, t)).split("\n");
      const after = textOf([story]);
      if (accepts) writeFileSync(file, textOf(stories));
      else if (after !== before) assert.fail(differenceOf(before, after));
    });
  }
}

/** For further tests of the same inputs. */
export function goldenInputs(file: URL): { title: string; options: readonly string[]; input: string }[] {
  return storiesIn(readFileSync(file, "utf8")).flatMap((story) =>
    story.cases.map((one) => ({ title: story.title, options: story.options, input: textIn(story, one) })),
  );
}

function textIn({ before }: Story, { input }: Case): string {
  return [...before, ...input].map((line) => `${line.replaceAll("⏎", "\n")}\n`).join("");
}

function differenceOf(before: string, after: string): string {
  const patch = createTwoFilesPatch("as the file has it", "as it is said now", before, after);
  return `MOUNTAINEER_ACCEPT=1 accepts this\n${patch.slice(patch.indexOf("---"))}`;
}

function storiesIn(text: string): Story[] {
  const stories: Story[] = [];
  let input: string[] = [];
  let said: string[] | null = null;
  for (const line of text.trimEnd().split("\n")) {
    const [, mark, rest = ""] = /^(==|[@|>]) ?(.*)$/.exec(line) ?? [];
    const story = stories.at(-1);
    if (mark === "==") stories.push({ title: rest, options: [], before: [], cases: [] });
    else if (story === undefined) throw new Error(`no title before "${line}"`);
    else if (mark === "@") story.options.push(rest);
    else if (mark === "|") story.before.push(rest);
    else if (mark === ">" && said === null) {
      said = [rest];
      story.cases.push({ input, said });
    } else if (mark === ">") said?.push(rest);
    // A title has an empty line before it.
    else if (line !== "" || said === null) {
      if (said !== null) input = [];
      input.push(line);
      said = null;
    }
    if (mark === "==") [input, said] = [[], null];
  }
  return stories;
}

function textOf(stories: readonly Story[]): string {
  const marked = (mark: string, lines: readonly string[]): string[] =>
    lines.map((line) => `${mark} ${line}`.trimEnd());
  return stories
    .map(({ title, options, before, cases }) => [
      `== ${title}`,
      ...marked("@", options),
      ...marked("|", before),
      ...cases.flatMap(({ input, said }) => [...input, ...marked(">", said)]),
    ])
    .map((lines) => `${lines.join("\n")}\n`)
    .join("\n");
}
