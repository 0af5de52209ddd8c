import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AuthorizationConfig } from "../../../src/config/snapshot.ts";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import type { ClientPort } from "../../../src/gateway/client-port.ts";
import { isError, type JsonObject, type Reply } from "../../../src/gateway/json-rpc.ts";
import type { AuditRecord } from "../../../src/gateway/middleware/audit.ts";
import type { ServingSet } from "../../../src/gateway/middleware/middleware.ts";
import { createOwnTools } from "../../../src/gateway/optimizer/own-tools.ts";
import { ToolIndex } from "../../../src/gateway/optimizer/tool-index.ts";
import { createSelections } from "../../../src/gateway/serving/selection.ts";
import type { ServingSetOptions } from "../../../src/gateway/serving/serving-set.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { FIRST_WINS, source } from "../catalog/sources.ts";
import { callPort, client, recordingServices, servingSet, user } from "../middleware/requests.ts";

const ON = { optimizer: { enabled: true, keepTools: ["read_*"] }, groups: [], profiles: [] };
const SOURCES = [
  source("files", { tools: ["read_file", "write_file", "delete_file"] }),
  source("github", { tools: ["create_issue", "list_issues", "find_tool"], prompts: ["review"] }),
];

interface Rig {
  readonly served: ServingSet;
  readonly services: ReturnType<typeof recordingServices>;
  ask(method: string, params?: JsonObject, from?: ClientPort): Promise<Reply>;
}

async function rig(
  options: Partial<ServingSetOptions> = {},
  sources: readonly CatalogSource[] = SOURCES,
): Promise<Rig> {
  const index = new ToolIndex();
  index.follow(buildCatalog(sources, FIRST_WINS).tools);
  await index.ready;
  const services = recordingServices();
  const ownTools = createOwnTools({ index, clock: createManualClock(), logger: silentLogger });
  const served = servingSet(sources, services, { selections: createSelections(ON), ownTools, ...options });
  return {
    served,
    services,
    ask(method, params, from = client()) {
      const set = served.forClient(from);
      const signal = new AbortController().signal;
      return set.handle(set.meant({ method, params, port: callPort(from), signal, served: set }));
    },
  };
}

function call(name: string, given: JsonObject): [string, JsonObject] {
  return ["tools/call", { name, arguments: given }];
}

function textOf(reply: Reply): string {
  if (isError(reply)) assert.fail(reply.error.message);
  const [block] = reply.result["content"] as readonly JsonObject[];
  return String(block?.["text"]);
}

function failureOf(reply: Reply): string {
  assert.equal(!isError(reply) && reply.result["isError"], true);
  return textOf(reply);
}

function listedNames(reply: Reply): readonly unknown[] {
  return isError(reply) ? [] : (reply.result["tools"] as readonly JsonObject[]).map(({ name }) => name);
}

describe("D4 tools that are not listed", () => {
  test("find_tool, call_tool and those that are kept are listed in both versions of the protocol", async () => {
    const { ask } = await rig();
    assert.deepEqual(listedNames(await ask("tools/list")), ["find_tool", "call_tool", "read_file"]);
    const modern = { ...client(), protocolVersion: "2026-07-28" } as const;
    assert.deepEqual(listedNames(await ask("tools/list", {}, modern)), [
      "find_tool",
      "call_tool",
      "read_file",
    ]);
  });

  test("find_tool answers names, descriptions and input schemas, best first", async () => {
    const { ask } = await rig();
    const { tools } = JSON.parse(textOf(await ask(...call("find_tool", { query: "open a new issue" }))));
    assert.deepEqual(tools[0], {
      name: "create_issue",
      description: "create_issue of github",
      inputSchema: {},
    });
    const exact = await ask(...call("find_tool", { query: "delete_file", limit: 1 }));
    assert.deepEqual(
      JSON.parse(textOf(exact)).tools.map(({ name }: JsonObject) => name),
      ["delete_file"],
    );
    const nothing = textOf(await ask(...call("find_tool", { query: "zeppelin" })));
    assert.match(nothing, /No tool fits "zeppelin"\. Say in other words .*5 tools can be found here/);
  });

  test("find_tool that is asked wrongly says what it takes", async () => {
    const { ask } = await rig();
    const told = async (given: JsonObject) => failureOf(await ask(...call("find_tool", given)));
    assert.match(await told({}), /`query` is missing, or is no text\. find_tool takes \{"query"/);
    assert.match(await told({ query: "x", top: 3 }), /`top` is not known/);
    assert.match(await told({ query: "x", limit: 0 }), /`limit` must be a whole number from 1 to 20/);
    assert.match(
      await told({ query: "x".repeat(1_001) }),
      /1001 characters, of 1000 at most: say it in a few words/,
    );
  });

  test("a call through call_tool goes to its backend as the call of that tool", async () => {
    const { ask, services } = await rig();
    const _meta = { progressToken: 7 };
    await ask("tools/call", {
      name: "call_tool",
      _meta,
      arguments: { name: "create_issue", arguments: { title: "x" } },
    });
    assert.deepEqual(services.calls, [
      {
        backend: "github",
        what: "tools/call",
        params: { name: "create_issue", arguments: { title: "x" }, _meta },
      },
    ]);
  });

  test("call_tool that is called wrongly says what it takes, and a wrong name what is near", async () => {
    const { ask, services } = await rig();
    const told = async (given: JsonObject) => failureOf(await ask(...call("call_tool", given)));
    assert.match(await told({}), /`name` is missing.*call_tool takes \{"name": "a tool's name", "arguments"/);
    assert.match(
      await told({ name: "create_issue", title: "x" }),
      /`title` does not belong beside `name`: what the tool takes stands in `arguments`/,
    );
    assert.match(await told({ name: "create_issue", arguments: "x" }), /`arguments` must be an object/);
    assert.match(await told({ name: "make_issues" }), /no tool make_issues\. Similar names: create_issue/);
    assert.match(await told({ name: "call_tool" }), /call_tool is called by itself/);
    assert.deepEqual(services.calls, []);
  });

  test("a server's tool of the same name gives way to the gateway's own", async () => {
    const { ask, services } = await rig();
    assert.match(failureOf(await ask(...call("call_tool", { name: "find_tool" }))), /called by itself/);
    assert.match(textOf(await ask(...call("find_tool", { query: "issues" }))), /list_issues/);
    assert.deepEqual(services.calls, []);
  });

  test("policies and the audit see the tool that is meant", async () => {
    const records: AuditRecord[] = [];
    const authorization: AuthorizationConfig = {
      defaultEffect: "allow",
      policies: [
        { effect: "deny", roles: null, resources: ["tool:delete_*"], methods: null },
        {
          effect: "deny",
          roles: null,
          resources: ["tool:create_issue"],
          methods: null,
          arguments: { repo: ["secret"] },
        },
      ],
    };
    const config = { path: "/x", maxSizeBytes: 1, keep: 1, includeArguments: true, redact: [] };
    const audit = { config, write: (record: AuditRecord) => void records.push(record) };
    const { ask, services } = await rig({ authorization, audit });
    const from = client(user("ann"));
    const through = (name: string, given: JsonObject) =>
      ask("tools/call", { name: "call_tool", arguments: { name, arguments: given } }, from);
    assert.match(failureOf(await through("delete_file", {})), /^There is no tool delete_file\./);
    assert.match(
      failureOf(await through("create_issue", { repo: "secret" })),
      /^A policy does not allow this call of create_issue: other arguments may be allowed\.$/,
    );
    await through("create_issue", { repo: "open" });
    assert.deepEqual(
      records.map(({ target, outcome, backend, arguments: given }) => [target, outcome, backend, given]),
      [
        ["tool:delete_file", "denied", "files", {}],
        ["tool:create_issue", "denied", "github", { repo: "secret" }],
        ["tool:create_issue", "ok", "github", { repo: "open" }],
      ],
    );
    assert.equal(services.calls.length, 1);
    const found = await ask(...call("find_tool", { query: "delete a file", limit: 20 }), from);
    assert.doesNotMatch(textOf(found), /delete_file/, "what may not be called is not found");
    assert.doesNotMatch(failureOf(await through("delete_filx", {})), /delete_file/);
  });

  test("a change of a tool that is not listed is no change of the list", async () => {
    const before = await rig();
    const others = [source("files", { tools: ["read_file", "move_file"] }), ...SOURCES.slice(1)];
    const after = await rig({}, others);
    const kept = await rig({}, [source("files", { tools: ["read_file", "read_lines"] })]);
    const digest = ({ served }: Rig) => served.forClient(client()).viewFor(client().principal).digests.tools;
    assert.equal(digest(before), digest(after));
    assert.notEqual(digest(before), digest(kept));
  });

  test("an answer stays within its bound, and every tool that was found is named in it", async () => {
    const big = (name: string) => ({
      name,
      description: `ship parcels ${"long words ".repeat(500)}`,
      inputSchema: {
        type: "object",
        properties: Object.fromEntries(
          Array.from({ length: 60 }, (_, n) => [
            `parcel_${n}`,
            { type: "string", description: "words ".repeat(40) },
          ]),
        ),
      },
    });
    const tools = Array.from({ length: 20 }, (_, n) => big(`ship_${n}`));
    const post = {
      ...source("post", {}),
      listings: { tools, resources: [], resourceTemplates: [], prompts: [] },
    };
    const { ask } = await rig({}, [post]);
    const answer = textOf(await ask(...call("find_tool", { query: "ship parcels", limit: 20 })));
    assert.ok(Buffer.byteLength(answer) <= 12_100, String(answer.length));
    const shown = JSON.parse(answer).tools as readonly JsonObject[];
    assert.equal(shown.length, 20);
    assert.ok(shown[0]?.["inputSchema"] !== undefined);
  });
});
