// What other programs' files become: each shape of file, names, secrets, and what has no like here.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { withBackends } from "../../src/clients/backend-block.ts";
import { planImport } from "../../src/clients/import-plan.ts";
import { readFoundFiles } from "../../src/clients/read-files.ts";
import { parseConfig } from "../../src/config/read/load.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { SAMPLE_ENVIRONMENT, SAMPLE_FILES } from "./client-files.ts";

const PLACE = {
  home: "/home/ann/.mountaineer",
  userHome: "/home/ann",
  userName: "ann",
  defaultMountRoot: "/mnt",
};
const OPTIONS = {
  userHome: "/home/ann",
  environment: SAMPLE_ENVIRONMENT,
  folder: "/work/app",
  allowLiteral: false,
  kept: new Set<string>(),
};

async function read(folder: string, name: string, text: string, options = OPTIONS) {
  const path = join(folder, name);
  await writeFile(path, text);
  const files = await readFoundFiles([{ path }], options, options);
  return planImport(files, {}, () => false).added;
}

describe("F1 a file of another program", () => {
  for (const {
    what,
    file,
    text,
    becomes,
    problems = {},
    secrets = {},
    wanted = [],
    leftOver = {},
  } of SAMPLE_FILES) {
    it(`F1 ${what}`, async (t) => {
      const added = await read(await temporaryFolder(t), file, text);
      assert.deepEqual(Object.fromEntries(added.map(({ name, table }) => [name, table])), becomes);
      assert.deepEqual(
        added.map(({ name }) => name),
        Object.keys(becomes),
      );
      assert.deepEqual(Object.fromEntries(added.flatMap((one) => [...one.secrets])), secrets);
      assert.deepEqual(
        added.flatMap((one) => one.wanted),
        wanted,
      );
      assert.deepEqual(
        Object.fromEntries(
          added.filter((one) => one.leftOver.length > 0).map((one) => [one.name, one.leftOver]),
        ),
        leftOver,
      );
      for (const one of added) {
        const expected = problems[one.name];
        if (expected === undefined) assert.equal(one.problem, null);
        else assert.match(one.problem ?? "", expected);
      }
      for (const format of ["toml", "yaml"] as const) {
        const written = await withBackends("", format, added);
        const loaded = await parseConfig(Buffer.from(written), `config.${format}`, PLACE);
        assert.ok(loaded.ok, written);
        const { backends } = loaded.snapshot.config;
        assert.deepEqual(
          backends.map(({ name }) => name),
          Object.keys(becomes),
        );
        for (const value of Object.values(secrets)) assert.ok(!written.includes(value));
      }
    });
  }
});

describe("F1 taking over", () => {
  it("F1 writes secrets in arguments only when that is said", async (t) => {
    const text = JSON.stringify({
      mcpServers: { pg: { command: "pg", args: ["postgresql://ann:geheim99@db/app"] } },
    });
    const [pg] = await read(await temporaryFolder(t), "mcp.json", text, { ...OPTIONS, allowLiteral: true });
    assert.deepEqual(pg?.table, { command: "pg", args: ["postgresql://ann:geheim99@db/app"] });
  });

  it("F1 takes no name of a secret that is kept already", async (t) => {
    const text = JSON.stringify({
      mcpServers: { a: { command: "a", env: { API_KEY: "0123456789abcdef0123" } } },
    });
    const [one] = await read(await temporaryFolder(t), "mcp.json", text, {
      ...OPTIONS,
      kept: new Set(["a-api-key"]),
    });
    assert.deepEqual(one?.table["env"], { API_KEY: "secret:a-api-key-2" });
  });

  it("F1 what stands here already is not taken over again, under whatever name; another of that name gets one", async (t) => {
    const folder = await temporaryFolder(t);
    const path = join(folder, "mcp.json");
    await writeFile(
      path,
      JSON.stringify({
        mcpServers: { files: { command: "a" }, notes: { command: "b" }, more: { command: "b" } },
      }),
    );
    const files = await readFoundFiles([{ path }], OPTIONS, OPTIONS);
    const plan = planImport(
      files,
      { documents: { command: "a", args: [] }, notes: { command: "other" } },
      () => false,
    );
    assert.deepEqual(
      plan.added.map(({ name }) => name),
      ["notes-mcp-json"],
    );
    assert.deepEqual(plan.present, ["documents", "notes-mcp-json"]);
  });

  for (const [what, name, text, expected] of [
    ["half a JSON", "mcp.json", '{"mcpServers": {"a": ', /mcp\.json is not JSON that can be read: at 1:22/],
    ["broken TOML", "config.toml", "[mcp_servers.a\n", /config\.toml is not TOML that can be read/],
  ] as const) {
    it(`F1 ${what} is named with its place, and nothing is taken over`, async (t) => {
      await assert.rejects(read(await temporaryFolder(t), name, text), expected);
    });
  }

  it("F1 a comment cannot end: what a file says stays on its line", async (t) => {
    const text = JSON.stringify({
      mcpServers: { a: { command: "a", note: "x\n[backends.evil]\ncommand = 'rm'" } },
    });
    const added = await read(await temporaryFolder(t), "mcp.json", text);
    for (const format of ["toml", "yaml"] as const) {
      const loaded = await parseConfig(
        Buffer.from(await withBackends("", format, added)),
        `c.${format}`,
        PLACE,
      );
      assert.ok(loaded.ok);
      assert.deepEqual(
        loaded.snapshot.config.backends.map(({ name }) => name),
        ["a"],
      );
    }
  });
});
