// Questions that find their client, and limits, with servers that others wrote and the official SDK's client.
import assert from "node:assert/strict";
import { mkdir, realpath, writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { ElicitRequestSchema, ListRootsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { type GatewayRig, nodeBackend, startGatewayRig } from "./gateway-rig.ts";

const MODULES = path.resolve(import.meta.dirname, "../../node_modules/@modelcontextprotocol");
const EVERYTHING = path.join(MODULES, "server-everything/dist/index.js");
const FILESYSTEM = path.join(MODULES, "server-filesystem/dist/index.js");

interface Asking {
  readonly roots?: string;
  readonly elicit?: () => Promise<void>;
}

async function connect(rig: GatewayRig, { roots, elicit }: Asking): Promise<Client> {
  const client = new Client(
    { name: "sdk-client", version: "1.0.0" },
    { capabilities: { elicitation: {}, roots: { listChanged: true } } },
  );
  client.setRequestHandler(ListRootsRequestSchema, () => ({
    roots: roots === undefined ? [] : [{ uri: pathToFileURL(roots).href, name: "mine" }],
  }));
  client.setRequestHandler(ElicitRequestSchema, async () => {
    await elicit?.();
    return { action: "accept" as const, content: { name: "Ann", check: true } };
  });
  await client.connect(new StreamableHTTPClientTransport(new URL(rig.url)) as Transport);
  rig.beforeStop(() => client.close());
  return client;
}

const textOf = (result: Awaited<ReturnType<Client["callTool"]>>): string => JSON.stringify(result.content);

async function folderWith(t: TestContext, text: string): Promise<string> {
  const folder = await realpath(await temporaryFolder(t));
  await mkdir(path.join(folder, "sub"));
  await writeFile(path.join(folder, "note.txt"), text);
  return folder;
}

test("B7 server-filesystem without arguments knows each client's own folder at its first call; shared, it is told of", async (t) => {
  const rig = await startGatewayRig(t, {
    backends: { files: nodeBackend(FILESYSTEM, [], { instances: "per-client" }) },
  });
  await rig.untilReady("files");
  for (const name of ["ann", "ben", "carl"]) {
    const folder = await folderWith(t, `of ${name}`);
    const client = await connect(rig, { roots: folder });
    const read = await client.callTool({
      name: "read_text_file",
      arguments: { path: path.join(folder, "note.txt") },
    });
    assert.match(textOf(read), new RegExp(`of ${name}`), textOf(read));
  }
  assert.deepEqual((await rig.backend("files")).conditions, []);

  // One process that asks each client is told of, and serves.
  await rig.edit({ backends: { files: nodeBackend(FILESYSTEM) } });
  const { phase, conditions } = await rig.untilBackend("files", (seen) => seen.conditions.length > 0);
  assert.deepEqual(
    [phase, conditions.map(({ code, severity }) => [code, severity])],
    ["Ready", [["roots_shared", "info"]]],
  );
  assert.match(String(conditions[0]?.hint), /instances = "per-client" for backend files/);
});

test("B7 a question that is open while the port is edited gets its answer, and its call the result", async (t) => {
  const everything = nodeBackend(EVERYTHING, ["stdio"]);
  const rig = await startGatewayRig(t, { backends: { everything } });
  await rig.untilReady("everything");
  const answer = Promise.withResolvers<void>();
  let isAsked = false;
  const client = await connect(rig, {
    elicit: () => {
      isAsked = true;
      return answer.promise;
    },
  });
  const result = client.callTool({ name: "trigger-elicitation-request", arguments: {} });
  await eventually(() => isAsked);
  await rig.edit({ backends: { everything }, server: { port: await freePort() } });
  answer.resolve();
  assert.match(textOf(await result), /Ann/);
});
