import assert from "node:assert/strict";
import { test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { isJsonObject, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import { gatewayInitializeResult, tasksListedBy } from "../../../src/gateway/serving/initialize-result.ts";
import { FIRST_WINS, source } from "../catalog/sources.ts";

const NO_CATALOG = { catalog: buildCatalog([], FIRST_WINS), configured: 1 };

const server = (backend: string, instructions: string | null, capabilities = {}) => ({
  backend,
  instructions,
  capabilities,
});

test("the gateway promises what any backend may offer, whichever there are", () => {
  const { capabilities, serverInfo, instructions } = gatewayInitializeResult("1.2.3", [], NO_CATALOG);
  assert.deepEqual(capabilities, {
    tools: { listChanged: true },
    resources: { subscribe: true, listChanged: true },
    prompts: { listChanged: true },
    logging: {},
    completions: {},
  });
  assert.deepEqual(serverInfo, { name: "mountaineer", title: "Mountaineer", version: "1.2.3" });
  assert.equal(instructions, undefined);
});

test("one server's instructions pass as they are; of several each stands under its backend's name", () => {
  const one = [server("a", "Use it well."), server("b", null), server("c", "")];
  assert.equal(gatewayInitializeResult("1", one, NO_CATALOG)["instructions"], "Use it well.");
  const two = [server("a", "Use it well."), server("b", "Or not.")];
  assert.equal(
    gatewayInitializeResult("1", two, NO_CATALOG)["instructions"],
    "a:\nUse it well.\n\nb:\nOr not.",
  );
});

test("D1 tasks of older versions are not promised to clients of 2026-07-28", () => {
  const servers = [server("a", null, { tasks: { requests: {} } })];
  const { capabilities } = gatewayInitializeResult("1", servers, NO_CATALOG, "2026-07-28");
  assert.equal(isJsonObject(capabilities) && "tasks" in capabilities, false);
});

test("tasks are promised when a server has them, and listed by those that can", () => {
  const servers = [
    server("a", null, { tasks: { requests: {} } }),
    server("b", null, { tasks: { list: {} } }),
    server("c", null, { tasks: true }),
  ];
  assert.deepEqual(tasksListedBy(servers), ["b"]);
  const { capabilities } = gatewayInitializeResult("1", servers, NO_CATALOG);
  assert.ok(typeof capabilities === "object" && capabilities !== null && "tasks" in capabilities);
  assert.deepEqual(capabilities.tasks, { requests: {} });
});

test("D1 extensions of a sole server pass; of several those that need no methods", () => {
  const ui = { "io.modelcontextprotocol/ui": {} };
  const skills = { "io.modelcontextprotocol/skills": {} };
  const of = (configured: number, ...extensions: object[]) => {
    const servers = extensions.map((each, index) => server(`s${index}`, null, { extensions: each }));
    const published = { ...NO_CATALOG, configured };
    return (gatewayInitializeResult("1", servers, published)["capabilities"] as JsonObject)["extensions"];
  };
  assert.deepEqual(of(1, { ...ui, ...skills }), { ...ui, ...skills });
  assert.deepEqual(of(2, ui, skills), ui);
  assert.equal(of(2, skills, skills), undefined);
  assert.deepEqual(of(2, { ...ui, ...skills }), ui, "the other one has not answered yet");
});

test("D3 instructions name tools as clients see them, and no word of a sentence is taken for a tool", () => {
  const tools = ["read_file", "read", "listFiles", "db.query", "stat"];
  const catalog = buildCatalog([source("files", { tools }), source("web", { tools: ["fetch_page"] })], {
    ...FIRST_WINS,
    strategy: "prefix",
    separator: "__",
  });
  const told = (text: string): unknown =>
    gatewayInitializeResult("1", [server("files", text)], { catalog, configured: 2 })["instructions"];
  assert.equal(
    told(
      "Call `read` or `read_file(path)`, then read_file. Use db.query. listFiles, not my.read_file or read_file2.",
    ),
    "Call `files__read` or `files__read_file(path)`, then files__read_file. Use files__db.query. files__listFiles, not my.read_file or read_file2.",
  );
  assert.equal(
    told("You may read and stat."),
    "You may read and stat.\n\n(Names of tools here: `read` is `files__read`, `stat` is `files__stat`.)",
  );
  assert.equal(told("`fetch_page` is another server's."), "`fetch_page` is another server's.");
  assert.equal(told("Hidden\u200b words"), "Hidden words");
  const plain = buildCatalog([source("files", { tools })], FIRST_WINS);
  const text = "Call `read`.";
  assert.equal(
    gatewayInitializeResult("1", [server("files", text)], { catalog: plain, configured: 2 })["instructions"],
    text,
  );
});

test("D3 a server of a thousand plain names adds twenty of them to its instructions", () => {
  const tools = Array.from(
    { length: 100 },
    (_, at) => "abcdefghij"[at % 10] + "abcdefghij".charAt(Math.floor(at / 10)),
  );
  const catalog = buildCatalog([source("a", { tools })], { ...FIRST_WINS, strategy: "prefix" });
  const text = gatewayInitializeResult("1", [server("a", tools.join(" "))], { catalog, configured: 2 })[
    "instructions"
  ];
  assert.match(String(text), /`aa` is `a_aa`.*, and 80 more\.\)$/su);
});
