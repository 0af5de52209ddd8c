// URIs that results name: who is asked for them, for whom, and for how long.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientHandle } from "../../../src/gateway/client-handle.ts";
import { isError, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import type { AuditRecord } from "../../../src/gateway/middleware/audit.ts";
import { NamedUris, publishedResult } from "../../../src/gateway/middleware/named-uris.ts";
import type { Effect } from "../../../src/gateway/middleware/policies.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { source } from "../catalog/sources.ts";
import { ask, client, policy, recordingServices, servingSet } from "./requests.ts";

const user = (name: string) => ({ kind: "user", name, roles: [] }) as const;
const DAY_MS = 24 * 60 * 60_000;

test("D5 a named URI is remembered for a day, for the principal that got the result, with the backends that named it", async () => {
  const clock = createManualClock();
  const named = new NamedUris(clock);
  const [ann, bob] = [user("ann"), user("bob")];
  named.take(ann, "a", ["u://1", "u".repeat(2_000)]);
  await clock.advance(1);
  named.take(ann, "b", ["u://1"]);
  named.take(ann, "a", ["u://1"]);
  assert.deepEqual(named.mentionedBy(ann, "u://1"), ["a", "b"]);
  assert.deepEqual(named.mentionedBy(ann, "u".repeat(2_000)), []);
  assert.deepEqual(named.mentionedBy(bob, "u://1"), []);
  await clock.advance(DAY_MS);
  assert.deepEqual(named.mentionedBy(ann, "u://1"), []);
});

test("E4 however many URIs a server names, only its own are forgotten, and only of the same principal", () => {
  const named = new NamedUris(createManualClock());
  const many = (scheme: string) => Array.from({ length: 1_001 }, (_, at) => `${scheme}://${at}`);
  named.take(user("ann"), "a", ["u://1"]);
  named.take(user("bob"), "flood", ["u://2"]);
  named.take(user("ann"), "flood", many("v"));
  for (let at = 0; at < 120; at++) named.take(user(`eve${at}`), "flood", many("w"));
  const by = (name: string, uri: string) => named.mentionedBy(user(name), uri);
  assert.deepEqual(
    [by("ann", "u://1"), by("bob", "u://2"), by("ann", "v://0"), by("eve119", "w://1000")],
    [["a"], ["flood"], [], ["flood"]],
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

test("D5 of servers with one template the first in the file is asked, and one that mentioned the address after it said that it has none", async () => {
  const template = "file:///{+path}";
  const [one, two, evil] = ["one", "two", "evil"].map((name) =>
    source(name, { tools: [`find_${name}`], templates: [template] }),
  );
  assert.ok(one !== undefined && two !== undefined && evil !== undefined);
  const has: Readonly<Record<string, string>> = { one: "/a", two: "/b" };
  const services = recordingServices((backend, { method, params }) => {
    const path = String(params?.["uri"]).slice("file://".length);
    if (method === "tools/call")
      return {
        result: { content: [{ type: "resource_link", name: "x", uri: `file://${has[backend] ?? "/a"}` }] },
      };
    if (backend !== "evil" && path !== has[backend]) return { error: { code: -32602, message: "not found" } };
    return { result: { contents: [{ uri: String(params?.["uri"]), text: backend }] } };
  });
  const readFrom = async (
    sources: Parameters<typeof servingSet>[0],
    uri: string,
  ): Promise<readonly string[]> => {
    const records: AuditRecord[] = [];
    const config = { path: "/audit", maxSizeBytes: 1, keep: 0, includeArguments: false, redact: [] };
    const audit = { config, write: (record: AuditRecord) => void records.push(record) };
    const served = servingSet(sources, services, { audit });
    for (const { listings } of sources) {
      const [tool] = listings.tools;
      await ask(served, "tools/call", { name: tool?.["name"], arguments: {} });
    }
    const before = services.calls.length;
    await ask(served, "resources/read", { uri });
    const asked = services.calls.slice(before).map(({ backend }) => backend);
    assert.equal(records.at(-1)?.backend, asked.at(-1), "the audit names the one that answered");
    return asked;
  };
  assert.deepEqual(await readFrom([one, two], "file:///a"), ["one"]);
  assert.deepEqual(await readFrom([one, two], "file:///b"), ["one", "two"]);
  assert.deepEqual(await readFrom([one, two, evil], "file:///a"), ["one"]);
  assert.deepEqual(await readFrom([one, two, evil], "file:///c"), ["one"]);
  const down = { ...one, isUnavailable: true as const };
  assert.deepEqual(await readFrom([down, evil], "file:///a"), ["one"], "not the one that is there");
});

test("E4 a second server of an address is asked only as the rules for it say: at once, after a person's consent, or never", async () => {
  const sources = ["pub", "priv"].map((name) =>
    source(name, { tools: [`see_${name}`], templates: ["notes://{+x}"] }),
  );
  const services = recordingServices((backend, { method }) =>
    method === "tools/call"
      ? { result: { content: [{ type: "resource_link", name: "x", uri: "notes://pay" }] } }
      : backend === "priv"
        ? { result: { contents: [] } }
        : { error: { code: -32002, message: "not found" } },
  );
  const readBy = async (effect: Effect, action: string | null) => {
    const questions: unknown[] = [];
    const ann: ClientHandle = {
      ...client(),
      capabilities: action === null ? {} : { elicitation: {} },
      request: async (...[, params]) => {
        questions.push(params?.["message"]);
        return { result: { action } };
      },
    };
    const policies = [policy("allow", { resources: ["tool:*"] }), policy(effect, { backends: ["priv"] })];
    const served = servingSet(sources, services, { authorization: { defaultEffect: "allow", policies } });
    await ask(served, "tools/call", { name: "see_priv", arguments: {} }, ann);
    const { length } = services.calls;
    const reply = await ask(served, "resources/read", { uri: "notes://pay" }, ann);
    const asked = services.calls.slice(length).map(({ backend }) => backend);
    return [isError(reply) ? reply.error.code : "read", asked.join(), questions.length];
  };
  assert.deepEqual(await readBy("allow", null), ["read", "pub,priv", 0]);
  assert.deepEqual(await readBy("ask", "accept"), ["read", "pub,priv", 1]);
  assert.deepEqual(await readBy("ask", "decline"), [-32600, "pub", 1]);
  assert.deepEqual(await readBy("ask", null), [-32600, "pub", 0]);
  assert.deepEqual(await readBy("deny", "accept"), [-32002, "pub", 0]);
});
