// The values that a connection is made of, and the key that tells one from another.
import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import type { HttpConnection, StdioConnection } from "../../../../src/config/snapshot.ts";
import type { SecretText } from "../../../../src/config/values/secret-text.ts";
import { resolveConnection, resolveSecrets } from "../../../../src/gateway/backends/pool/connection-key.ts";
import type { SecretReference } from "../../../../src/secrets/reference.ts";

const STDIO: StdioConnection = { type: "stdio", command: "x", args: ["a", "b"], env: {}, cwd: "/" };
const HTTP: HttpConnection = { type: "streamable-http", url: "http://127.0.0.1:1/mcp", headers: {} };

function keyOf(
  connection: StdioConnection | HttpConnection,
  environment: Record<string, string> = {},
): string {
  const outcome = resolveConnection(connection, environment);
  assert.ok(outcome.ok);
  return outcome.key;
}

const token: SecretText = ["Bearer ", { kind: "environment", variable: "TOKEN" }];

describe("the key of a connection", () => {
  it("B7 differs for every change that needs a new connection", () => {
    const all = [
      STDIO,
      { ...STDIO, command: "y" },
      { ...STDIO, args: ["b", "a"] },
      { ...STDIO, args: ["a b"] },
      { ...STDIO, cwd: "/tmp" },
      { ...STDIO, env: { A: ["1"] } },
      { ...STDIO, env: { A: ["2"] } },
      { ...STDIO, env: { A: [""] } },
      HTTP,
      { ...HTTP, url: "http://127.0.0.1:2/mcp" },
      { ...HTTP, headers: { A: ["1"] } },
    ] satisfies (StdioConnection | HttpConnection)[];
    assert.equal(new Set(all.map((connection) => keyOf(connection))).size, all.length);
  });

  it("B7 is the same for settings that are the same to a server", () => {
    const one = keyOf({ ...STDIO, env: { A: ["1"], B: ["2"] } });
    assert.equal(one, keyOf({ ...STDIO, env: { B: ["2"], A: ["1"] } }));
    assert.equal(
      one,
      keyOf({ ...STDIO, env: { A: [{ kind: "environment", variable: "X" }], B: ["2"] } }, { X: "1" }),
    );
  });

  it("changes with the value of a secret, and reveals nothing of it", () => {
    const connection = { ...HTTP, headers: { authorization: token } };
    const outcome = resolveConnection(connection, { TOKEN: "s3cret" });
    assert.ok(outcome.ok && outcome.connection.type === "streamable-http");
    assert.equal(outcome.connection.headers["authorization"], "Bearer s3cret");
    assert.deepEqual(outcome.secrets, ["s3cret"]);
    assert.doesNotMatch(outcome.key, /s3cret/);
    assert.notEqual(outcome.key, keyOf(connection, { TOKEN: "other" }));
  });

  it("B7 E5 a stored secret in an address or an argument is filled in, and shown as its reference", () => {
    const args = ["--token=${secret:t}", "postgresql://${secret:pg}@db/app", "$${secret:t}", "${secret:none"];
    const program = resolveConnection({ ...STDIO, args }, { "secret:t": "s3cret", "secret:pg": "ann:pw" });
    assert.ok(program.ok && program.connection.type === "stdio");
    const [, , ...left] = args;
    assert.deepEqual(program.connection.args, ["--token=s3cret", "postgresql://ann:pw@db/app", ...left]);
    assert.deepEqual(program.connection.shown().args.slice(0, 2), args.slice(0, 2));
    assert.deepEqual(program.secrets, ["s3cret", "ann:pw"]);
    const http = { ...HTTP, url: "https://a.example/s/${secret:t}/mcp?key=${secret:q}" };
    const server = resolveConnection(http, { "secret:t": "s3cret", "secret:q": "k" });
    assert.ok(server.ok && server.connection.type === "streamable-http");
    assert.equal(server.connection.url, "https://a.example/s/s3cret/mcp?key=k");
    const blank = resolveConnection(http, { "secret:t": "a b", "secret:q": "k" });
    assert.ok(
      blank.ok && ["a b", "a%20b"].every((one) => blank.secrets.includes(one)),
      "as errors may show it",
    );
    assert.deepEqual(resolveConnection(http, { "secret:q": "k" }), { ok: false, missing: ["secret:t"] });
  });

  it("E5 a plain secret is kept out of messages like a referenced one", () => {
    const args = ["--api-key", "first-secret", "https://example.org/?token=second-secret"];
    const env = { PASSWORD: ["third-secret"], LEVEL: ["debug"] };
    const program = resolveConnection({ ...STDIO, args, env }, {});
    assert.ok(program.ok);
    assert.deepEqual(program.secrets, ["first-secret", "second-secret", "third-secret"]);
    const headers = { "x-api-key": ["fourth-secret"] };
    const address = resolveConnection({ ...HTTP, url: `${HTTP.url}?key=fifth-secret`, headers }, {});
    assert.ok(address.ok);
    assert.deepEqual(address.secrets, ["fifth-secret", "fourth-secret"]);
  });

  it("B6 names every missing variable, once", () => {
    const env = { A: token, B: token, C: [{ kind: "environment", variable: "OTHER" }] } as const;
    assert.deepEqual(resolveConnection({ ...STDIO, env }, {}), { ok: false, missing: ["TOKEN", "OTHER"] });
  });
});

const variable = (name: string): SecretReference => ({ kind: "environment", variable: name });

test("references become their values, which are marked as secrets", () => {
  const resolved = (...text: (string | SecretReference)[]) =>
    resolveSecrets({ text }, { TOKEN: "s3cret", EMPTY: "" });
  assert.deepEqual(
    [resolved("Bearer ", variable("TOKEN")), resolved(), resolved(variable("EMPTY"))].map(
      (outcome) => outcome.ok && { text: outcome.values["text"], secrets: outcome.secrets },
    ),
    [
      { text: "Bearer s3cret", secrets: ["s3cret"] },
      { text: "", secrets: [] },
      { text: "", secrets: [] },
    ],
  );
});

test("every missing variable is named once", () => {
  const texts = {
    A: [variable("ONE"), "-", variable("TWO")],
    B: [variable("TWO")],
    C: ["plain"],
    D: [variable("constructor")],
  };
  assert.deepEqual(resolveSecrets(texts, { ONE: "1" }), { ok: false, missing: ["TWO", "constructor"] });
});

test("a record keeps its names, awkward ones too", () => {
  const texts = JSON.parse('{"__proto__": ["x"], "A": ["1", "2"]}');
  const resolved = resolveSecrets(texts, {});
  assert.ok(resolved.ok);
  assert.deepEqual(Object.entries(resolved.values), [
    ["__proto__", "x"],
    ["A", "12"],
  ]);
});
