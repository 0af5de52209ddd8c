import assert from "node:assert/strict";
import { test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { type CatalogSource, NO_LISTINGS } from "../../../src/gateway/catalog/catalog.ts";
import type { JsonObject } from "../../../src/gateway/json-rpc.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { factsOf, type PlaceFacts } from "../../../src/gateway/together/agreement.ts";
import { type HeldVersions, type MergeInput, mergeTools } from "../../../src/gateway/together/merge-tools.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";

const ALL = { allow: null, deny: [] };
const ON_CORE: PlaceFacts = { sharesRoot: "/shares", roots: ["CORE"], requires: ["CORE"] };
const READ = tool("read", "Reads a file");
const WRITE = tool("write", "Writes a file");

function tool(name: string, description: string): JsonObject {
  return { name, description, inputSchema: { type: "object" } };
}

function source(backend: string, ...tools: readonly JsonObject[]): CatalogSource {
  const filters = { tools: ALL, resources: ALL, prompts: ALL };
  return { backend, filters, toolOverrides: {}, listings: { ...NO_LISTINGS, tools } };
}

/** Published names, each with who serves it. */
function merged(given: Partial<MergeInput>, held: HeldVersions = new Map()): readonly string[] {
  const input = { sources: [], own: [], places: new Map(), isPending: () => false, ...given };
  const { tools } = buildCatalog(mergeTools(input, held), NO_GATEWAY.conflictResolution);
  return [...tools.values()].map(
    ({ name, backend, places }) => `${name}: ${(places ?? [backend]).join(", ")}`,
  );
}

function places(...backends: readonly string[]): MergeInput["places"] {
  return new Map(backends.map((backend) => [backend, ON_CORE]));
}

const OWN = { name: "files", facts: ON_CORE, last: null, knowsPaths: false };
const AT_DESKTOP = source("files@desktop", READ, WRITE);
const AT_NAS = source("files@nas", READ, tool("write", "Writes it otherwise"));

test("G1 nothing is merged that was not approved", () => {
  const sources = [source("files", READ), AT_DESKTOP];
  assert.deepEqual(merged({ sources, own: [OWN] }), [
    "read: files",
    "desktop_read: files@desktop",
    "desktop_write: files@desktop",
  ]);
});

test("G1 a tool of this machine keeps its name; what differs stays under its machine's", () => {
  const sources = [source("files", READ, WRITE), source("mail", tool("send", "")), AT_DESKTOP, AT_NAS];
  assert.deepEqual(
    merged({ sources, own: [OWN, { ...OWN, name: "mail" }], places: places("files@desktop", "files@nas") }),
    [
      "read: files, files@desktop, files@nas",
      "write: files, files@desktop",
      "send: mail",
      "nas_write: files@nas",
    ],
  );
});

test("G1 shares, folders and names must agree, and nobody may still have to look at the tool", () => {
  const sources = [source("files", READ), source("files@desktop", READ)];
  const own = [OWN];
  const apart = ["read: files", "desktop_read: files@desktop"];
  for (const facts of [
    { ...ON_CORE, roots: ["CORE/src"] },
    { ...ON_CORE, requires: [] },
    { ...ON_CORE, requires: ["CORE", "WORK"] },
  ]) {
    assert.deepEqual(merged({ sources, own, places: new Map([["files@desktop", facts]]) }), apart);
  }
  const agreeing = places("files@desktop");
  assert.deepEqual(merged({ sources, own, places: agreeing, isPending: () => true }), apart);
  assert.deepEqual(
    merged({
      sources: [source("docs", READ), source("files@desktop", READ)],
      own: [{ ...OWN, name: "docs" }],
      places: agreeing,
    }),
    ["read: docs", "files_read: files@desktop"],
  );
  const elsewhere = new Map([["files@desktop", { ...ON_CORE, sharesRoot: "/Volumes" }]]);
  assert.deepEqual(merged({ sources, own, places: elsewhere }), ["read: files, files@desktop"]);
});

test("G1 while the server here is down, others serve what it has in common with them, at its place", () => {
  const mail = { ...OWN, name: "mail" };
  const last = source("files", WRITE, READ, tool("search", ""));
  const sources = [source("mail", tool("send", "")), AT_NAS];
  assert.deepEqual(merged({ sources, own: [{ ...OWN, last }, mail], places: places("files@nas") }), [
    "read: files@nas",
    "send: mail",
    "nas_write: files@nas",
  ]);
  assert.deepEqual(merged({ sources: [AT_NAS], own: [OWN], places: places("files@nas") }), [
    "nas_read: files@nas",
    "nas_write: files@nas",
  ]);
});

test("G1 filters of this machine hold", () => {
  const filters = { tools: { allow: null, deny: ["write"] }, resources: ALL, prompts: ALL };
  const sources = [{ ...source("files", READ, WRITE), filters }, AT_DESKTOP];
  assert.deepEqual(merged({ sources, own: [OWN], places: places("files@desktop") }), [
    "read: files, files@desktop",
    "desktop_write: files@desktop",
  ]);
});

test("G1 a common name stays with its version, whoever comes and goes", () => {
  const held: HeldVersions = new Map();
  const look = (...sources: readonly CatalogSource[]) =>
    merged({ sources, places: places(...sources.map(({ backend }) => backend)) }, held);
  assert.deepEqual(look(AT_NAS), ["files_read: files@nas", "files_write: files@nas"]);
  const both = [
    "files_read: files@desktop, files@nas",
    "files_write: files@nas",
    "desktop_write: files@desktop",
  ];
  assert.deepEqual(look(AT_DESKTOP, AT_NAS), both);
  assert.deepEqual(look(AT_DESKTOP), ["files_read: files@desktop", "desktop_write: files@desktop"]);
  assert.deepEqual(look(AT_DESKTOP, AT_NAS), both);
  // Whoever had it has another one now.
  const newer = source("files@nas", READ, WRITE);
  assert.deepEqual(look(AT_DESKTOP, newer), [
    "files_read: files@desktop, files@nas",
    "files_write: files@desktop, files@nas",
  ]);
  assert.deepEqual(look(), []);
  assert.equal(held.size, 0);
});

test("G1 a machine that offers other tools all the time does not fill the memory", () => {
  const held: HeldVersions = new Map();
  for (let round = 0; round < 30; round += 1) {
    const tools = Array.from({ length: 500 }, (_, at) => tool(`t${round}-${at}`, ""));
    merged({ sources: [source("files@desktop", ...tools)], places: places("files@desktop") }, held);
  }
  assert.ok(held.size <= 2_500, `${held.size} are held`);
});

test("G1 the folders of shares that a command works on are found in its arguments", () => {
  const facts = (args: readonly string[], cwd = "/") => {
    const { connection } = backendConfig("files");
    assert.ok(connection.type === "stdio");
    return factsOf({ ...backendConfig("files"), connection: { ...connection, args, cwd } }, "/shares").roots;
  };
  assert.deepEqual(
    facts(["/shares/CORE/", "/shares/WORK/../CORE", "--at=/shares/a/b", "shares/x", "/sharesX"]),
    ["CORE", "a/b"],
  );
  assert.deepEqual(facts(["/shares"], "/shares/CORE"), ["", "CORE"]);
  assert.deepEqual(facts(["/shares/../etc"]), []);
});

test("G1 a tool that waits for a person here is not served under its name by another machine", () => {
  const own = [{ ...OWN, last: source("files", READ, WRITE) }];
  const isPending = (backend: string, name: string): boolean => backend === "files" && name === "write";
  assert.deepEqual(merged({ sources: [AT_DESKTOP], own, places: places("files@desktop"), isPending }), [
    "read: files@desktop",
    "desktop_write: files@desktop",
  ]);
});
