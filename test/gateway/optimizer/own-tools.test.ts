import assert from "node:assert/strict";
import { test } from "node:test";
import type { AuthorizationConfig } from "../../../src/config/snapshot.ts";
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import { ANONYMOUS, type ClientHandle } from "../../../src/gateway/client-handle.ts";
import { checkModern, checkParamHeaders } from "../../../src/gateway/frontend/modern/request.ts";
import { isError, type JsonObject, type Reply } from "../../../src/gateway/json-rpc.ts";
import type { AuditRecord } from "../../../src/gateway/middleware/audit.ts";
import type { ServingSet } from "../../../src/gateway/middleware/middleware.ts";
import { createOwnTools, foundText } from "../../../src/gateway/optimizer/own-tools.ts";
import { conceptsOf, termsOf } from "../../../src/gateway/optimizer/terms.ts";
import { coverageOf, ToolIndex, wordsWithConcepts } from "../../../src/gateway/optimizer/tool-index.ts";
import { META, MODERN_VERSION } from "../../../src/gateway/protocol.ts";
import { createSelections } from "../../../src/gateway/serving/selection.ts";
import type { ServingSetOptions } from "../../../src/gateway/serving/serving-set.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { catalogOf, source } from "../catalog/sources.ts";
import { callPort, client, policy, recordingServices, servingSet, user } from "../middleware/requests.ts";

const ON = { optimizer: { enabled: true, keepTools: ["read_*"] }, groups: [], profiles: [] };
const SOURCES = [
  source("files", { tools: ["read_file", "write_file", "delete_file"] }),
  source("github", { tools: ["create_issue", "list_issues", "find_tool"], prompts: ["review"] }),
];

interface Rig {
  readonly served: ServingSet;
  readonly services: ReturnType<typeof recordingServices>;
  ask(method: string, params?: JsonObject, from?: ClientHandle): Promise<Reply>;
}

async function rig(
  options: Partial<ServingSetOptions> = {},
  sources: readonly CatalogSource[] = SOURCES,
): Promise<Rig> {
  const index = new ToolIndex();
  index.follow(catalogOf(...sources).tools);
  await index.ready;
  const services = recordingServices();
  const ownTools = createOwnTools({ index, clock: createManualClock(), logger: noopLogger });
  const served = servingSet(sources, services, { selections: createSelections(ON), ownTools, ...options });
  return {
    served,
    services,
    ask(method, params, from = client()) {
      const set = served.forClient(from);
      const signal = new AbortController().signal;
      return set.handle(set.finalRequest({ method, params, handle: callPort(from), signal, served: set }));
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

test("D4 tools that are not listed: find_tool, call_tool and kept tools are listed in both versions of the protocol", async () => {
  const { ask } = await rig();
  assert.deepEqual(listedNames(await ask("tools/list")), ["find_tool", "call_tool", "read_file"]);
  const modern = { ...client(), protocolVersion: "2026-07-28" } as const;
  assert.deepEqual(listedNames(await ask("tools/list", {}, modern)), ["find_tool", "call_tool", "read_file"]);
});

// Hosts draw an app's page only for a tool that is listed; who may call it is in its `_meta`.
test("D4 D9 tools of an app stay listed, and those of only its page are neither found nor called for a model", async () => {
  const app = source("app", { tools: ["draw_chart", "save_chart", "plain"] });
  const ui = { draw_chart: { resourceUri: "ui://app/chart" }, save_chart: { visibility: ["app"] } };
  const tools = app.listings.tools.map((tool) => {
    const of = ui[tool["name"] as keyof typeof ui];
    return of === undefined ? tool : { ...tool, _meta: { ui: of } };
  });
  const { ask, services } = await rig({}, [{ ...app, listings: { ...app.listings, tools } }]);
  const host = { ...client(), capabilities: { extensions: { "io.modelcontextprotocol/ui": {} } } };
  const shown = ["find_tool", "call_tool", "draw_chart"];
  assert.deepEqual(listedNames(await ask("tools/list", {}, host)), [...shown, "save_chart"]);
  assert.deepEqual(listedNames(await ask("tools/list")), shown);
  const found = JSON.parse(textOf(await ask(...call("find_tool", { query: "chart", limit: 9 }))));
  assert.deepEqual(pluck(found.tools as JsonObject[], "name"), ["draw_chart"]);
  assert.match(failureOf(await ask(...call("call_tool", { name: "save_chart" }))), /no tool save_chart/);
  assert.equal(services.calls.length, 0);
  await ask(...call("call_tool", { name: "draw_chart" }));
  await ask(...call("save_chart", {}), host);
  assert.equal(services.calls.length, 2);
  assert.ok(isError(await ask(...call("save_chart", {}))));
});

test("D4 tools that are not listed: find_tool answers names, descriptions and input schemas, best first", async () => {
  const { ask } = await rig();
  const { tools } = JSON.parse(textOf(await ask(...call("find_tool", { query: "open a new issue" }))));
  assert.deepEqual(tools[0], {
    name: "create_issue",
    description: "create_issue of github",
    inputSchema: {},
  });
  const exact = await ask(...call("find_tool", { query: "delete_file", limit: 1 }));
  assertEach(JSON.parse(textOf(exact)).tools, ({ name }: JsonObject) => name, ["delete_file"]);
  const nothing = textOf(await ask(...call("find_tool", { query: "zeppelin" })));
  assert.match(nothing, /No tool fits "zeppelin"\. Say in other words .*5 tools can be found here/);
});

test("D4 tools that are not listed: find_tool answers up to the requested number, the one of that very name first", async () => {
  class NoisyIndex extends ToolIndex {
    override search(_: string, most: number, isWanted: (name: string) => boolean): string[] {
      return ["another's", "create_issue", "list_issues"].filter(isWanted).slice(0, most);
    }
  }
  const ownTools = createOwnTools({
    index: new NoisyIndex(),
    clock: createManualClock(),
    logger: noopLogger,
  });
  const { ask } = await rig({ ownTools });
  const found = async (query: string): Promise<unknown[]> => {
    const { tools } = JSON.parse(textOf(await ask(...call("find_tool", { query, limit: 2 }))));
    return pluck(tools as JsonObject[], "name");
  };
  assert.deepEqual(await found("issues"), ["create_issue", "list_issues"]);
  assert.deepEqual(await found(" delete_file "), ["delete_file", "create_issue"]);
});

test("D4 tools that are not listed: the target of call_tool is read once, and a direct call's error is the server's", async () => {
  const { served, ask } = await rig();
  const set = served.forClient(client());
  const [method, params] = call("call_tool", {
    name: "call_tool",
    arguments: { name: "create_issue", arguments: {} },
  });
  const signal = new AbortController().signal;
  const unwrapped = set.finalRequest({ method, params, handle: callPort(client()), signal, served: set });
  assert.equal(set.finalRequest(unwrapped), unwrapped);
  assert.ok(isError(await ask(...call("no_such_tool", {}))));
});

test("D4 tools that are not listed: an invalid call of find_tool is answered with its parameters", async () => {
  const { ask } = await rig();
  const told = async (given: JsonObject) => failureOf(await ask(...call("find_tool", given)));
  assert.match(await told({}), /`query` is missing, or is not a text\. find_tool takes \{"query"/);
  assert.match(await told({ query: "x", top: 3 }), /`top` is not known/);
  for (const limit of [0, 21])
    assert.match(await told({ query: "x", limit }), /`limit` must be a whole number from 1 to 20/);
  assert.match(
    await told({ query: "x".repeat(1_001) }),
    /1001 characters, of 1000 at most: say it in a few words/,
  );
});

test("D4 tools that are not listed: a call through call_tool goes to its backend as the call of that tool", async () => {
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

test("D4 tools that are not listed: an invalid call of call_tool is answered with its parameters, and an unknown name with similar ones", async () => {
  const { ask, services } = await rig();
  const told = async (given: JsonObject) => failureOf(await ask(...call("call_tool", given)));
  assert.match(await told({}), /`name` is missing.*call_tool takes \{"name": "a tool's name", "arguments"/);
  assert.match(
    await told({ name: "create_issue", title: "x" }),
    /`title` does not belong next to `name`: the tool's parameters go into `arguments`/,
  );
  assert.match(await told({ name: "create_issue", arguments: "x" }), /`arguments` must be an object/);
  assert.match(await told({ name: "make_issues" }), /no tool make_issues\. Similar names: create_issue/);
  // No real name is so long, and a search costs by its length.
  assert.doesNotMatch(await told({ name: `make_issues ${"x".repeat(1_000)}` }), /Similar names/);
  assert.match(await told({ name: "call_tool" }), /Call call_tool directly/);
  assert.deepEqual(services.calls, []);
});

test("D4 tools that are not listed: the gateway's own tool takes precedence over a server's of the same name", async () => {
  const { ask, services } = await rig();
  assert.match(failureOf(await ask(...call("call_tool", { name: "find_tool" }))), /directly/);
  assert.match(textOf(await ask(...call("find_tool", { query: "issues" }))), /list_issues/);
  assert.deepEqual(services.calls, []);
});

test("D4 tools that are not listed: policies and the audit see the target tool", async () => {
  const records: AuditRecord[] = [];
  const authorization: AuthorizationConfig = {
    defaultEffect: "allow",
    policies: [
      policy("deny", { resources: ["tool:delete_*"] }),
      policy("deny", { resources: ["tool:create_issue"], arguments: { repo: ["secret"] } }),
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
  assertEach(records, ({ target, outcome, backend, arguments: given }) => [target, outcome, backend, given], [
    ["tool:delete_file", "denied", "files", {}],
    ["tool:create_issue", "denied", "github", { repo: "secret" }],
    ["tool:create_issue", "ok", "github", { repo: "open" }],
  ]);
  assert.equal(services.calls.length, 1);
  const found = await ask(...call("find_tool", { query: "delete a file", limit: 20 }), from);
  assert.doesNotMatch(textOf(found), /delete_file/, "what may not be called is not found");
  assert.doesNotMatch(failureOf(await through("delete_filx", {})), /delete_file/);
});

test("D4 tools that are not listed: a change of a tool that is not listed does not change the list", async () => {
  const before = await rig();
  const others = [source("files", { tools: ["read_file", "move_file"] }), ...SOURCES.slice(1)];
  const after = await rig({}, others);
  const kept = await rig({}, [source("files", { tools: ["read_file", "read_lines"] })]);
  const digest = ({ served }: Rig) => served.forClient(client()).viewFor(client().principal).digests.tools;
  assert.equal(digest(before), digest(after));
  assert.notEqual(digest(before), digest(kept));
});

test("D4 tools that are not listed: an answer stays within its bound, and names every tool that was found", async () => {
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

const TOOL = {
  name: "query",
  inputSchema: { type: "object", properties: { region: { type: "string", "x-mcp-header": "Region" } } },
};
const SOURCE = {
  ...source("db", {}),
  listings: { tools: [TOOL], resources: [], resourceTemplates: [], prompts: [] },
};

const index = new ToolIndex();
index.follow(catalogOf(SOURCE).tools);
const ownTools = createOwnTools({ index, clock: createManualClock(), logger: noopLogger });
const optimizer = { enabled: true, keepTools: [] };
const selections = createSelections({ optimizer, groups: [], profiles: [] });
const served = servingSet([SOURCE], recordingServices(), { selections, ownTools });

const faultOf = (params: object, region?: string): string | null => {
  const name = "name" in params ? String(params.name) : "";
  const headers = {
    "mcp-protocol-version": MODERN_VERSION,
    "mcp-method": "tools/call",
    "mcp-name": name,
    ...(region === undefined ? {} : { "mcp-param-region": region }),
  };
  const _meta = { [META.protocolVersion]: MODERN_VERSION, [META.clientCapabilities]: {} };
  const message = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { ...params, _meta } } as const;
  const checked = checkModern(message, ANONYMOUS, headers, { trace: null, group: null, folder: null });
  if (!checked.ok) return checked.reply.error.message;
  return (
    checkParamHeaders(checked.request, headers, () => served.forClient(checked.request))?.error.message ??
    null
  );
};
const within = (region: string) => ({
  name: "call_tool",
  arguments: { name: "query", arguments: { region } },
});

test("D4 arguments in headers of tools that are not listed: a direct call repeats them as if the tool were listed", () => {
  assert.equal(faultOf({ name: "query", arguments: { region: "eu" } }, "eu"), null);
  assert.match(
    String(faultOf({ name: "query", arguments: { region: "eu" } })),
    /Mcp-Param-Region.*is missing/,
  );
});

test("D4 arguments in headers of tools that are not listed: a call through call_tool need not repeat them, and may not contradict them", () => {
  assert.equal(faultOf(within("eu")), null);
  assert.equal(faultOf(within("eu"), "eu"), null);
  assert.match(String(faultOf(within("eu"), "us")), /Mcp-Param-Region.*does not match the argument region/);
});

function said(name: string, description = "") {
  const terms = [...termsOf(name), ...termsOf(description)];
  return { name: wordsWithConcepts(termsOf(name)), terms: new Set([...terms, ...conceptsOf(terms)]) };
}

function covers(question: string, name: string, description = ""): number {
  return coverageOf(termsOf(question), 1_000, () => 10)(said(name, description));
}

async function first(question: string, names: readonly string[]): Promise<string | undefined> {
  const index = new ToolIndex();
  const tools = names.map((name) => {
    const definition = { name, inputSchema: { type: "object" } };
    return [name, { name, originalName: name, backend: "some", definition }] as const;
  });
  index.follow(new Map(tools));
  await index.ready;
  return index.search(question, 1, () => true)[0];
}

test("D4 how well a tool matches a question: more matching words are better, the word itself is better than a similar one, and nothing is 0", () => {
  const both = covers("delete branch", "delete_branch");
  assert.ok(both > covers("delete branch", "delete_file"));
  assert.ok(covers("purge cache", "purge_cache") > covers("purge cache", "wipe_cache"));
  assert.ok(covers("purge cache", "wipe_cache") > covers("purge cache", "list_cache"));
  assert.equal(covers("delete branch", "weather"), 0);
  for (const [many, one] of [
    ["boxes", "box"],
    ["queries", "query"],
    ["logs", "log"],
  ] as const)
    assert.ok(covers(many, one) > 0, many);
});

test("D4 how well a tool matches a question: an exact name is better than a longer one", async () => {
  assert.ok(
    covers("create pipeline", "create_pipeline") > covers("create pipeline", "create_pipeline_schedule"),
  );
  const names = ["create_pipeline_schedule_variable", "create_pipeline_schedule", "create_pipeline"];
  assert.equal(await first("start a new pipeline", names), "create_pipeline");
  assert.equal(await first("createPipelineSchedule", names), "create_pipeline_schedule");
});

test("D4 how well a tool matches a question: a rare word weighs more than a common one, and one that no tool has next to nothing", () => {
  const counts = new Map([
    ["common", 900],
    ["rare", 1],
  ]);
  const factor = coverageOf(["common", "rare", "nowhere"], 1_000, (term) => counts.get(term) ?? 0);
  const [common, rare] = [factor(said("x", "common")), factor(said("x", "rare"))];
  assert.ok(rare > 5 * common, `${rare} ${common}`);
  assert.ok(factor(said("x", "common rare")) > 0.9 * 0.5);
});

// What a question costs: guesses are bounded, whatever is asked.

async function indexOf(...names: readonly string[]): Promise<ToolIndex> {
  const index = new ToolIndex();
  const toolOf = (name: string) => ({ name, backend: "b", originalName: name, definition: { name } });
  index.follow(new Map(names.map((name) => [name, toolOf(name)])));
  await index.ready;
  return index;
}

test("E4 a tool is found by its present texts, and not at all once it is gone", async () => {
  const index = new ToolIndex();
  const said = async (description: string | null): Promise<void> => {
    const tool = { name: "a", backend: "b", originalName: "a", definition: { name: "a", description } };
    index.follow(new Map(description === null ? [] : [["a", tool]]));
    await index.ready;
  };
  const find = (question: string) => index.search(question, 5, () => true);
  await said("tells the weather");
  await said("sends a letter");
  assert.deepEqual([find("weather"), find("letter")], [[], ["a"]]);
  await said(null);
  assert.deepEqual(find("letter"), []);
});

test("E4 a question is answered from the index when the rest takes longer than 5 s, or else is to be asked again", async () => {
  class BusyIndex extends ToolIndex {
    override get ready(): Promise<void> {
      return new Promise(() => {});
    }
  }
  for (const [tools, answer] of [
    [catalogOf(...SOURCES).tools, /write_file/],
    [new Map(), /still being indexed/],
  ] as const) {
    const clock = createManualClock();
    const index = new BusyIndex();
    index.follow(tools);
    const ownTools = createOwnTools({ index, clock, logger: noopLogger });
    const { ask } = await rig({ ownTools });
    let isAnswered = false;
    const reply = ask(...call("find_tool", { query: "write a file" })).finally(() => {
      isAnswered = true;
    });
    await clock.advance(4_999);
    assert.equal(isAnswered, false);
    await clock.advance(1);
    assert.match(textOf(await reply), answer);
  }
  const { ask } = await rig({}, []);
  assert.match(textOf(await ask(...call("find_tool", { query: "write a file" }))), /No tool fits/);
});

test("E4 a question's first words are guessed where no tool has them, up to eight", async () => {
  const index = await indexOf("weather", "__proto__", "constructor");
  const find = (question: string) => index.search(question, 5, () => true);
  const strange = Array.from({ length: 8 }, (_, place) => `qqqq${"xyzwvuts"[place]}`).join(" ");
  assert.deepEqual(find("wether"), ["weather"]);
  assert.deepEqual([find("weat"), find("wea")], [["weather"], []], "three letters begin too many words");
  assert.deepEqual(find(`wether ${strange}`), ["weather"]);
  assert.deepEqual(find(`${strange} wether`), []);
  // What a tool does have is found wherever it stands.
  assert.deepEqual(find(`${strange} weather`), ["weather"]);
});

test("E4 an unknown word is not guessed, and a name of JavaScript's own is like any other", async () => {
  const index = await indexOf("weather", "__proto__", "constructor", `${"w".repeat(24)}`);
  const find = (question: string) => index.search(question, 5, () => true);
  assert.deepEqual(find("w".repeat(23)), ["w".repeat(24)]);
  assert.deepEqual(find("w".repeat(25)), []);
  assert.deepEqual(find("constructor"), ["constructor"]);
  assert.deepEqual(find("__proto__"), ["__proto__"]);
});

// What find_tool shows of tools whose schemas are huge: their arguments' names, and no work for the rest.

function toolWith(count: number, description: string) {
  const names = Array.from({ length: count }, (_, index) => `arg${index}`);
  const properties = Object.fromEntries(names.map((name) => [name, { type: "string", description }]));
  return { name: "big", description: "big", inputSchema: { type: "object", properties } };
}

test("D4 a large schema is shown without its texts, and of a huge one only the arguments' names", () => {
  const [large] = JSON.parse(foundText([toolWith(50, "x".repeat(500))], "big", 1)).tools;
  assert.equal(Object.keys(large.inputSchema.properties).length, 50);
  assert.equal(large.inputSchema.properties.arg0.description, undefined);
  const texts = { $comment: "x".repeat(20_000), examples: ["x"], title: "x", default: "x" };
  const [plain] = JSON.parse(foundText([{ name: "n".repeat(300), inputSchema: texts }], "n", 1)).tools;
  assert.deepEqual([plain.name.length, plain.inputSchema], [256, { default: "x" }]);
  const [huge] = JSON.parse(foundText([toolWith(50, "x".repeat(5_000))], "big", 1)).tools;
  assert.equal(huge.inputSchema, undefined);
  assert.match(huge.note, /^takes arg0, arg1, .* arg39$/);
});

test("E4 the JSON of a huge schema is made once, however often it is found", () => {
  let made = 0;
  const tool = toolWith(50, "x".repeat(5_000));
  const counted = Object.assign(tool.inputSchema, {
    toJSON: () => {
      made += 1;
      return "x".repeat(100_000);
    },
  });
  const all = [{ ...tool, inputSchema: counted }];
  for (let count = 0; count < 3; count++) foundText(all, "big", 1);
  assert.equal(made, 1);
});
