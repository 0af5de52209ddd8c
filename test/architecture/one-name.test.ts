// People read one name for one thing: in documents, messages and help.

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { scanSource } from "../../scripts/source-scan.ts";

const ROOT = resolve(import.meta.dirname, "../..");

interface Unwanted {
  readonly word: RegExp;
  readonly instead: string;
  /** Files, each with its reason. */
  readonly allowed: Readonly<Record<string, string>>;
}

const UNWANTED: readonly Unwanted[] = [
  {
    word: /\bbackends?\b/i,
    instead: "server, or MCP server",
    allowed: {
      "src/api/operations/table.ts": "paths and arguments of the API",
      "src/api/operations/setup-table.ts": "paths of the API",
      "src/cli/commands/backends.ts": "names of commands",
      "src/cli/commands/backends-list.ts": "names of commands",
      "src/cli/input/plain-line.ts": "names of commands",
      "src/cli/program/plain-commands.ts": "names of commands",
      "src/demo/stage/plain-rig.ts": "Samba's own key",
      "src/gateway/backends/transports/stdio/sandbox.ts": "a shell program",
      "docs/reference/cli/backends.md": "the command's own page",
    },
  },
  {
    word: /\bdashboards?\b/i,
    instead: "page",
    allowed: { "src/cli/input/suggest-command.ts": "words that people type" },
  },
  {
    word: /\bpanels?\b/i,
    instead: "page, or menu bar",
    allowed: {},
  },
  {
    word: /\bcarried\b/i,
    instead: "a share that moves",
    allowed: {},
  },
];

/** Commands, keys, JSON names and code: they keep their names. */
const NAMES =
  /`[^`]*`|mountaineer backends|\bbackends (?:add|list)\b|--backend\b|\[+backends?|[.>]backends?\b|\bbackends?[._]\w|\]\([^)]*\)/g;

/** Strings with a blank: texts, not names. */
function messagesIn(source: string): readonly string[] {
  return scanSource(source)
    .texts.map(({ parts }) => parts.join("…"))
    .filter((text) => /\s/.test(text));
}

/** Outside blocks of code. */
function proseIn(page: string): readonly string[] {
  return page.replaceAll(/^```[\s\S]*?^```$/gm, "").split("\n");
}

function unwantedIn(file: string): readonly string[] {
  const text = readFileSync(resolve(ROOT, file), "utf8");
  const read = file.endsWith(".md") ? proseIn(text) : messagesIn(text);
  const wrong = UNWANTED.filter(({ allowed }) => allowed[file] === undefined);
  return read.flatMap((line) =>
    wrong
      .filter(({ word }) => word.test(line.replaceAll(NAMES, "")))
      .map(({ instead }) => `${file}: ${line.trim()} (write: ${instead})`),
  );
}

test("messages, help and documents have one name for one thing", () => {
  const files = globSync(["src/**/*.ts", "src/**/*.tsx", "docs/**/*.md", "README.md", "SECURITY.md"], {
    cwd: ROOT,
  });
  assert.deepEqual(files.flatMap(unwantedIn), []);
});

test("each file that may have such a word has it", () => {
  for (const { word, allowed } of UNWANTED)
    for (const file of Object.keys(allowed))
      assert.match(readFileSync(resolve(ROOT, file), "utf8"), word, `${file} needs no exception`);
});
