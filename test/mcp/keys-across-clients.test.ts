// One client's message changes nothing in another client's: the server gets each argument under the name that was sent.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startGatewayRig } from "./gateway-rig.ts";

/** A server whose only tool answers with the line that it got. */
const SERVER = `
const answer = (id, result) => console.log(JSON.stringify({ jsonrpc: "2.0", id, result }));
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method } = JSON.parse(line);
  const serverInfo = { name: "line", version: "1" };
  if (method === "initialize") answer(id, { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo });
  else if (method === "tools/list") answer(id, { tools: [{ name: "line", inputSchema: { type: "object" } }] });
  else if (method === "tools/call") answer(id, { content: [{ type: "text", text: line }] });
  else if (id !== undefined) answer(id, {});
});`;

test("E2 an argument reaches its server under its own name, whatever another client has sent", async (t) => {
  const rig = await startGatewayRig(t, {
    backends: { line: { command: process.execPath, args: ["-e", SERVER] } },
  });
  await rig.untilReady("line");
  await using mallory = await rig.connect();
  await using bob = await rig.connect();
  const calls = async (client: typeof bob, key: string): Promise<boolean> =>
    (await client.call("line", { files: { root: 1, [key]: 1 } })).includes(
      `{"root":1,${JSON.stringify(key)}:1}`,
    );
  for (const key of ["C:\\a", "C:\\\\"]) {
    assert.ok(await calls(bob, "C:\\a"));
    assert.ok(await calls(mallory, key));
  }
  assert.ok(await calls(bob, "C:\\a"));
});
