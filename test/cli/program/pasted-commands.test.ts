// Every command that the program prints for people to paste: found where the sources write it, read by a shell, and then by
// the program's own parser.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { glob, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import test from "node:test";
import { CommanderError } from "commander";
import { scanSource, type Text } from "../../../scripts/source-scan.ts";
import { COMMAND_GROUPS, COMMANDS } from "../../../src/cli/program/command-list.ts";
import { createProgram } from "../../../src/cli/program/program.ts";
import { shellCommand } from "../../../src/runtime/text/plain-text.ts";
import { assertEach } from "../../support/assert-each.ts";

const ROOT = resolve(import.meta.dirname, "../../..");

/** What a name or path may be. Every parser takes the first; of the others each has to arrive as it is. */
const PLAIN = "plain-1";
const ODD = [
  "My Photos",
  'it\'s "$HOME" `id` \\ *',
  "-rf",
  "--odd",
  "~/x",
  "=ls",
  "#a",
  "a;b",
  "a\u202eb\u200b",
  "-\u200b",
  "",
  "ä\n b",
];

interface Found extends Text {
  readonly where: string;
}

async function textsOf(): Promise<readonly Found[]> {
  const found: Found[] = [];
  for await (const path of glob("src/**/*.{ts,tsx}", { cwd: ROOT })) {
    const { texts } = scanSource(await readFile(join(ROOT, path), "utf8"));
    found.push(...texts.map((text) => ({ ...text, where: `${path}:${text.line}` })));
  }
  return found;
}

/** What programs a shell starts, each with its words, when these lines are pasted one after the other. */
function pasted(lines: readonly string[]): readonly (readonly (readonly string[])[])[] {
  const programs = new Set(lines.flatMap((line) => line.match(/(?<=^ *|\| )[a-z]+/g) ?? []));
  const defined = [...programs].map((name) => `${name}() { printf '%s\\0' ${name} "$@" '\n' >&3; }`);
  // Nothing else starts: there is no PATH. What a pipe carries is no word.
  const script = ["exec 3>&1", ...defined, ...lines.flatMap((line) => [line, "printf '\\n\\n\\0'"])].join(
    "\n",
  );
  const { stdout, stderr } = spawnSync("/bin/sh", ["-c", script], {
    encoding: "utf8",
    env: { HOME: "/", PATH: "" },
  });
  assert.equal(stderr, "");
  return stdout
    .split("\n\n\0")
    .slice(0, -1)
    .map((of) =>
      of
        .split("\n\0")
        .slice(0, -1)
        .map((words) => words.split("\0").slice(0, -1)),
    );
}

/** The code of the parser's refusal; null: it takes these words. */
async function refusal(words: readonly string[]): Promise<string | null> {
  const program = createProgram({ print() {}, complain() {} }, async () => {});
  try {
    await program.parseAsync([...words], { from: "user" });
    return null;
  } catch (error) {
    assert.ok(error instanceof CommanderError);
    return error.code;
  }
}

test("F6 each printed command works when it is pasted, whatever names it contains", async () => {
  const found = (await textsOf()).filter(({ tag }) => tag === "shellCommand");
  assert.ok(found.length > 50);
  for (const value of [PLAIN, ...ODD]) {
    const filled = found.map(({ parts }) => {
      // Before an option stands only the name of a backend or client, which never begins with `-`.
      const values = parts.slice(1).map((next, at) => {
        const isBeforeOption =
          / $/.test(parts[at] ?? "") && !/ --[a-z-]+ $/.test(parts[at] ?? "") && /^ -/.test(next);
        return isBeforeOption && value.startsWith("-") ? PLAIN : value;
      });
      const line = shellCommand(Object.assign([...parts], { raw: parts }), ...values);
      return { values, line: /^\s*--/.test(line) ? `part ${line}` : line };
    });
    const lines = filled.map(({ line }) => line);
    for (const [index, commands] of pasted(lines).entries()) {
      const { values = [], line = "" } = filled[index] ?? {};
      const where = `${found[index]?.where}: ${line}`;
      const words = commands.flat();
      for (const one of new Set(values))
        assert.equal(
          words.filter((word) => word === one).length,
          values.filter((given) => given === one).length,
          where,
        );
      for (const [program, ...args] of commands) {
        if (program !== "mountaineer") continue;
        // Whether such a name can be one is for the command to say.
        const allowed = value === PLAIN ? [null] : [null, "commander.invalidArgument"];
        assert.ok(allowed.includes(await refusal(args)), where);
      }
    }
  }
});

test("F6 no command with a name in it is written without quoting", async () => {
  const names = [...COMMANDS, ...COMMAND_GROUPS].map(({ name }) => name);
  const typed = new RegExp(`\\bmountaineer (?:${names.join("|")})(?: --?[a-z][a-z-]*| [A-Z]+)*[ =]["']?$`);
  const others = /(?:^|[\s`:(])(?:chmod|chown|ls|rm|rmdir|ssh|mv|cp)(?: [\w+-]+)* ["']?$/;
  const byHand = (await textsOf())
    .filter(({ tag }) => tag !== "shellCommand")
    .filter(({ parts }) => parts.slice(0, -1).some((part) => typed.test(part) || others.test(part)));
  assertEach(byHand, ({ where, parts }) => `${where}: ${parts.join("${}")}`, []);
});

test("F6 each printed command exists, and has the options that it is printed with", async () => {
  const wrong: string[] = [];
  for (const { parts, where } of await textsOf()) {
    for (const { 1: written = "", index } of parts
      .join("\0")
      .matchAll(/\bmountaineer((?: (?:--?)?[a-z][a-z-]*(?:[ =][A-Z]+)*)+)/g)) {
      const words = written.trim().split(/[ =]/);
      const [first = "", second = "-"] = words;
      if (first.startsWith("-") || first === "help") continue;
      const commands = COMMANDS.filter(({ name }) => `${words.join(" ")} `.startsWith(`${name} `));
      const command = commands.toSorted((one, other) => other.name.length - one.name.length)[0];
      const group = COMMAND_GROUPS.find(({ name }) => name === first);
      const isNone = command === undefined && (group === undefined || !second.startsWith("-"));
      const known = Object.keys(command?.takes ?? {}).flatMap((taken) => taken.match(/--[a-z-]+/) ?? []);
      const isUnknown = (word: string): boolean =>
        /^--[a-z]/.test(word) && ![...known, "--help", "--config"].includes(word);
      // Elsewhere it may be a sentence about the program.
      const isCommand = /[`:;] ?$/.test(parts.join("\0").slice(0, index));
      if ((isCommand && isNone) || (command !== undefined && words.some(isUnknown)))
        wrong.push(`${where}: mountaineer${written}`);
    }
  }
  assert.deepEqual(wrong, []);
});
