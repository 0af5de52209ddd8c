// A client's file that something else writes to, or that cannot be written back as it stood, loses nothing.
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { connectClient, disconnectClient } from "../../../src/cli/clients/connect-client.ts";
import type { CommandContext } from "../../../src/cli/input/command.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

function contextOf(home: string, ask: CommandContext["ask"]): CommandContext {
  const never = new AbortController().signal;
  return {
    home,
    configPath: null,
    stdoutStyle: { width: 80, color: false, unicode: false },
    isTerminal: false,
    stdin: process.stdin,
    ask,
    yieldInterrupts: () => ({ [Symbol.dispose]() {} }),
    signal: never,
    forceSignal: never,
    print() {},
    note() {},
  };
}

test("F1 a file that was not there before is not removed over what its client wrote meanwhile", async (t) => {
  const home = await temporaryFolder(t);
  const file = join(home, "mcp.json");
  await mkdir(join(home, "own"));
  const manner = { client: "cursor", file, yes: false, keepOthers: true } as const;
  const yes = contextOf(join(home, "own"), async () => "y");
  assert.equal(await connectClient(yes, manner), 0);
  const connected = await readFile(file, "utf8");
  const written = '{"mcpServers": {"mine": {"command": "mine"}}}';
  const busy = contextOf(join(home, "own"), async () => {
    await writeFile(file, written);
    return "y";
  });
  await assert.rejects(disconnectClient(busy, manner), /changed meanwhile; nothing was written/);
  assert.equal(await readFile(file, "utf8"), written);
  // Nor is what an undo knows.
  await writeFile(file, connected);
  assert.equal(await disconnectClient(yes, manner), 0);
  await assert.rejects(readFile(file), { code: "ENOENT" });
});

test("F1 a file with bytes that are no UTF-8 is left as it is", async (t) => {
  const home = await temporaryFolder(t);
  const file = join(home, "mcp.json");
  const bytes = Buffer.from('{"mcpServers": {}} // caf\xe9\n', "latin1");
  await mkdir(join(home, "own"));
  await writeFile(file, bytes);
  const yes = contextOf(join(home, "own"), async () => "y");
  const manner = { client: "cursor", file, yes: false, keepOthers: true } as const;
  await assert.rejects(connectClient(yes, manner), { code: "client_unreadable", message: /is not UTF-8/ });
  assert.deepEqual(await readFile(file), bytes);
});
