// Servers in text as people paste it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pastedFile } from "../../src/clients/pasted-servers.ts";

const SURROUNDINGS = { userHome: "/home/ann", environment: {}, folder: "/" };

/** The servers of the text, a word each: its name, and what runs. */
async function read(text: string): Promise<readonly string[]> {
  const { servers } = await pastedFile(text, SURROUNDINGS, new Set());
  return servers.map(({ name, table: { command, args = [], url } }) =>
    [name, url ?? command, ...(Array.isArray(args) ? args : [])].join(" "),
  );
}

const PASTED: Readonly<Record<string, readonly [text: string, ...servers: string[]]>> = {
  "a byte order mark": ['\uFEFF{"mcpServers":{"a":{"command":"x"}}}', "a x"],
  "code fences among sentences": [
    'Add:\n```json\n{"mcpServers":{"a":{"command":"x"},}}\n```\nor\n```\n"b": {"url":"https://b.example/mcp"}\n```\n',
    ...["a x", "b https://b.example/mcp"],
  ],
  "an open code fence": ['```json\n{"a":{"command":"x"}}', "a x"],
  "commas and comments around a part": [
    '# mcp.json\n,\n// mine\n"a": {"command":"x"}, /* end */\n"b": {"command":"y"},\n}',
    ...["a x", "b y"],
  ],
  "a bare server": [
    '{"command":"npx","args":["-y","@modelcontextprotocol/server-github@1.2"]}',
    "github npx -y @modelcontextprotocol/server-github@1.2",
  ],
  "the members of a bare server": ['"command": "uvx", "args": ["mcp-server-git"]', "git uvx mcp-server-git"],
  "a bare address": ['{"url":"https://mcp.linear.app/mcp"}', "linear https://mcp.linear.app/mcp"],
  "several objects": ['{"a":{"command":"x"}}\n{"servers":{"b":{"command":"y"}}}', "a x", "b y"],
  "one name twice": ['"a":{"command":"x"},\n"a":{"command":"y"}', "a x", "a y"],
  "a list": ['[{"name":"a","command":"x"}]', "a x"],
  "paths of Windows": [
    String.raw`{"a":{"command":"C:\\Users\ann\new.exe","args":["C:\temp\new","D:\\ok","\\nas\share"]}}`,
    String.raw`a C:\Users\ann\new.exe C:\temp\new D:\ok \nas\share`,
  ],
  "other escapes": [String.raw`{"a":{"command":"x","args":["a\tb","\"C\""]}}`, 'a x a\tb "C"'],
  nothing: [" \n"],
};

for (const [what, [text, ...servers]] of Object.entries(PASTED)) {
  test(`F4 pasted servers are read: ${what}`, async () => assert.deepEqual(await read(text), servers));
}

test("F4 E4 pasted text of more than a thousand objects is refused before they are read", async () => {
  await assert.rejects(read('"'.repeat(65_536)), { message: "the pasted text has more than 1000 servers" });
});

test("F4 pasted text that is not JSON is refused with the place of the error", async () => {
  await assert.rejects(
    read('{"a":{"command":"x"}'),
    /the pasted text is not JSON .*: at 1:21, close brace expected/,
  );
  await assert.rejects(read("npx -y server"), { code: "client_unreadable" });
  await assert.rejects(read("42"), /42 where a server was expected/);
});
