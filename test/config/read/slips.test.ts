// Mistakes that people make, each named for what it is, with the line and what to write.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { describeMistakes } from "../../../src/config/values/mistakes.ts";
import { accepted, refused } from "../support.ts";

const SLIPS: readonly (readonly [what: string, text: string, told: RegExp, file?: string])[] = [
  [
    "an unclosed quote",
    '[backends.a]\ncommand = "npx\n',
    /c\.toml:2:.*a string without an end.*the closing quote on the same line/s,
  ],
  ["an unclosed header", '[backends.a\ncommand = "npx"\n', /:1:.*a table's header without its end.*`\]`/s],
  [
    "an unclosed array",
    '[backends.a]\ncommand = "npx"\nargs = ["-y", "x"\n\n[backends.b]\ncommand = "y"\n',
    /an array or table without its end.*`\]` or `\}` before this/s,
  ],
  [
    "a text without quotes",
    "[backends.a]\ncommand = npx\n",
    /:2:11.*not a valid TOML value.*a string in quotes/s,
  ],
  ["YAML in a .toml", "backends:\n  a:\n    command: npx\n", /:1:.*a line of YAML.*name the file \.yaml/s],
  [
    "JSON in a .toml",
    '{"mcpServers": {"a": {"command": "npx"}}}\n',
    /:1:.*JSON.*\[backends\.NAME\] here, each with its command and args/s,
  ],
  ["curly quotes", "[backends.a]\ncommand = \u201cnpx\u201d\n", /:2:.*a curly quote.*a straight one: `"`/s],
  [
    "a Windows path",
    '[[shares]]\nname = "A"\nthunderbolt_path = "C:\\Users\\ann"\n',
    /:3:.*a single backslash in a path.*single quotes.*'C:\\Users\\ann'/s,
  ],
  [
    "a table twice",
    '[backends.a]\ncommand = "x"\n[backends.b]\ncommand = "z"\n[backends.a]\ncommand = "y"\n',
    /:5:.*a second \[backends\.a\].*line 1 has it already: put both parts together there/s,
  ],
  [
    "a client's key",
    '[mcpServers.a]\ncommand = "npx"\n',
    /:1:.*mcpServers.*MCP servers are `\[backends\.NAME\]` here/s,
  ],
  [
    "a client's name for an address",
    '[backends.a]\ntype = "http"\nurl = "https://a.example/mcp"\n',
    /:2:.*backends\.a\.type.*"http".*write "streamable-http", or leave it out beside a `url`/s,
  ],
  [
    "a client's name for an address of the older transport",
    "backends:\n  a:\n    type: sse\n    url: https://a.example/sse\n",
    /:3:.*backends\.a\.type.*"sse".*write "streamable-http", or leave it out beside a `url`/s,
    "c.yaml",
  ],
  [
    "a client's setting",
    '[backends.a]\ncommand = "npx"\ndisabled = true\n',
    /:3:.*backends\.a\.disabled.*write `enabled = false`/s,
  ],
  [
    "a missing colon",
    "backends:\n  a:\n    command npx\n",
    /:3:.*a colon is missing: `command: …`/s,
    "c.yaml",
  ],
  [
    "an over-indented line",
    "backends:\n  a:\n      command: npx\n    args: [x]\n",
    /:4:.*a line indented like none above it.*the indentation of its neighbours/s,
    "c.yaml",
  ],
];

describe("mistakes that people make", () => {
  for (const [what, text, told, file = "c.toml"] of SLIPS) {
    test(`${what} is named for what it is`, async () => {
      assert.match(describeMistakes(await refused(text, file)), told);
    });
  }

  test("a whole command line as the command is told of, with what to write, and no secret of it", async () => {
    const warningsOf = async (command: string) =>
      (await accepted(`[backends.a]\ncommand = "${command}"\n`)).warnings;
    assert.deepEqual(await warningsOf("npx -y x --token hunter2"), [
      {
        path: "backends.a.command",
        text: "the whole text is the name of one program, spaces included",
        hint: 'write `command = "npx"`, and put each word after the program into `args`',
      },
    ]);
    const [secretFirst] = await warningsOf("TOKEN=hunter2 npx x");
    assert.equal(secretFirst?.hint, "put each word after the program into `args`");
  });
});
