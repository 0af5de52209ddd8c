// The official SDK's client of 2025-11-25 against the real program, with servers of 2026-07-28 behind it.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CreateMessageRequestSchema,
  ElicitationCompleteNotificationSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { programPath } from "../gateway/backends/links/era/era-rig.ts";
import { eventually } from "../support/eventually.ts";
import { startHttpFixture } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, SETTLES_MS, startGatewayRig } from "./gateway-rig.ts";

const SERVER = programPath("era-modern-server");

interface Connected {
  readonly client: Client;
  readonly asked: { readonly method: string; readonly params: unknown }[];
  readonly told: { readonly method: string; readonly params: unknown }[];
}

async function connect(rig: GatewayRig, name: string, capabilities: object = ALL): Promise<Connected> {
  const client = new Client({ name, version: "1" }, { capabilities });
  const asked: Connected["asked"] = [];
  const told: Connected["told"] = [];
  if ("elicitation" in capabilities) {
    client.setRequestHandler(ElicitRequestSchema, ({ method, params }) => {
      asked.push({ method, params });
      return { action: "accept", content: { name } };
    });
  }
  if ("sampling" in capabilities) {
    client.setRequestHandler(CreateMessageRequestSchema, ({ method, params }) => {
      asked.push({ method, params });
      return { role: "assistant", model: "m", content: { type: "text", text: name } };
    });
  }
  if ("roots" in capabilities) {
    client.setRequestHandler(ListRootsRequestSchema, ({ method, params }) => {
      asked.push({ method, params });
      return { roots: [{ uri: `file:///${name}` }] };
    });
  }
  const hear = (notice: { method: string; params?: unknown }): void => {
    told.push({ method: notice.method, params: notice.params });
  };
  for (const schema of [
    ElicitationCompleteNotificationSchema,
    LoggingMessageNotificationSchema,
    ResourceUpdatedNotificationSchema,
    ToolListChangedNotificationSchema,
  ]) {
    client.setNotificationHandler(schema, hear);
  }
  await client.connect(new StreamableHTTPClientTransport(new URL(rig.url)));
  rig.beforeStop(() => client.close());
  return { client, asked, told };
}

const ALL = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} };

/** The only text of a result, parsed. */
function said(result: Awaited<ReturnType<Client["callTool"]>>): unknown {
  const [first] = Array.isArray(result.content) ? result.content : [];
  return JSON.parse(first?.text);
}

async function start(t: TestContext): Promise<GatewayRig> {
  const { url } = await startHttpFixture(t, SERVER);
  const rig = await startGatewayRig(t, {
    backends: { near: nodeBackend(SERVER, ["stdio"]), far: { url } },
    more: { conflict_resolution: { strategy: "prefix" } },
  });
  // A tool of theirs is withheld.
  for (const name of ["near", "far"]) await rig.untilBackend(name, ({ phase }) => phase === "Degraded");
  return rig;
}

test("D1 D2 an older client of servers of 2026-07-28", async (t) => {
  const rig = await start(t);
  const { client, asked, told } = await connect(rig, "ann");

  await t.test("D1 status says what is spoken, and why a tool is withheld", async () => {
    for (const name of ["near", "far"]) {
      assert.equal((await rig.backend(name)).protocol_version, "2026-07-28");
    }
    const { conditions } = await rig.backend("far");
    assert.match(JSON.stringify(conditions), /bad_header.*x-mcp-header of a is not on a string/);
    // Older clients can call it there.
    const near = JSON.stringify((await rig.backend("near")).conditions);
    assert.match(
      near,
      /bad_header.*is withheld from clients of 2026-07-28: x-mcp-header of a is not on a string/,
    );
  });

  await t.test("D2 lists, calls, prompts and resources are those of an older server", async () => {
    const { tools } = await client.listTools();
    const names = tools.map(({ name }) => name);
    assert.ok(names.includes("near_bad_header") && !names.includes("far_bad_header"), names.join(" "));
    const numbers = tools.find(({ name }) => name === "far_numbers");
    assert.deepEqual(numbers?.outputSchema, {
      type: "object",
      properties: { result: { type: "array", items: { type: "integer" } } },
      required: ["result"],
    });
    for (const from of ["near", "far"]) {
      const { structuredContent } = await client.callTool({ name: `${from}_numbers` });
      assert.deepEqual(structuredContent, { result: [1, 2] });
      assert.deepEqual(said(await client.callTool({ name: `${from}_echo`, arguments: { a: 1 } })), { a: 1 });
      // Its own name is none that clients take.
      const name = names.find((each) => each.startsWith(`${from}_r`)) ?? "none";
      const region = { name, arguments: { place: " ü " } };
      assert.deepEqual(said(await client.callTool(region)), { place: " ü " });
      assert.equal((await client.getPrompt({ name: `${from}_greet` })).messages.length, 1);
    }
    const { contents } = await client.readResource({ uri: "test://one" });
    assert.deepEqual(contents, [{ uri: "test://one", text: "one" }]);
  });

  for (const from of ["near", "far"]) {
    await t.test(`D2 ${from}: it is asked once, three times at once, and in three rounds`, async () => {
      asked.length = 0;
      const accepted = { action: "accept", content: { name: "ann" } };
      assert.deepEqual(said(await client.callTool({ name: `${from}_ask` })), {
        state: "s1",
        inputResponses: { who: accepted },
      });
      assert.deepEqual(said(await client.callTool({ name: `${from}_ask_three` })), {
        who: accepted,
        say: { role: "assistant", model: "m", content: { type: "text", text: "ann" } },
        where: { roots: [{ uri: "file:///ann" }] },
      });
      const rounds = await client.callTool({ name: `${from}_ask_rounds` });
      assert.deepEqual(said(rounds), { done: 3, inputResponses: { q2: accepted } });
      assert.equal(asked.length, 1 + 3 + 3);
      assert.deepEqual(said(await client.callTool({ name: `${from}_ask_page` })), { page: accepted });
      const page = asked.at(-1)?.params as { readonly elicitationId: string } | undefined;
      const id = page?.elicitationId ?? "none";
      await eventually(() => told.some(({ params }) => JSON.stringify(params ?? null).includes(id)));
    });

    await t.test(`D2 ${from}: who cannot be asked gets an error of the tool`, async () => {
      const { client: mute } = await connect(rig, "mute", {});
      const result = await mute.callTool({ name: `${from}_ask` });
      assert.equal(result.isError, true);
      assert.match(JSON.stringify(result.content), /does not declare elicitation/);
    });

    await t.test(`D2 ${from}: progress and logs of its call, and changes`, async () => {
      told.length = 0;
      let progress = 0;
      await client.callTool({ name: `${from}_work` }, undefined, { onprogress: () => progress++ });
      await eventually(() => told.some(({ method }) => method === "notifications/message"));
      assert.equal(progress, 1);
      await client.callTool({ name: `${from}_change` });
      await eventually(() => told.some(({ method }) => method === "notifications/tools/list_changed"));
      const { tools } = await client.listTools();
      assert.ok(tools.some(({ name }) => name === `${from}_added`));
    });

    await t.test(`D2 ${from}: a call that is cancelled leaves the server in order`, async () => {
      const cancel = new AbortController();
      const call = client.callTool({ name: `${from}_wait` }, undefined, { signal: cancel.signal });
      await eventually(async () => (await rig.backend(from)).in_flight > 0);
      cancel.abort();
      await assert.rejects(call);
      await eventually(async () => (await rig.backend(from)).in_flight === 0);
      assert.deepEqual(said(await client.callTool({ name: `${from}_echo`, arguments: {} })), {});
    });
  }

  await t.test("D2 a resource that it subscribed to is told of", async () => {
    await client.subscribeResource({ uri: "test://one" });
    told.length = 0;
    await client.callTool({ name: "near_touch" });
    await eventually(() => told.some(({ method }) => method === "notifications/resources/updated"));
    await client.unsubscribeResource({ uri: "test://one" });
  });

  await t.test("D2 two clients asked at once through one process: each answers its own", async () => {
    const { client: ben } = await connect(rig, "ben");
    const pairs = Array.from({ length: 5 }, () =>
      Promise.all([client.callTool({ name: "near_ask" }), ben.callTool({ name: "near_ask" })]),
    );
    for (const [anns, bens] of await Promise.all(pairs)) {
      const answered = (name: string) => ({
        state: "s1",
        inputResponses: { who: { action: "accept", content: { name } } },
      });
      assert.deepEqual(said(anns), answered("ann"));
      assert.deepEqual(said(bens), answered("ben"));
    }
  });
});

test("D1 a server that crashes in a call, and comes back with another protocol version", async (t) => {
  const folder = path.join(process.env["TMPDIR"] ?? "/tmp", `mt-speaks-${process.pid}`);
  await writeFile(folder, "modern");
  const rig = await startGatewayRig(t, {
    backends: { near: nodeBackend(SERVER, ["stdio"], { env: { SPEAKS_FILE: folder } }) },
  });
  await rig.untilBackend("near", ({ phase }) => phase === "Degraded");
  const { client } = await connect(rig, "ann");
  for (const [speaks, version] of [
    ["older", "2025-11-25"],
    ["modern", "2026-07-28"],
  ] as const) {
    await writeFile(folder, speaks);
    await assert.rejects(client.callTool({ name: "crash" }), /backend near/);
    const isUp = (phase: string): boolean => phase === "Ready" || phase === "Degraded";
    await rig.untilBackend(
      "near",
      (seen) => seen.protocol_version === version && isUp(seen.phase),
      SETTLES_MS,
    );
  }
  assert.deepEqual(said(await client.callTool({ name: "echo", arguments: { back: true } })), { back: true });
});
