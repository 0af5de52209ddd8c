// One tool of several machines: which are one, under which name, who is asked, and what paths mean there.
import assert from "node:assert/strict";
import { test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { type CatalogSource, NO_LISTINGS } from "../../../src/gateway/catalog/catalog.ts";
import { isJsonObject, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import {
  byPreference,
  factsOf,
  type ReplicaFacts,
  type ReplicaState,
} from "../../../src/gateway/merged-tools/agreement.ts";
import {
  type MergeInput,
  mergeTools,
  type PublishedVersions,
  withPathsOf,
} from "../../../src/gateway/merged-tools/merge-tools.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { parseExactly } from "../../../src/runtime/text/exact-json.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";

const ALL = { allow: null, deny: [] };
const ON_CORE: ReplicaFacts = { sharesRoot: "/shares", roots: ["CORE"], requires: ["CORE"] };
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
function merged(given: Partial<MergeInput>, published: PublishedVersions = new Map()): readonly string[] {
  const input = { sources: [], own: [], places: new Map(), isPending: () => false, ...given };
  const { tools } = buildCatalog(mergeTools(input, published), NO_GATEWAY.conflictResolution);
  return [...tools.values()].map(
    ({ name, backend, replicas }) => `${name}: ${(replicas ?? [backend]).join(", ")}`,
  );
}

function places(...backends: readonly string[]): MergeInput["places"] {
  return new Map(backends.map((backend) => [backend, ON_CORE]));
}

const OWN = { name: "files", facts: ON_CORE, knowsPaths: false };
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
  const last = { ...source("files", WRITE, READ, tool("search", "")), isUnavailable: true as const };
  const sources = [source("mail", tool("send", "")), AT_NAS];
  assert.deepEqual(merged({ sources: [...sources, last], own: [OWN, mail], places: places("files@nas") }), [
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
  const published: PublishedVersions = new Map();
  const look = (...sources: readonly CatalogSource[]) =>
    merged({ sources, places: places(...sources.map(({ backend }) => backend)) }, published);
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
  assert.equal(published.size, 0);
});

test("G1 a machine that offers other tools all the time does not fill the memory", () => {
  const published: PublishedVersions = new Map();
  for (let round = 0; round < 30; round += 1) {
    const tools = Array.from({ length: 500 }, (_, at) => tool(`t${round}-${at}`, ""));
    merged({ sources: [source("files@desktop", ...tools)], places: places("files@desktop") }, published);
  }
  assert.ok(published.size <= 2_500, `${published.size} are held`);
  // What is offered now is not forgotten with the rest.
  const sources = [source("files@nas", tool("t29-0", "another")), source("files@desktop", tool("t29-0", ""))];
  assert.deepEqual(merged({ sources, places: places("files@nas", "files@desktop") }, published), [
    "files_t29-0: files@desktop",
    "nas_t29-0: files@nas",
  ]);
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
  const sources = [AT_DESKTOP, { ...source("files", READ, WRITE), isUnavailable: true as const }];
  const isPending = (backend: string, name: string): boolean => backend === "files" && name === "write";
  assert.deepEqual(merged({ sources, own: [OWN], places: places("files@desktop"), isPending }), [
    "read: files@desktop",
    "desktop_write: files@desktop",
  ]);
});

const HERE: ReplicaState = { backend: "files", isOwn: true, readiness: "ready", standing: "tb", busy: 0 };
const DESKTOP: ReplicaState = { ...HERE, backend: "files@desktop", isOwn: false };
const NAS: ReplicaState = { ...DESKTOP, backend: "files@nas" };

const CASES: readonly [what: string, places: readonly ReplicaState[], best: string][] = [
  ["equal ones: here", [DESKTOP, HERE, NAS], "files"],
  ["equal ones of others: by name", [NAS, DESKTOP], "files@desktop"],
  [
    "the better route, however busy",
    [
      { ...HERE, standing: "fallback" },
      { ...DESKTOP, busy: 99 },
    ],
    "files@desktop",
  ],
  [
    "fallback before none",
    [
      { ...HERE, standing: "none" },
      { ...NAS, standing: "fallback" },
    ],
    "files@nas",
  ],
  [
    "the least busy of the best",
    [
      { ...HERE, busy: 2 },
      { ...DESKTOP, busy: 1 },
      { ...NAS, busy: 3 },
    ],
    "files@desktop",
  ],
  [
    "one that can take it before a better one that cannot",
    [
      { ...HERE, readiness: "waits" },
      { ...NAS, standing: "fallback" },
    ],
    "files@nas",
  ],
  [
    "what may come before what does not",
    [
      { ...HERE, readiness: "refuses" },
      { ...NAS, standing: "none" },
    ],
    "files@nas",
  ],
  [
    "nothing is required: as good as it gets",
    [
      { ...HERE, standing: null, busy: 1 },
      { ...NAS, standing: null },
    ],
    "files@nas",
  ],
];

for (const [what, places, best] of CASES) {
  test(`G1 a shared call goes to ${what}`, () => {
    assert.equal(byPreference(places)[0]?.backend, best);
    assert.equal(byPreference(places.toReversed())[0]?.backend, best);
  });
}

test("G1 where no machine has the share, nobody is ready", () => {
  const away = [HERE, DESKTOP].map((place) => ({ ...place, standing: "none" as const }));
  assert.deepEqual(
    byPreference(away).map(({ backend, readiness }) => [backend, readiness]),
    [
      ["files", "waits"],
      ["files@desktop", "waits"],
    ],
  );
});

const NAMES = { roots: ["CORE", "WORK/src"], sharesRoots: ["/home/ann/Shares", "/Volumes/mnt", "/srv"] };

function renamed(given: unknown, names = NAMES, to = "/srv"): unknown {
  const params = withPathsOf({ name: "read", arguments: { given } }, names, to);
  const found: unknown = params?.["arguments"];
  return isJsonObject(found) ? found["given"] : null;
}

const TEXTS: readonly [given: string, at: string][] = [
  ["/home/ann/Shares/CORE", "/srv/CORE"],
  ["/home/ann/Shares/CORE/a b/ü.txt", "/srv/CORE/a b/ü.txt"],
  ["/Volumes/mnt/WORK/src/x", "/srv/WORK/src/x"],
  ["/srv/CORE/x", "/srv/CORE/x"],
  // What is agreed on, and nothing beside it.
  ["/home/ann/Shares/CORE2/x", "/home/ann/Shares/CORE2/x"],
  ["/home/ann/Shares/WORK/other", "/home/ann/Shares/WORK/other"],
  ["/home/ann/Shares", "/home/ann/Shares"],
  ["see /home/ann/Shares/CORE", "see /home/ann/Shares/CORE"],
  ["file:///home/ann/Shares/CORE/x", "file:///home/ann/Shares/CORE/x"],
];

for (const [given, at] of TEXTS) {
  test(`G1 ${given} is ${at} there`, () => assert.equal(renamed(given), at));
}

test("G1 paths are found in lists and objects; all else is the same object", () => {
  const raw = parseExactly('{"n":12345678901234567890123}');
  const given = { paths: ["/home/ann/Shares/CORE/x", 7, null], deep: { path: "/Volumes/mnt/CORE" }, raw };
  assert.deepEqual(renamed(given), { paths: ["/srv/CORE/x", 7, null], deep: { path: "/srv/CORE" }, raw });
  assert.equal(JSON.stringify(renamed(given)).includes("12345678901234567890123"), true);
  const untouched: JsonObject = { name: "read", arguments: { path: "/etc/passwd", raw } };
  assert.equal(withPathsOf(untouched, NAMES, "/srv"), untouched);
  assert.equal(withPathsOf(undefined, NAMES, "/srv"), undefined);
});

test("G1 keys, and what is too deep or too much, stay as they are", () => {
  const proto = parseExactly('{"__proto__":"/home/ann/Shares/CORE","/home/ann/Shares/CORE":1}');
  assert.equal(JSON.stringify(renamed(proto)), '{"__proto__":"/srv/CORE","/home/ann/Shares/CORE":1}');
  let deep: unknown = "/home/ann/Shares/CORE";
  for (let level = 0; level < 400; level += 1) deep = [deep];
  assert.equal(renamed(deep), deep);
  const many = Array.from({ length: 20_000 }, () => "/home/ann/Shares/CORE");
  const found = renamed(many);
  assert.ok(Array.isArray(found) && found[0] === "/srv/CORE" && found.at(-1) === "/home/ann/Shares/CORE");
});

test("G1 a machine that says it has its shares elsewhere redirects no path of this one", () => {
  const sharesRoots = ["/home/ann/Shares", "/home/ann/Shares/CORE/private", "/etc"];
  const lie = { roots: ["CORE"], sharesRoots };
  const own = "/home/ann/Shares/CORE/private/CORE/key";
  assert.equal(renamed(own, lie, "/home/ann/Shares"), own);
  assert.equal(renamed("/etc/passwd", lie, "/home/ann/Shares"), "/etc/passwd");
});
