// What is written into other programs' files: every other byte stays, and all of it can be taken back.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CLIENT_NAMES, CLIENTS, type Client } from "../../src/clients/client.ts";
import { editedClientText } from "../../src/clients/client-edit.ts";
import { OWN_NAME, ownEntry } from "../../src/clients/client-entry.ts";
import { clientValues } from "../../src/clients/client-text.ts";
import { foundEntries } from "../../src/clients/found-entries.ts";
import { objectOf } from "../../src/runtime/text/json-object.ts";
import { SAMPLE_FILES } from "./client-files.ts";

const PROGRAM = { command: "/opt/mountaineer/bin/mountaineer", args: ["mcp"], env: {} };

/** The client that keeps its servers as this file does. */
async function clientOf(file: string, text: string): Promise<Client> {
  const top = Object.keys(objectOf(await clientValues(text, file)));
  const names = CLIENT_NAMES.filter((name) => top.includes(CLIENTS[name].section[0] ?? ""));
  const format = file.endsWith(".toml") ? "toml" : "json";
  return names.map((name) => CLIENTS[name]).find((client) => client.format === format) ?? CLIENTS.claude;
}

const namesIn = async (text: string, file: string): Promise<string[]> =>
  foundEntries(await clientValues(text, file), "/").map(({ name }) => name);

describe("F1 writing into a client's file", () => {
  for (const { what, file, text } of SAMPLE_FILES) {
    it(`F1 ${what}: one server more, and the rest as it was`, async () => {
      const client = await clientOf(file, text);
      const entry = ownEntry(client, PROGRAM);
      const after = await editedClientText(client, text, [{ name: OWN_NAME, entry }]);
      const before = await namesIn(text, file);
      assert.deepEqual((await namesIn(after, file)).sort(), [...before, OWN_NAME].sort());
      for (const line of text.split(/\r?\n/)) {
        // A brace on the same line may get a line of its own.
        if (line.trim().length > 2) assert.ok(after.includes(line.trim().replace(/\}$/, "")), line);
      }
      const again = await editedClientText(client, after, [{ name: OWN_NAME, entry }]);
      assert.equal(again, after);
      const without = await editedClientText(client, after, [{ name: OWN_NAME, entry: null }]);
      assert.deepEqual(await namesIn(without, file), before);
    });
  }

  it("F1 what is taken out leaves its neighbours, their comments and their lines as they stand", async () => {
    const text =
      '{\n  "mcpServers": {\n    // first\n    "a": {"command": "a"}, // a\n    // second\n    "b":   {"command": "b"},\n    "c": {"command": "c"}\n  }\n}\n';
    const out = (name: string) => editedClientText(CLIENTS.claude, text, [{ name, entry: null }]);
    assert.equal(await out("b"), text.replace('    "b":   {"command": "b"},\n', ""));
    assert.ok((await out("a")).includes('    // second\n    "b":   {"command": "b"},\n'));
    assert.deepEqual(await namesIn(await out("c"), "x.json"), ["a", "b"]);
    assert.equal(await out("not there"), text);
  });

  for (const name of CLIENT_NAMES.filter((one) => CLIENTS[one].isConnected)) {
    it(`F1 ${CLIENTS[name].title} gets a program to start, and no token`, async () => {
      const client = CLIENTS[name];
      const text = await editedClientText(client, "", [{ name: OWN_NAME, entry: ownEntry(client, PROGRAM) }]);
      let value = await clientValues(text, client.format === "toml" ? "x.toml" : "x.json");
      for (const segment of [...client.section, OWN_NAME]) value = objectOf(value)[segment];
      const { command, args } = objectOf(value);
      assert.deepEqual([command, args], [PROGRAM.command, ["mcp"]]);
      assert.ok(text.endsWith("\n"));
    });
  }
});
