// URIs that results name: who is asked for them, for whom, and for how long.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isError, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import { NamedUris, publishedResult } from "../../../src/gateway/middleware/named-uris.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { source } from "../catalog/sources.ts";
import { ask, client, policy, recordingServices, servingSet } from "./requests.ts";

const user = (name: string) => ({ kind: "user", name, roles: [] }) as const;
const DAY_MS = 24 * 60 * 60_000;

test("D5 a named URI belongs to its backend for a day, for the principal that got the result, and for no other backend", async () => {
  const clock = createManualClock();
  const named = new NamedUris(clock);
  named.take(user("ann"), "a", ["u://1", "u".repeat(2_000)]);
  named.take(user("ann"), "hostile", ["u://1"]);
  assert.equal(named.namedBy(user("ann"), "u://1"), "a");
  assert.equal(named.namedBy(user("ann"), "u".repeat(2_000)), null);
  assert.equal(named.namedBy(user("bob"), "u://1"), null);
  await clock.advance(DAY_MS);
  assert.equal(named.namedBy(user("ann"), "u://1"), null);
  named.take(user("ann"), "hostile", ["u://1"]);
  assert.equal(named.namedBy(user("ann"), "u://1"), "hostile");
  named.take(
    user("ann"),
    "a",
    Array.from({ length: 1_000 }, (_, at) => `v://${at}`),
  );
  assert.deepEqual(
    ["u://1", "v://0", "v://999"].map((uri) => named.namedBy(user("ann"), uri)),
    [null, "a", "a"],
  );
});

const handed = { type: "resource_link", uri: "ui://page", name: "p" };
const embedded = { type: "resource", resource: { uri: "ui://page", text: "x" } };
const plain = { type: "text", text: "ui://page" };
const RESULTS: readonly (readonly [before: JsonObject, after: JsonObject])[] = [
  [{ content: [handed, plain] }, { content: [{ ...handed, uri: "ui://b/page" }, plain] }],
  [{ content: [embedded] }, { content: [{ type: "resource", resource: { uri: "ui://b/page", text: "x" } }] }],
  [
    { messages: [{ role: "user", content: embedded }] },
    {
      messages: [
        { role: "user", content: { type: "resource", resource: { uri: "ui://b/page", text: "x" } } },
      ],
    },
  ],
  [
    { content: [embedded], _meta: { ui: { resourceUri: "ui://page" } } },
    {
      content: [{ type: "resource", resource: { uri: "ui://b/page", text: "x" } }],
      _meta: { ui: { resourceUri: "ui://b/page" } },
    },
  ],
  [{ contents: [{ uri: "ui://page", text: "x" }] }, { contents: [{ uri: "ui://b/page", text: "x" }] }],
];

test("D1 a URI that is renamed in a list is renamed in every result, which otherwise stays the same object", () => {
  const publishedUri = (backend: string, uri: string) =>
    backend === "b" ? uri.replace("ui://", "ui://b/") : uri;
  for (const [before, after] of RESULTS) {
    assert.deepEqual(publishedResult({ publishedUri }, "b", before, null), {
      result: after,
      uris: ["ui://b/page"],
    });
    assert.equal(publishedResult({ publishedUri }, "a", before, null).result, before);
  }
});

test("D5 a link that a tool returned is read from its server, and a policy that denies the URI asks no server", async () => {
  const services = recordingServices((backend, { method }) =>
    method === "tools/call"
      ? { result: { content: [{ ...handed, uri: `made://${backend}` }] } }
      : { result: { contents: [] } },
  );
  const sources = [
    source("a", { tools: ["x"], resources: ["u:1"] }),
    source("b", { tools: ["y"], resources: ["v:1"] }),
  ];
  const read = (served: Parameters<typeof ask>[0], uri: string) =>
    ask(served, "resources/read", { uri }, ann);
  const ann = client();
  const served = servingSet(sources, services);
  assert.ok(isError(await read(served, "made://b")));
  await ask(served, "tools/call", { name: "y", arguments: {} }, ann);
  assert.ok(!isError(await read(served, "made://b")));
  assert.deepEqual(services.calls.at(-1), {
    backend: "b",
    what: "resources/read",
    params: { uri: "made://b" },
  });
  const before = services.calls.length;
  const policies = [policy("deny", { resources: ["resource:made://*"] })];
  const denying = servingSet(sources, services, { authorization: { defaultEffect: "allow", policies } });
  assert.ok(isError(await read(denying, "made://b")));
  assert.equal(services.calls.length, before);
});
