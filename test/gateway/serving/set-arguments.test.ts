// Arguments that the configuration sets for a tool, from the list that clients get to the call that the server gets.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import type { ClientHandle } from "../../../src/gateway/client-handle.ts";
import { isError, type JsonObject, type Reply } from "../../../src/gateway/json-rpc.ts";
import { consentKey } from "../../../src/gateway/middleware/consent.ts";
import { OwnerQuestions } from "../../../src/gateway/middleware/owner-questions.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { catalogOf, FIRST_WINS, source } from "../catalog/sources.ts";
import { callPort, client, policy, recordingServices, servingSet, user } from "../middleware/requests.ts";

const SCHEMA = {
  type: "object",
  properties: { repo: { type: "string" }, title: { type: "string" } },
  required: ["repo", "title"],
  additionalProperties: false,
};
const SET = { repo: "acme/site" };

function github(inputSchema: unknown = SCHEMA, set: JsonObject = SET): CatalogSource {
  const one = source("github", { tools: ["issue"] });
  const tools = one.listings.tools.map((tool) => ({ ...tool, inputSchema }));
  // The configuration has only such values.
  const overrides = { issue: { arguments: set as Record<string, string> } };
  return { ...one, listings: { ...one.listings, tools }, toolOverrides: overrides };
}

test("E6 clients see a tool without the arguments that are set, and its server's own definition is unchanged", () => {
  const one = github();
  const { definition } = catalogOf(one).tools.get("issue") ?? {};
  assert.deepEqual(definition?.["inputSchema"], {
    ...SCHEMA,
    properties: { title: { type: "string" } },
    required: ["title"],
  });
  assert.deepEqual(one.listings.tools[0]?.["inputSchema"], SCHEMA);
  assert.equal(catalogOf(one).tools.get("issue")?.definition, definition);
});

const { properties } = SCHEMA;
const WITHHELD: Readonly<Record<string, readonly [schema: unknown, set?: JsonObject]>> = {
  "no properties": [{ type: "object" }],
  "no such argument": [SCHEMA, { repository: "acme/site" }],
  "an inherited name": [SCHEMA, { constructor: "x" }],
  "another type": [SCHEMA, { repo: 7 }],
  "no integer": [{ properties: { repo: { type: "integer" } } }, { repo: 1.5 }],
  "none of its choices": [{ properties: { repo: { enum: ["a", "b"] } } }],
  "not its one value": [{ properties: { repo: { const: "a" } } }],
  "no alternative": [{ properties: { repo: { anyOf: [{ type: "null" }, { type: "array" }] } } }],
  "required in an alternative": [{ ...SCHEMA, anyOf: [{ required: ["repo"] }, { required: ["title"] }] }],
  "a condition": [{ ...SCHEMA, if: { properties: { repo: { const: "x" } } } }],
  "a dependency of it": [{ ...SCHEMA, dependentRequired: { repo: ["title"] } }],
  "a dependency on it": [{ ...SCHEMA, dependentRequired: { title: ["repo"] } }],
  "in definitions": [{ ...SCHEMA, $defs: { part: { properties: { repo: {} } } } }],
  "referred to": [{ properties: { ...properties, other: { $ref: "#/properties/repo" } } }],
  "referred to with escapes": [{ properties: { ...properties, other: { $ref: "#/properties/re%70o" } } }],
  "the whole schema referred to": [{ properties: { ...properties, more: { items: { $ref: "#" } } } }],
  "the whole schema referred to by its address": [
    { $id: "x:/s", properties: { ...properties, more: { items: { $ref: "x:/s" } } } },
  ],
  "the whole schema referred to as before 2020": [
    { properties: { ...properties, more: { items: { $recursiveRef: "#" } } } },
  ],
  "its anchor referred to": [
    { properties: { repo: { type: "string", $anchor: "a" }, other: { $ref: "#a" } } },
  ],
};

test("E6 a tool whose schema the arguments do not fit, or which uses them in another place, is withheld with the reason", () => {
  for (const [what, [schema, set]] of Object.entries(WITHHELD)) {
    const catalog = catalogOf(github(schema, set));
    assert.equal(catalog.tools.size, 0, what);
    const [reason] = catalog.entries[0]?.reasons ?? [];
    assert.ok(reason?.status === "unfit" && reason.why.includes("`re") !== what.includes("inherited"), what);
  }
  const taken = [
    {
      properties: {
        repo: { anyOf: [{ type: "string" }, { type: "null" }] },
        at: { properties: { repo: {} } },
      },
    },
    { properties: { repo: true, title: { $ref: "#/$defs/text" } }, $defs: { text: { type: "string" } } },
  ];
  for (const schema of taken) assert.equal(catalogOf(github(schema)).tools.size, 1);
  // Words of the schema itself.
  for (const name of ["type", "title", "object"]) {
    const schema = { type: "object", title: "object", properties: { [name]: { type: "string" } } };
    assert.equal(catalogOf(github(schema, { [name]: "x" })).tools.size, 1, name);
  }
});

function texts(reply: Reply): string {
  return isError(reply) ? reply.error.message : JSON.stringify(reply.result["content"]);
}

test("E6 every call has the arguments that are set, another value is refused with the name, and policies and the audit see the final ones", async () => {
  const services = recordingServices();
  const audited: unknown[] = [];
  const policies = [
    policy("deny", { arguments: { title: ["secret*"] } }),
    policy("allow", { resources: ["tool:issue"], arguments: { repo: ["acme/*"] } }),
  ];
  const set = servingSet([github()], services, {
    authorization: { defaultEffect: "deny", policies },
    between: [
      (next) => (request) => {
        audited.push(request.params?.["arguments"]);
        return next(request);
      },
    ],
  });
  const from = client(user("ann"));
  const call = (given: unknown): Promise<Reply> => {
    const params = { name: "issue", ...(given === undefined ? {} : { arguments: given }) };
    const signal = new AbortController().signal;
    return set.handle(
      set.finalRequest({ method: "tools/call", params, handle: callPort(from), signal, served: set }),
    );
  };
  assert.ok(!isError(await call({ title: "one" })));
  assert.ok(!isError(await call({ title: "two", repo: "acme/site" })));
  assert.ok(!isError(await call(undefined)));
  const sent = services.calls.map(({ params }) => params?.["arguments"]);
  assert.deepEqual(sent, [{ ...SET, title: "one" }, { ...SET, title: "two" }, SET]);
  assert.deepEqual(audited, sent);
  assert.match(texts(await call({ repo: "acme/other" })), /argument repo of issue is set/);
  assert.match(texts(await call({ title: "secret plan" })), /Unknown tool|not found|unknown/i);
  for (const given of [["acme/site"], "acme/site"])
    assert.match(texts(await call(given)), /is set|Unknown tool/);
  assert.equal(services.calls.length, 3);
});

test("E6 a person is asked about the final arguments, and not about a call with another value", async () => {
  const asked: unknown[] = [];
  const questions = new OwnerQuestions(createManualClock());
  const set = servingSet([github()], recordingServices(), {
    ...{ questions, authorization: { ask: "anywhere", defaultEffect: "deny", policies: [policy("ask")] } },
  });
  const able = {
    ...client(user("ann")),
    capabilities: { elicitation: {} },
    request: async (_method: string, params: JsonObject | undefined): Promise<Reply> => {
      asked.push(params?.["message"]);
      return { result: { action: "accept", content: { allow: true } } };
    },
  };
  const call = (given: JsonObject, from: ClientHandle = able): Promise<Reply> => {
    const signal = new AbortController().signal;
    const params = { name: "issue", arguments: given };
    return set.handle(
      set.finalRequest({ method: "tools/call", params, handle: callPort(from), signal, served: set }),
    );
  };
  await call({ title: "one" });
  assert.match(String(asked[0]), /acme\/site/);
  assert.match(texts(await call({ title: "one", repo: "acme/other" })), /is set/);
  assert.equal(asked.length, 1);
  void call({ title: "one" }, client(user("ann")));
  assert.deepEqual(questions.list[0]?.lines.slice(1), [
    'Asked because of: {"effect":"ask"}',
    ...["The server says: issue of github", '"repo": "acme/site"', '"title": "one"'],
  ]);
});

test("E6 a call that waited while the arguments that are set were changed is refused, and no other server gets them", async () => {
  const changed = github(SCHEMA, { repo: "acme/docs" });
  for (const [now, refused] of [
    [changed, /is set/],
    [source("gitlab", { tools: ["issue"] }), /Unknown tool/],
  ] as const) {
    const services = {
      ...recordingServices((_, { renew }) => renew?.(false).answer ?? { result: { content: [] } }),
      catalog: () => catalogOf(now),
    };
    const set = servingSet([github()], services, { conflict: FIRST_WINS });
    const signal = new AbortController().signal;
    const params = { name: "issue", arguments: { title: "one" } };
    const reply = await set.handle(
      set.finalRequest({ method: "tools/call", params, handle: callPort(client()), signal, served: set }),
    );
    assert.match(texts(reply), refused);
    assert.deepEqual(pluck(services.calls, "backend"), ["github"]);
  }
});

test("E6 what a person agreed to is for the arguments that were set then", () => {
  const target = { kind: "tool", name: "issue", backend: "github", originalName: "issue" } as const;
  const [one, other] = [SET, { repo: "acme/docs" }].map((set) =>
    consentKey(catalogOf(github(SCHEMA, set)), { rule: "r", backend: "github", target }),
  );
  assert.notEqual(one, other);
});
