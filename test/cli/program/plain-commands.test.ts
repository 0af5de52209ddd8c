import assert from "node:assert/strict";
import { test } from "node:test";
import { COMMANDS } from "../../../src/cli/program/command-list.ts";
import { PLAIN_COMMANDS, runPlainCommand } from "../../../src/cli/program/plain-commands.ts";
import { commandOf, createProgram } from "../../../src/cli/program/program.ts";

const program = createProgram({ print() {}, complain() {} }, async () => {});

test("a command that runs without the parser is one of the program's, and has no option but --json", async () => {
  for (const [words, load] of Object.entries(PLAIN_COMMANDS)) {
    const definition = await load();
    assert.equal(definition.name, words);
    assert.ok(COMMANDS.includes(definition), words);
    const command = commandOf(program, definition);
    assert.deepEqual(
      command?.options.map(({ long }) => long),
      ["--json"],
    );
    assert.deepEqual(command?.registeredArguments, []);
  }
});

test("whatever is not a plain call is left to the parser, and nothing is done", async () => {
  const makeContext = () => assert.fail("nothing may be begun");
  for (const args of [
    [],
    ["status", "--help"],
    ["--json", "status"],
    ["status", "--json", "--json"],
    ["--config", "x", "status"],
    ["tools"],
    ["tools list"],
    ["toString"],
    ["switch"],
  ])
    assert.equal(await runPlainCommand(args, makeContext), null, args.join(" "));
});
