import assert from "node:assert/strict";
import { test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { isJsonObject, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import type { SpokenVersion } from "../../../src/gateway/protocol.ts";
import { gatewayInitializeResult, tasksListedBy } from "../../../src/gateway/serving/initialize-result.ts";
import { FIRST_WINS, source } from "../catalog/sources.ts";

const NO_CATALOG = { catalog: buildCatalog([], FIRST_WINS), passesAll: true };

const server = (
  backend: string,
  instructions: string | null,
  capabilities = {},
  protocolVersion: SpokenVersion = "2025-11-25",
) => ({ backend, instructions, capabilities, protocolVersion });

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

test("D1 extensions of a sole server pass; of several those that need no methods, and skills", () => {
  const ui = { "io.modelcontextprotocol/ui": {} };
  const skills = { "io.modelcontextprotocol/skills": {} };
  const of = (passesAll: boolean, ...extensions: object[]) => {
    const servers = extensions.map((each, index) => server(`s${index}`, null, { extensions: each }));
    const published = { ...NO_CATALOG, passesAll };
    return (gatewayInitializeResult("1", servers, published)["capabilities"] as JsonObject)["extensions"];
  };
  assert.deepEqual(of(true, { ...ui, ...skills }), { ...ui, ...skills });
  const other = { "example.com/other": { a: 1 } };
  assert.deepEqual(of(true, { ...ui, ...other }), { ...ui, ...other });
  assert.deepEqual(of(false, ui, skills), { ...ui, ...skills });
  assert.equal(of(false, other, other), undefined);
  assert.deepEqual(of(false, { ...ui, ...other }), ui, "the other one has not answered yet");
  const folders = { "io.modelcontextprotocol/skills": { directoryRead: true } };
  assert.deepEqual(of(false, skills, folders), folders);
  assert.deepEqual(of(false, folders, skills), folders);
  assert.equal(of(false, { "io.modelcontextprotocol/skills": "yes" }, {}), undefined);
});

test("D3 instructions name tools as clients see them, and no word of a sentence is taken for a tool", () => {
  const tools = ["read_file", "read", "listFiles", "db.query", "stat"];
  const catalog = buildCatalog([source("files", { tools }), source("web", { tools: ["fetch_page"] })], {
    ...FIRST_WINS,
    strategy: "prefix",
    separator: "__",
  });
  const told = (text: string): unknown =>
    gatewayInitializeResult("1", [server("files", text)], { catalog, passesAll: false })["instructions"];
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
  const skilled = buildCatalog(
    [source("a", { skills: ["git"] }), source("b", { skills: ["git"] })],
    FIRST_WINS,
  );
  const pointing = "First read `skill://git/SKILL.md`, not skill://sql/SKILL.md.";
  const toldOf = (backend: string): unknown =>
    gatewayInitializeResult("1", [server(backend, pointing)], { catalog: skilled, passesAll: false })[
      "instructions"
    ];
  assert.equal(toldOf("a"), pointing);
  assert.equal(toldOf("b"), "First read `skill://b/git/SKILL.md`, not skill://sql/SKILL.md.");
  const plain = buildCatalog([source("files", { tools })], FIRST_WINS);
  const text = "Call `read`.";
  assert.equal(
    gatewayInitializeResult("1", [server("files", text)], { catalog: plain, passesAll: false })[
      "instructions"
    ],
    text,
  );
});

test("D3 a server of a thousand plain names adds twenty of them to its instructions", () => {
  const tools = Array.from(
    { length: 100 },
    (_, at) => "abcdefghij"[at % 10] + "abcdefghij".charAt(Math.floor(at / 10)),
  );
  const catalog = buildCatalog([source("a", { tools })], { ...FIRST_WINS, strategy: "prefix" });
  const text = gatewayInitializeResult("1", [server("a", tools.join(" "))], { catalog, passesAll: false })[
    "instructions"
  ];
  assert.match(String(text), /`aa` is `a_aa`.*, and 80 more\.\)$/su);
});

test("D1 the extension of tasks is promised to clients of 2026-07-28, where a server of it has it", () => {
  const declares = { extensions: { "io.modelcontextprotocol/tasks": {}, "io.modelcontextprotocol/ui": {} } };
  const extensions = (
    servers: Parameters<typeof gatewayInitializeResult>[1],
    spoken: SpokenVersion,
  ): unknown => {
    const { capabilities } = gatewayInitializeResult(
      "1",
      servers,
      { ...NO_CATALOG, passesAll: false },
      spoken,
    );
    return isJsonObject(capabilities) ? capabilities["extensions"] : null;
  };
  const modern = [server("a", null), server("b", null, declares, "2026-07-28")];
  assert.deepEqual(extensions(modern, "2026-07-28"), declares.extensions);
  assert.deepEqual(extensions(modern, "2025-11-25"), { "io.modelcontextprotocol/ui": {} });
  const older = [server("a", null, declares)];
  assert.deepEqual(extensions(older, "2026-07-28"), { "io.modelcontextprotocol/ui": {} });
});
