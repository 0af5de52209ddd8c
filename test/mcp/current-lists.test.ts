// A server that adds things and sends no notice: every client has them as if it were connected directly.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ANSWERS_MS, eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { CHANGING_SERVER } from "./fixture-programs.ts";
import { nodeBackend, openGatewayRig } from "./gateway-rig.ts";
import { connectLight } from "./light-client.ts";
import { ask } from "./modern-wire.ts";

const shown = (...names: readonly string[]) =>
  JSON.stringify({
    tools: names.map((name) => ({ name, inputSchema: { type: "object" } })),
    prompts: names.map((name) => ({ name })),
    resources: names.map((name) => ({ uri: `note://${name}`, name })),
  });

test("D5 what a server adds without a notice is listed, named and called by clients of both generations", async (t) => {
  const file = join(await temporaryFolder(t), "shown.json");
  await writeFile(file, shown("first"));
  await using rig = await openGatewayRig({
    backends: { notes: nodeBackend(CHANGING_SERVER, [file, "silent"]) },
  });
  await using client = await connectLight(rig.url);
  await client.listen();
  await rig.untilBackend("notes", ({ phase }) => phase === "Ready");
  await writeFile(file, shown("first", "second"));
  const named = async (): Promise<boolean> =>
    "result" in (await ask(rig.url, "prompts/get", { name: "second" }));
  await eventually(named);
  assert.deepEqual((await client.request("prompts/list"))["prompts"], [
    { name: "first" },
    { name: "second" },
  ]);
  await eventually(async () =>
    JSON.stringify(await client.request("resources/list")).includes("note://second"),
  );
  await eventually(async () => JSON.stringify(await ask(rig.url, "tools/list")).includes('"second"'));
  await eventually(() => client.notices.some(({ method }) => method === "notifications/tools/list_changed"));
  await writeFile(file, shown("first", "second", "third"));
  const listed = async (): Promise<string> =>
    JSON.stringify(await (await rig.daemon()).call("tools", null, AbortSignal.timeout(ANSWERS_MS)));
  await eventually(async () => (await listed()).includes('"third"'));
  await writeFile(file, shown("first"));
  await eventually(async () => (await client.tools()).length === 1);
});
