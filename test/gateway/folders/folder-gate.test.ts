// The folders that a backend's section allows: nothing outside of them is named to its server, however it is spelled, and
// ordinary arguments pass.
import assert from "node:assert/strict";
import { realpath, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { ServedBackend } from "../../../src/config/snapshot.ts";
import type { CatalogEntry } from "../../../src/gateway/catalog/catalog.ts";
import { type ResolvePaths, withFolders } from "../../../src/gateway/folders/folder-gate.ts";
import { isError, type JsonObject, type Reply } from "../../../src/gateway/json-rpc.ts";
import type { RoutingServices } from "../../../src/gateway/middleware/routing-services.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { resolvePaths } from "../../../src/shares/prober/resolve-paths.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { backendConfig, createClient } from "../backends/pool/scripted-instance.ts";
import { ORDINARY_TEXTS } from "./ordinary-texts.ts";
import { type At, layOut, OUTSIDE } from "./outside-paths.ts";

type Pool = RoutingServices["pool"];

const READ: CatalogEntry = {
  kind: "tool",
  name: "read",
  backend: "files",
  fullName: "files_read",
  originalName: "read",
  status: "listed",
  reasons: [],
  definition: {
    name: "read",
    inputSchema: {
      properties: {
        given: { type: "string" },
        text: { type: "string" },
        note: { anyOf: [{ type: "string" }, { type: "null" }] },
        several: { type: "array" },
        either: { anyOf: [{ type: "array" }, { type: "null" }] },
        some: { type: ["object", "null"] },
        line: { oneOf: [{ type: "string" }, { type: "null" }] },
        oneOf: { oneOf: [{ type: "string" }, { type: "object" }] },
        any: {},
      },
    },
  },
};

/** Another backend's tool of that name, which takes anything. */
const OTHERS: CatalogEntry = { ...READ, name: "others", backend: "free", definition: { name: "read" } };

/** A folder that may be used, `pub`, beside one that may not, with links between them. */
async function scene(
  t: TestContext,
  given: {
    readonly cwd?: string;
    readonly root?: string;
    readonly places?: ResolvePaths;
    readonly route?: string;
    readonly folder?: string;
  } = {},
) {
  const top = await realpath(await temporaryFolder(t));
  const at: At = (...steps) => path.join(top, ...steps);
  await layOut(at);
  const cwd = at(given.cwd ?? "pub");
  const args = [at("pub/a.txt"), at(given.root ?? "pub")];
  const connection = { type: "stdio", command: "server", args, env: {}, cwd } as const;
  const routes = [
    { name: "one", connection },
    { name: "two", connection: { ...connection, cwd: at(given.route ?? "pub") } },
  ];
  const backend: ServedBackend = {
    ...backendConfig("files"),
    connection,
    ...(given.route !== undefined && { routes }),
    folders: [given.folder ?? at("also-pub")],
  };
  const sent: JsonObject[] = [];
  const answered: Reply = { result: {} };
  const answer = async (): Promise<Reply> => answered;
  const pool: Pool = {
    call: async (_, { params }) => {
      sent.push(params ?? {});
      return answered;
    },
    subscribe: answer,
    unsubscribe: answer,
    watchTask: answer,
  };
  const gated = withFolders(pool, {
    backends: [backend, backendConfig("free")],
    userHome: at("home"),
    clock: systemClock,
    resolvePaths: given.places ?? resolvePaths,
    catalog: () => ({ tools: new Map([OTHERS, READ].map((tool) => [tool.name, tool])) }),
  });
  const { signal } = new AbortController();
  const client = createClient("one");
  const handle = { client, id: 1, notify() {}, request: async () => null, congested: null };
  const ask = (method: string, params: JsonObject, name = "files"): Promise<Reply> =>
    gated.call(name, { method, params, handle, signal });
  const call = (given: unknown): Promise<Reply> => ask("tools/call", { name: "read", arguments: { given } });
  return { at, top, sent, ask, call, pool, gated, client };
}

/** What a model reads of a refusal; null: the call went to its server. */
function refusalIn(reply: Reply): string | null {
  if (isError(reply)) return reply.error.message;
  return reply.result["isError"] === true ? JSON.stringify(reply.result["content"]) : null;
}

describe("the folders of a backend", () => {
  test("E3 a path that leads out of them is not sent: as a value, in a list, deep within or as a name", async (t) => {
    const { at, sent, call } = await scene(t);
    for (const [index, spell] of OUTSIDE.entries()) {
      const text = spell(at);
      const shownAs = JSON.stringify(spell((...steps) => path.join("/srv", ...steps))).slice(0, 60);
      await t.test(`E3 ${index + 1}: ${shownAs} leads nowhere`, async () => {
        const ways: unknown[] = [text, [at("pub/a.txt"), text], { a: [[{ b: { c: text } }]] }];
        if (/[/\\~%]/.test(text)) ways.push({ [text]: "x" });
        for (const way of ways) {
          const refusal = refusalIn(await call(way));
          assert.ok(refusal !== null, JSON.stringify(way));
          assert.match(refusal, /Server files may be given only paths in .*also-pub/u);
        }
        assert.deepEqual(sent, []);
      });
    }
  });

  test("E3 paths within pass in every notation: through links, relative, as a file URI, of files still to be made", async (t) => {
    const { at, sent, call } = await scene(t);
    const inside = [
      at("pub"),
      `${at("pub")}/`,
      at("pub/a.txt"),
      at("also-pub/a.txt"),
      at("pub/new/deeper/file.txt"),
      at("pub/inner/b.txt"),
      `${at("pub")}/sub/../a.txt`,
      `${at("pub")}//sub//b.txt`,
      `${at("private")}/../pub/a.txt`,
      `file://${at("pub/a.txt")}`,
      `file://${at("pub")}/a%20b.txt`,
      `file://localhost${at("pub/a.txt")}`,
      at("pub/100% sure.txt"),
      at("pub/a b (1).txt"),
      at("pub/ünïcode 文件.txt"),
      at("pub/..."),
      at("pub/..hidden"),
      "a.txt",
      "./a.txt",
      "sub",
      "sub/b.txt",
      "sub/../a.txt",
      "new.txt",
      "new/deeper.txt",
      "inner/b.txt",
      ".",
      "",
      `${at("pub")}/${"x/../".repeat(2_000)}a.txt`,
    ];
    for (const text of inside) assert.equal(refusalIn(await call(text)), null, text);
    assert.equal(sent.length, inside.length);
  });

  for (const cwd of ["pub", "home"])
    test(`E3 ${ORDINARY_TEXTS.length} ordinary arguments pass where the server is started in ${cwd}`, async (t) => {
      const { call } = await scene(t, { cwd });
      for (const text of ORDINARY_TEXTS) assert.equal(refusalIn(await call(text)), null, text);
      assert.equal(refusalIn(await call([1, true, null, { limit: 10, name: "a", content: "b" }])), null);
    });

  test("E3 a server that is started elsewhere: an existing name there is a path, any other is a word", async (t) => {
    const { at, call } = await scene(t, { cwd: "home" });
    for (const text of ["notes", "notes/c.txt", "notes/new.txt", ".", "", "./new.txt", "gone/../new.txt"])
      assert.match(refusalIn(await call(text)) ?? "", /leads out of its folders/u, text);
    for (const text of ["and/or", "sub", "sub/b.txt"]) assert.equal(refusalIn(await call(text)), null, text);
    await writeFile(at("home/c.txt"), "x");
    assert.match(refusalIn(await call({ "c.txt": "new content" })) ?? "", /leads out of its folders/u);
    assert.equal(refusalIn(await call({ "d.txt": "new content", "user.name": "x" })), null);
  });

  for (const wide of [{ cwd: "home" }, { root: "" }, { route: "home" }]) {
    test(`E3 an argument with a path's name is one, even where a server also searches elsewhere: ${JSON.stringify(wide)}`, async (t) => {
      const { ask } = await scene(t, wide);
      const refusalOf = async (given: JsonObject): Promise<string | null> =>
        refusalIn(await ask("tools/call", { name: "write", arguments: given }));
      for (const name of ["path", "filePath", "file_name_or_path", "outputDir", "filepath", "file2", "paths"])
        for (const text of ["new.txt", "new/deeper", ".", ""]) {
          const ways = name === "paths" ? [[text], JSON.stringify([text])] : [text];
          for (const given of ways.map((way) => ({ [name]: way })))
            assert.match((await refusalOf(given)) ?? "", /leads out of its folders/u, JSON.stringify(given));
        }
      assert.match((await refusalOf({ any: "." })) ?? "", /leads out of its folders/u);
      assert.equal(
        await refusalOf({ profile: "new.txt", query: "and/or", path: "http://example.com/x" }),
        null,
      );
    });
  }

  test("E3 a file that the command names is not a folder for relative paths", async (t) => {
    const { call } = await scene(t, { root: "home/notes/c.txt" });
    assert.equal(refusalIn(await call("./new.txt")), null);
  });

  test("E3 a backend that may use `/` is given every path", async (t) => {
    const { at, call } = await scene(t, { folder: "/" });
    for (const text of ["/", "/etc/passwd", at("private/secret.txt")])
      assert.equal(refusalIn(await call(text)), null, text);
  });

  test("E3 lists and objects that are sent as text are checked, unless the tool declares that it takes only text", async (t) => {
    const { at, ask } = await scene(t);
    const refusalOf = async (given: JsonObject, name = "read"): Promise<string | null> =>
      refusalIn(await ask("tools/call", { name, arguments: given }));
    const away = at("private/secret.txt");
    for (const text of [
      JSON.stringify([away]),
      ` ${JSON.stringify({ a: [{ b: away }] })}`,
      `["${away}", NaN]`,
    ]) {
      for (const name of ["several", "either", "some", "oneOf", "any", "paths"])
        assert.match(
          (await refusalOf({ [name]: text })) ?? "",
          /leads out of its folders/u,
          `${name} ${text}`,
        );
      assert.match((await refusalOf({ given: { paths: text } })) ?? "", /leads out of its folders/u);
      for (const name of ["text", "note", "line"])
        assert.equal(await refusalOf({ [name]: text }), null, text);
      assert.match((await refusalOf({ text }, "unlisted")) ?? "", /leads out of its folders/u);
    }
    const inside = JSON.stringify([{ path: at("pub/a.txt"), text: "and/or" }]);
    for (const given of [
      { several: inside },
      { any: "[draft] and/or" },
      { any: '{"a": "' },
      { path: "[id].ts" },
    ])
      assert.equal(await refusalOf(given), null, JSON.stringify(given));
  });

  test("E3 prompts, completions and resources are also checked against them, and other backends are not", async (t) => {
    const { at, ask, gated, client } = await scene(t);
    const secret = at("private/secret.txt");
    const asked: readonly (readonly [string, JsonObject])[] = [
      ["prompts/get", { name: "review", arguments: { file: secret } }],
      ["completion/complete", { ref: {}, argument: { name: "path", value: secret } }],
      ["completion/complete", { ref: {}, argument: {}, context: { arguments: { folder: secret } } }],
      ["resources/read", { uri: `file://${secret}` }],
      ["skills/get", { uri: `file://${at("private/SKILL.md")}` }],
      ["tools/call", { name: "read", arguments: { path: secret }, task: {} }],
    ];
    for (const [method, params] of asked) {
      const reply = await ask(method, params);
      assert.ok(isError(reply), method);
      assert.match(reply.error.message, /leads out of its folders/u);
      assert.equal(refusalIn(await ask(method, params, "free")), null);
    }
    assert.ok(isError(await gated.subscribe("files", `file://${secret}`, client)));
    assert.equal(refusalIn(await ask("resources/read", { uri: "notes://today" })), null);
    assert.equal(refusalIn(await ask("tools/call", { name: "now" })), null);
  });

  test("E3 a hanging check refuses the call, by name, and a refusal names its path", async (t) => {
    const hanging = await scene(t, { places: async () => null });
    assert.match(refusalIn(await hanging.call("a.txt")) ?? "", /could not be resolved in time/u);
    const { at, ask } = await scene(t);
    const given = { files: [{ path: at("pub/a.txt") }, { path: "out/x\u202e" }] };
    const reply = await ask("tools/call", { name: "read", arguments: given });
    assert.match(refusalIn(reply) ?? "", /arguments\.files\[1\]\.path .*out\/x\\\\\\\\u\{202e\}/u);
    const many = { words: Array.from({ length: 10_001 }, () => "x") };
    assert.match(
      refusalIn(await ask("tools/call", { name: "read", arguments: many })) ?? "",
      /more than 10000/u,
    );
  });

  test("E3 huge arguments are checked in linear time, and pass where they are the content of a file", async (t) => {
    const { call } = await scene(t);
    for (const text of [
      '"'.repeat(1_000_000),
      "a/".repeat(500_000),
      "// x\n".repeat(200_000),
      "%2e".repeat(300_000),
    ])
      assert.equal(refusalIn(await call(`${text}x`)), null, text.slice(0, 10));
    assert.equal(refusalIn(await call("x".repeat(5_000))), null, "too long for a name");
    assert.equal(refusalIn(await call(`/*! a library */${"x;".repeat(50_000)}`)), null);
    const again = Array.from({ length: 100 }, () => `${"a/".repeat(1_000)}x`);
    assert.equal(refusalIn(await call(again)), null, "a path that is said again is one path");
    const deep = Array.from({ length: 100 }, (_, at) => "a/".repeat(1_000) + at);
    assert.match(refusalIn(await call(deep)) ?? "", /more paths than can be checked/u);
  });

  test("where no backend has folders, nothing is inserted", async (t) => {
    const { pool } = await scene(t);
    const catalog = (): never => assert.fail("nothing is looked up");
    const options = {
      backends: [backendConfig("free")],
      userHome: "/",
      resolvePaths,
      catalog,
      clock: systemClock,
    };
    assert.equal(withFolders(pool, options), pool);
  });
});
