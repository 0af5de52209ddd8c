// Questions that find their client, and limits, with servers that others wrote and the official SDK's client.
import assert from "node:assert/strict";
import { mkdir, realpath, writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { ElicitRequestSchema, ListRootsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, startGatewayRig } from "./gateway-rig.ts";
import { connectLight } from "./light-client.ts";

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

test("B7 server-filesystem without arguments knows each client's own folder at its first call", async (t) => {
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
});

test("B7 a shared server that asks for roots is told of, and stays Ready", async (t) => {
  const rig = await startGatewayRig(t, { backends: { files: nodeBackend(FILESYSTEM) } });
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

test("B7 another's cancelled call stands in the way of a question for a second, and not for a minute", async (t) => {
  const rig = await startGatewayRig(t, { backends: { everything: nodeBackend(EVERYTHING, ["stdio"]) } });
  await rig.untilReady("everything");
  const [ann, ben] = [await connect(rig, {}), await connect(rig, {})];
  const abort = new AbortController();
  const long = { name: "trigger-long-running-operation", arguments: { duration: 0.5, steps: 1 } };
  const cancelled = ann.callTool(long, undefined, { signal: abort.signal }).catch(() => "cancelled");
  await eventually(async () => (await rig.backend("everything")).in_flight > 0);
  abort.abort();
  assert.equal(await cancelled, "cancelled");
  const deadline = performance.now() + 20_000;
  for (let answer = ""; !answer.includes("Ann"); ) {
    assert.ok(performance.now() < deadline, answer);
    // Each try is heard of the server: silence is what is waited for.
    await setTimeout(1_100);
    const given = { name: "trigger-elicitation-request", arguments: {} };
    answer = await ben.callTool(given).then(textOf, String);
  }
});

test("E4 a result over the size is read in pieces by the SDK's client, and limits change on its session", async (t) => {
  const backends = { light: nodeBackend(LIGHT_SERVER) };
  const rig = await startGatewayRig(t, { backends, more: { limits: { result_mb: 0.01 } } });
  await rig.untilReady("light");
  const client = await connect(rig, {});
  const text = "0123456789".repeat(3_000);
  const result = await client.callTool({ name: "echo", arguments: { text } });
  const content = Array.isArray(result.content) ? result.content : [];
  const link: unknown = content.find(({ type }) => type === "resource_link");
  assert.ok(typeof link === "object" && link !== null && "uri" in link, textOf(result));
  let whole = "";
  for (let next: unknown = link.uri; typeof next === "string"; ) {
    const [piece] = (await client.readResource({ uri: next })).contents;
    assert.ok(piece !== undefined && "text" in piece);
    whole += piece.text;
    next = piece._meta?.["mountaineer/next"];
  }
  assert.ok(whole.includes(text));
  const other = await connect(rig, {});
  await assert.rejects(other.readResource({ uri: String(link.uri) }), /not found/);

  await rig.edit({ backends, more: { limits: { calls_per_second: 0.01, burst: 2 } } });
  const light = await connectLight(rig.url);
  const calls = [];
  for (let count = 0; count < 3; count++) calls.push(await light.ask("tools/list").catch(String));
  assert.match(JSON.stringify(calls), /429.*\[limits\]\.calls_per_second/);
  await assert.rejects(client.callTool({ name: "echo", arguments: {} }), /calls_per_second.*try again in/);
  await rig.edit({ backends });
  await eventually(async () =>
    textOf(await client.callTool({ name: "echo", arguments: { text: "hi" } })).includes("hi"),
  );
  await light[Symbol.asyncDispose]();
});
