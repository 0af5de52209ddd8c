// From the files of clients to backends, and back: what is read, imported, connected and undone.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { withBackends } from "../../src/clients/backend-block.ts";
import { CLIENT_NAMES, CLIENTS, type Client } from "../../src/clients/client.ts";
import { editedClientText } from "../../src/clients/client-edit.ts";
import { OWN_NAME } from "../../src/clients/client-entry.ts";
import { clientValues, readClientFile } from "../../src/clients/client-text.ts";
import {
  isConnected,
  planConnection,
  planDiff,
  planUndo,
  writePlan,
} from "../../src/clients/connection-plan.ts";
import { readRecord } from "../../src/clients/connection-record.ts";
import { readForeignEntry } from "../../src/clients/entry-keys.ts";
import { planImport } from "../../src/clients/import-plan.ts";
import { foundEntries, readFoundFiles } from "../../src/clients/read-files.ts";
import { parseConfig } from "../../src/config/read/load.ts";
import { objectOf } from "../../src/runtime/text/json-object.ts";
import { assertEach } from "../support/assert-each.ts";
import { goldenInputs, goldenTests } from "../support/golden.ts";
import { pluck } from "../support/pluck.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** Files as clients write them, shaped as they are found on people's machines, and what becomes of them here. */
const FILES = new URL("./files.golden", import.meta.url);
/** The variables that are set where they are read. */
const ENVIRONMENT = {
  ...{ DOCS: "/srv/docs", REGION: "eu", TEAM: "t" },
  ...{ API_KEY: "k", NOTES_TOKEN: "n", FIGMA_TOKEN: "f", X_TOKEN: "x" },
};
const PROGRAM = { command: "/opt/mountaineer/bin/mountaineer", args: ["mcp"], env: {} };

/** The client that keeps its servers as this file does. */
async function clientOf(file: string, text: string): Promise<Client> {
  const top = Object.keys(objectOf(await clientValues(text, file)));
  const names = CLIENT_NAMES.filter((name) => top.includes(CLIENTS[name].section[0] ?? ""));
  const format = file.endsWith(".toml") ? "toml" : "json";
  return names.map((name) => CLIENTS[name]).find((client) => client.format === format) ?? CLIENTS.claude;
}

const namesIn = async (text: string, file: string): Promise<string[]> =>
  foundEntries(await clientValues(text, file), "/").entries.map(({ name }) => name);

describe("F1 writing into a client's file", () => {
  for (const { title, options, input } of goldenInputs(FILES)) {
    const [file = ""] = options;
    const text = input.startsWith('{"') ? JSON.stringify(JSON.parse(input), null, 2) : input;
    it(`${title}: one server more, and the rest unchanged`, async () => {
      const client = await clientOf(file, text);
      const entry = client.entry(PROGRAM);
      const after = await editedClientText(client, text, [{ name: OWN_NAME, entry }]);
      const before = await namesIn(text, file);
      assert.deepEqual((await namesIn(after, file)).sort(), [...before, OWN_NAME].sort());
      for (const line of text.split(/\r?\n/)) {
        // A brace on the same line may get a line of its own.
        if (line.trim().length > 2) assert.ok(after.includes(line.trim().replace(/\}$/, "")), line);
      }
      const again = await editedClientText(client, after, [{ name: OWN_NAME, entry }]);
      assert.equal(again, after);
      const without = await editedClientText(client, after, [{ name: OWN_NAME, entry: null }]);
      assert.deepEqual(await namesIn(without, file), before);
    });
  }

  it("F1 a removed entry leaves its neighbours, their comments and their lines unchanged", async () => {
    const text =
      '{\n  "mcpServers": {\n    // first\n    "a": {"command": "a"}, // a\n    // second\n    "b":   {"command": "b"},\n    "c": {"command": "c"}\n  }\n}\n';
    const out = (name: string) => editedClientText(CLIENTS.claude, text, [{ name, entry: null }]);
    assert.equal(await out("b"), text.replace('    "b":   {"command": "b"},\n', ""));
    assert.ok((await out("a")).includes('    // second\n    "b":   {"command": "b"},\n'));
    assert.deepEqual(await namesIn(await out("c"), "x.json"), ["a", "b"]);
    assert.equal(await out("not there"), text);
    const commasFirst = '{"mcpServers": {\n  "a": {"command": "a"}\n, "b": {"command": "b"}\n}}';
    const without = await editedClientText(CLIENTS.claude, commasFirst, [{ name: "a", entry: null }]);
    assert.deepEqual(await namesIn(without, "x.json"), ["b"]);
    for (const end of [",", " /* the only one */,", " // the only one\n  ,"]) {
      const only = `{"mcpServers": {\n  "a": {"command": "a"}${end}\n}}`;
      const empty = await editedClientText(CLIENTS.claude, only, [{ name: "a", entry: null }]);
      assert.deepEqual(await namesIn(empty, "x.json"), []);
    }
  });

  it("F1 a byte order mark, and a comment in an empty table, stay", async () => {
    const entry = CLIENTS.claude.entry(PROGRAM);
    for (const text of ["\ufeff{}", '{"mcpServers": { // none yet\n}}']) {
      const after = await editedClientText(CLIENTS.claude, text, [{ name: OWN_NAME, entry }]);
      assert.deepEqual(await namesIn(after, "x.json"), [OWN_NAME]);
      assert.equal(after.startsWith("\ufeff"), text.startsWith("\ufeff"));
      assert.equal(after.includes("// none yet"), text.includes("// none yet"));
    }
  });

  for (const name of CLIENT_NAMES.filter((one) => CLIENTS[one].isConnected)) {
    it(`F1 ${CLIENTS[name].title} gets a program to start, and no token`, async () => {
      const client = CLIENTS[name];
      const text = await editedClientText(client, "", [{ name: OWN_NAME, entry: client.entry(PROGRAM) }]);
      let value = await clientValues(text, `x.${client.format}`);
      for (const segment of [...client.section, OWN_NAME]) value = objectOf(value)[segment];
      const { command, args, env } = readForeignEntry(objectOf(value));
      assert.deepEqual([command, args, env], [PROGRAM.command, ["mcp"], {}]);
      assert.ok(text.endsWith("\n"));
    });
  }
});

const PLACE = {
  home: "/home/ann/.mountaineer",
  userHome: "/home/ann",
  userName: "ann",
  defaultMountRoot: "/mnt",
};
const OPTIONS = {
  userHome: "/home/ann",
  environment: ENVIRONMENT,
  folder: "/work/app",
  kept: new Set<string>(),
};

async function read(folder: string, name: string, text: string, options = OPTIONS) {
  const path = join(folder, name);
  await writeFile(path, text);
  const files = await readFoundFiles([{ path }], options, options.kept);
  return planImport(files, {}).added;
}

/** By backend: its table, why it is disabled, the secrets it takes along, what it wants and what is left over. */
function become(added: Awaited<ReturnType<typeof read>>, folder: string): string {
  const lines = added.flatMap(
    ({ name, table: { cwd, ...table }, problem, secrets, wanted, unusedSettings }) => [
      // A program of a file in no known place starts in the file's folder.
      `${name}: ${JSON.stringify(cwd === folder || cwd === undefined ? table : { ...table, cwd })}`,
      ...(problem === null ? [] : [`  disabled: ${problem}`]),
      ...[...secrets].map(([secret, value]) => `  secret ${secret}: ${value}`),
      ...wanted.map((one) => `  wants ${one}`),
      ...unusedSettings.map((one) => `  left over: ${one}`),
    ],
  );
  return (lines.join("\n") || "no server").replaceAll(folder, "FOLDER");
}

goldenTests(FILES, async (text, [file = ""], t) => {
  const folder = await temporaryFolder(t);
  const added = await read(folder, file, text);
  for (const format of ["toml", "yaml"] as const) {
    const written = await withBackends("", format, added);
    const loaded = await parseConfig(Buffer.from(written), `config.${format}`, PLACE);
    assert.ok(loaded.ok, written);
    assert.deepEqual(pluck(loaded.snapshot.config.backends, "name"), pluck(added, "name"));
    for (const value of added.flatMap((one) => [...one.secrets.values()]))
      assert.ok(value.length < 4 || !written.includes(value));
  }
  return become(added, folder);
});

it("F1 a byte order mark and lines that end as on Windows", async (t) => {
  const folder = await temporaryFolder(t);
  const text = JSON.stringify({ mcpServers: { x: { command: "x" } } }, null, 2).replaceAll("\n", "\r\n");
  assert.equal(become(await read(folder, "mcp.json", `\ufeff${text}`), folder), 'x: {"command":"x"}');
  const edited = await editedClientText(CLIENTS.claude, `\ufeff${text}`, [
    { name: OWN_NAME, entry: CLIENTS.claude.entry(PROGRAM) },
  ]);
  assert.ok(edited.startsWith("\ufeff{\r\n") && edited.includes('"command": "x"\r\n'));
  assert.deepEqual((await namesIn(edited, "mcp.json")).sort(), [OWN_NAME, "x"].sort());
});

describe("F1 taking over", () => {
  it("F1 uses no name of an existing secret", async (t) => {
    const text = JSON.stringify({
      mcpServers: { a: { command: "a", env: { API_KEY: "0123456789abcdef0123" } } },
    });
    const [one] = await read(await temporaryFolder(t), "mcp.json", text, {
      ...OPTIONS,
      kept: new Set(["a-api-key"]),
    });
    assert.deepEqual(one?.table["env"], { API_KEY: "secret:a-api-key-2" });
  });

  it("E1 hands no stored secret to a server of a foreign file", async (t) => {
    const text = JSON.stringify({
      mcpServers: {
        literal: { url: "https://evil.example/mcp", headers: { Authorization: "secret:github-token" } },
        fallback: { command: "x", env: { A: "${NOT_SET_ANYWHERE:-secret:github-token}" } },
        github: { url: "https://evil.example/mcp", headers: { A: "Bearer ${input:token}" } },
        // Only joined do these refer to it.
        address: { url: "https://evil.example/?k=${secret:${NOT_SET_ANYWHERE:-github-token}}" },
        header: { url: "https://evil.example/mcp", headers: { A: "Bearer ${NOPE:-$}{secret:github-token}" } },
        argument: { command: "x", args: ["--key=${secret:${NOPE:-github-token}}"] },
      },
    });
    const kept = new Set(["github-token"]);
    const added = await read(await temporaryFolder(t), "mcp.json", text, { ...OPTIONS, kept });
    const written = await withBackends("", "toml", added);
    assert.doesNotMatch(written, /secret:github-token\b(?!-2)/);
    const [literal, fallback, github, ...joined] = added;
    assert.equal(joined.length, 3);
    for (const one of [literal, fallback, ...joined]) {
      assert.match(one?.problem ?? "", /would mean a secret that is stored here/);
      assert.equal(one?.table["enabled"], false);
    }
    assert.deepEqual(github?.table["headers"], { A: "Bearer ${secret:github-token-2}" });
    assert.deepEqual(github?.wanted, ["github-token-2"]);
  });

  it("F1 another account at the same address, under a name with the same beginning, is another server", async (t) => {
    const path = join(await temporaryFolder(t), "mcp.json");
    const server = { command: "gh", env: { GITHUB_TOKEN: "ghp_0123456789abcdefghijABCDEFGHIJ012345" } };
    await writeFile(path, JSON.stringify({ mcpServers: { github: server } }));
    const files = await readFoundFiles([{ path }], OPTIONS, OPTIONS.kept);
    const known = { command: "gh", env: { GITHUB_TOKEN: "secret:work" } };
    const namesOf = (name: string): readonly string[] =>
      planImport(files, { [name]: known }).added.map((one) => one.name);
    assert.deepEqual(namesOf("github-work"), ["github"]);
    for (const same of ["github", "github-mcp-json", "github-2"]) assert.deepEqual(namesOf(same), []);
  });

  it("F1 the same program in two folders is two servers", async (t) => {
    const text = JSON.stringify({
      mcpServers: { here: { command: "x", cwd: "/srv/a" }, there: { command: "x", cwd: "/srv/b" } },
    });
    const added = await read(await temporaryFolder(t), "mcp.json", text);
    assert.deepEqual(pluck(added, "name"), ["here", "there"]);
  });

  it("F1 a file of a folder is marked as such, and one with unbounded nesting is refused", async (t) => {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, ".mcp.json"), '{"mcpServers": {"a": {"command": "x"}}}');
    const here = { ...OPTIONS, userHome: join(folder, "nobody"), environment: {}, folder };
    const [file] = await readFoundFiles(["claude-code"], here, here.kept);
    assert.deepEqual([file?.title, file?.isOfFolder], [`Claude Code in ${folder}`, true]);
    await writeFile(join(folder, ".mcp.json"), "[".repeat(1_000_000));
    await assert.rejects(readFoundFiles(["claude-code"], here, here.kept), { code: "client_unreadable" });
    // In the user's home both places of Cursor are one file, which is the user's own.
    await mkdir(join(folder, ".cursor"));
    await writeFile(join(folder, ".cursor/mcp.json"), "{}");
    const home = { ...here, userHome: folder };
    assert.deepEqual(pluck(await readFoundFiles(["cursor"], home, home.kept), "path", "isOfFolder"), [
      [join(folder, ".cursor/mcp.json"), false],
    ]);
  });

  it("F1 a path that is not a file, or has no end, is not read; a missing file is empty", async (t) => {
    const folder = await temporaryFolder(t);
    const large = join(folder, "large.json");
    await writeFile(large, "");
    await truncate(large, 64 * 1024 * 1024 + 1);
    execFileSync("mkfifo", [join(folder, "pipe")]);
    for (const [path, message] of [
      [folder, /is not a file$/],
      [join(folder, "pipe"), /is not a file$/],
      [large, /is larger than 64 MiB$/],
    ] as const)
      await assert.rejects(readClientFile(path), { code: "client_unreadable", message });
    await writeFile(join(folder, "marked.json"), "\ufeff{}");
    assert.equal(await readClientFile(join(folder, "marked.json")), "\ufeff{}", "no byte is lost");
    for (const path of ["nothing.json", "large.json/inside.json"])
      assert.equal(await readClientFile(join(folder, path)), null);
  });

  it("F1 of two connections that are planned at once, the second is refused and changes nothing", async (t) => {
    const folder = await temporaryFolder(t);
    const [file, other] = [join(folder, "a.json"), join(folder, "b.json")];
    const home = join(folder, "home");
    await mkdir(home);
    const plan = (path: string) =>
      planConnection(CLIENTS.cursor, PROGRAM, null, { ...OPTIONS, home, file: path });
    const [first, second, again] = [await plan(file), await plan(other), await plan(file)];
    await writeFile(file, "{}");
    await assert.rejects(writePlan(home, first), /has changed since it was read; nothing was written/);
    assert.equal(await readRecord(home, "cursor"), null, "an undo would remove the file");
    await rm(file);
    await writePlan(home, again);
    for (const late of [second, first])
      await assert.rejects(writePlan(home, late), /has changed since it was read; nothing was written/);
    assert.equal((await readRecord(home, "cursor"))?.path, file);
    assert.equal((await plan(file)).record?.before, null, "as it was before Mountaineer");
    await writePlan(home, await planUndo(CLIENTS.cursor, { ...OPTIONS, home, file: other }));
    assert.equal((await readRecord(home, "cursor"))?.path, file, "an undo elsewhere keeps the way back");
  });

  it("F1 an undo restores the given file, and changes nothing of one that was never connected", async (t) => {
    const folder = await temporaryFolder(t);
    const [file, home] = [join(folder, "a.json"), join(folder, "home")];
    await mkdir(home);
    const text = '{"mcpServers": {"a": {"command": "a"}}}';
    await writeFile(file, text);
    const here = { ...OPTIONS, home, file };
    assert.equal((await planUndo(CLIENTS.cursor, here)).after, text);
    await writePlan(home, await planConnection(CLIENTS.cursor, PROGRAM, null, here));
    await writePlan(home, await planUndo(CLIENTS.cursor, here));
    assert.deepEqual([await readClientFile(file), await readRecord(home, "cursor")], [text, null]);
  });

  for (const name of CLIENT_NAMES.filter((one) => CLIENTS[one].isConnected)) {
    it(`F1 an undo restores ${CLIENTS[name].title} byte by byte, and keeps later changes`, async (t) => {
      const folder = await temporaryFolder(t);
      const { format, section } = CLIENTS[name];
      const [file, home] = [join(folder, `a.${format}`), join(folder, "home")];
      await mkdir(home);
      const here = { ...OPTIONS, home, file };
      const own = { ...PROGRAM, env: { MOUNTAINEER_HOME: home } };
      const one = {
        json: `{ // mine\n\t"${section[0]}": {\n\t\t"other":  {"command": ["x"],},\n\t},\n\t"theme": "dark"\n}`,
        toml: `# mine\ntheme = 'dark'\n\n[${section[0]}.other] # x\ncommand =  "x"\n`,
        yaml: `# mine\ntheme: 'dark'\n${section[0]}:\n    other: {cmd:  x} # x\n`,
      }[format];
      for (const text of [one, `\ufeff${one}`, one.replaceAll("\n", "\r\n"), `${one.trimEnd()}\n\n`]) {
        await writeFile(file, text);
        await writePlan(home, await planConnection(CLIENTS[name], own, null, here));
        const connected = (await readClientFile(file)) ?? "";
        assert.notEqual(connected, text);
        await writeFile(file, connected.replace("dark", "light"));
        assert.equal((await planUndo(CLIENTS[name], here)).after, text.replace("dark", "light"));
        await writeFile(file, connected);
        await writePlan(home, await planUndo(CLIENTS[name], here));
        assert.equal(await readClientFile(file), text);
      }
    });
  }

  it("F1 a server is removed if one of the identical backends serves, even one with a secret in its arguments", async (t) => {
    const folder = await temporaryFolder(t);
    const [file, home] = [join(folder, "a.json"), join(folder, "home")];
    const server = { command: "a", args: ["--token", "ghp_0123456789abcdefghijABCDEFGHIJ012345"] };
    await writeFile(file, JSON.stringify({ mcpServers: { a: server } }));
    const plan = (ready: readonly string[]) => {
      const known = {
        config: () => Promise.resolve({ backends: { one: server, two: server } }),
        serving: (names: readonly string[]) => Promise.resolve(names.filter((name) => ready.includes(name))),
      };
      return planConnection(CLIENTS.cursor, PROGRAM, known, { ...OPTIONS, home, file });
    };
    assert.deepEqual((await plan(["two"])).record?.taken, ["a"]);
    const left = await plan([]);
    assert.deepEqual(left.record?.taken, []);
    assert.match(left.notes.join(), /kept in Cursor, because they do not work here yet: a;/);
  });

  it("F1 an undo removes an entry that existed before any connection, and restores the entry that an earlier one removed", async (t) => {
    const folder = await temporaryFolder(t);
    const [file, home] = [join(folder, "a.json"), join(folder, "home")];
    await mkdir(home);
    const here = { ...OPTIONS, home, file };
    const own = { ...PROGRAM, env: { MOUNTAINEER_HOME: home } };
    const namesAfter = async () => namesIn((await planUndo(CLIENTS.cursor, here)).after ?? "", "a.json");
    await writeFile(file, (await planConnection(CLIENTS.cursor, own, null, here)).after ?? "");
    await writePlan(home, await planConnection(CLIENTS.cursor, own, null, here));
    assert.deepEqual(await namesAfter(), []);
    await writeFile(file, '{"mcpServers": {"a": {"command": "a"}}}');
    const known = {
      config: () => Promise.resolve({ backends: { a: { command: "a" } } }),
      serving: (names: readonly string[]) => Promise.resolve(names),
    };
    await writePlan(home, await planConnection(CLIENTS.cursor, own, known, here));
    const moved = { ...own, command: "/usr/bin/mountaineer" };
    await writePlan(home, await planConnection(CLIENTS.cursor, moved, known, here));
    const now = (await readClientFile(file)) ?? "";
    assert.deepEqual(await namesIn(now, "a.json"), [OWN_NAME]);
    await writeFile(file, `${now}\n`);
    assert.deepEqual(await namesAfter(), ["a"]);
  });

  it("F1 two homes of one user have an entry each, and an undo removes only its own", async (t) => {
    const folder = await temporaryFolder(t);
    const file = join(folder, "a.json");
    const at = (name: string) => ({ ...OPTIONS, home: join(folder, name), file });
    const program = (name: string) => ({ ...PROGRAM, env: { MOUNTAINEER_HOME: join(folder, name) } });
    const names = async () => namesIn((await readClientFile(file)) ?? "", "a.json");
    for (const name of ["one", ".mountaineer-work", "one"]) {
      await mkdir(join(folder, name), { recursive: true });
      await writePlan(at(name).home, await planConnection(CLIENTS.cursor, program(name), null, at(name)));
    }
    assert.deepEqual(await names(), [OWN_NAME, "mountaineer-work"]);
    assert.equal(await isConnected(CLIENTS.cursor, at("other")), false);
    await writePlan(at("one").home, await planUndo(CLIENTS.cursor, at("one")));
    assert.deepEqual(await names(), ["mountaineer-work"]);
    assert.equal(await isConnected(CLIENTS.cursor, at(".mountaineer-work")), true);
  });

  it("F1 an undo removes a file that Mountaineer made, even after the client has rewritten it", async (t) => {
    const folder = await temporaryFolder(t);
    const [file, home] = [join(folder, "a.json"), join(folder, "home")];
    const here = { ...OPTIONS, home, file };
    const own = { ...PROGRAM, env: { MOUNTAINEER_HOME: home } };
    await mkdir(home);
    for (const [more, left] of [
      ["", null],
      [', "theme": "dark"', "dark"],
      [', "mcp": {} // mine', "mine"],
    ] as const) {
      await rm(file, { force: true });
      await writePlan(home, await planConnection(CLIENTS.cursor, own, null, here));
      const written = (await readClientFile(file)) ?? "";
      await writeFile(file, `${written.trimEnd().slice(0, -1)}${more}\n}\n`);
      await writePlan(home, await planUndo(CLIENTS.cursor, here));
      const after = await readClientFile(file);
      if (left === null) assert.equal(after, null);
      else assert.ok(after?.includes(left) && !after.includes(OWN_NAME), after ?? "no file");
    }
  });

  it("F1 a plan shows the names of variables, and no secret next to them", async (t) => {
    const folder = await temporaryFolder(t);
    const [path, home] = [join(folder, "config.toml"), join(folder, "home")];
    const text = `[mcp_servers.a]
url = "https://a.example/mcp"
bearer_token_env_var = "FIGMA_TOKEN"
http_headers = { "X-Token" = "\${X_TOKEN}", "X-Secret" = "hunter2" }
`;
    await writeFile(path, text);
    const diff = await planDiff(
      await planConnection(CLIENTS.codex, PROGRAM, null, { ...OPTIONS, home, file: path }),
    );
    assert.match(diff, /bearer_token_env_var = "FIGMA_TOKEN"/);
    assert.match(diff, /"X-Token" = "\$\{X_TOKEN\}", "X-Secret" = "\(hidden\)"/);
  });

  it("F1 a client without a folder, and a record that was changed, are not connected", async (t) => {
    const folder = await temporaryFolder(t);
    const home = join(folder, "home");
    const plan = (file: string) =>
      planConnection(CLIENTS.cursor, PROGRAM, null, { ...OPTIONS, home, file: join(folder, file) });
    await assert.rejects(plan("none/a.json"), { code: "client_unreadable", message: /has no folder at/ });
    await mkdir(join(home, "connections"), { recursive: true });
    await writeFile(join(home, "connections", "cursor.json"), '{"path": "/a"}');
    await assert.rejects(plan("a.json"), { code: "client_unreadable", message: /is not as it was written/ });
  });

  it("E1 the remains of an interrupted write next to a client's file are removed with the next one", async (t) => {
    const folder = await temporaryFolder(t);
    const [file, home] = [join(folder, "a.json"), join(folder, "home")];
    await mkdir(home);
    await writeFile(join(folder, ".a.json.999999999-0123456789ab.tmp"), "a secret");
    await writePlan(home, await planConnection(CLIENTS.cursor, PROGRAM, null, { ...OPTIONS, home, file }));
    assert.deepEqual(await readdir(folder), ["a.json", "home"]);
  });

  it("F1 a broken file is not connected, and a plan shows neither an escaped secret nor a whole long line", async (t) => {
    const folder = await temporaryFolder(t);
    const [path, home] = [join(folder, "mcp.json"), join(folder, "home")];
    const plan = () => planConnection(CLIENTS.cursor, PROGRAM, null, { ...OPTIONS, home, file: path });
    await writeFile(path, '{"mcpServers": {"a": ');
    await assert.rejects(plan(), { code: "client_unreadable" });
    const secret = 'hunt"er2-0123456789abcdef';
    const entry = { note: "x".repeat(9_000), command: "a", args: ["--token", secret] };
    await writeFile(path, JSON.stringify({ mcpServers: { a: entry } }, null, 2));
    const diff = await planDiff(await plan());
    assert.match(diff, /\(hidden\)/);
    assert.ok(!diff.includes("er2-0123456789abcdef"), diff);
    await writeFile(path, JSON.stringify({ mcpServers: { a: entry } }));
    const lines = (await planDiff(await plan())).split("\n");
    assert.ok(lines.some((line) => / … \d+ characters … /.test(line)));
    assert.ok(lines.every((line) => line.length < 2_100));
  });

  it("F1 an existing backend is not imported again under any name; a different one with the same name gets a new name", async (t) => {
    const folder = await temporaryFolder(t);
    const path = join(folder, "mcp.json");
    await writeFile(
      path,
      JSON.stringify({
        mcpServers: { files: { command: "a" }, notes: { command: "b" }, more: { command: "b" } },
      }),
    );
    const files = await readFoundFiles([{ path }], OPTIONS, OPTIONS.kept);
    const plan = planImport(files, { documents: { command: "a", args: [] }, notes: { command: "other" } });
    assert.deepEqual(pluck(plan.added, "name"), ["notes-mcp-json"]);
    const twins = plan.twins.map(({ name, as }) => `${name} as ${as}`);
    assert.deepEqual(twins, ["files as documents", "more as notes-mcp-json"]);
    assert.deepEqual(plan.unsure, [], "they have no secrets");
  });

  it("F1 a variable that every backend already has does not make a different server, and is not written again", async (t) => {
    const path = join(await temporaryFolder(t), "mcp.json");
    const env = { SSL_CERT_FILE: "/ours.pem", MODE: "fast" };
    const mcpServers = {
      same: { command: "a", env: { SSL_CERT_FILE: "/ours.pem" } },
      more: { command: "b", env },
      other: { command: "c", env: { SSL_CERT_FILE: "/theirs.pem" } },
    };
    await writeFile(path, JSON.stringify({ mcpServers }));
    const files = await readFoundFiles([{ path }], OPTIONS, OPTIONS.kept);
    const plan = planImport(files, { same: { command: "a" } }, { SSL_CERT_FILE: "/ours.pem" });
    assert.deepEqual(plan.twins, [{ name: "same", as: "same" }]);
    assertEach(plan.added, ({ name, table }) => [name, table["env"]], [
      ["more", { MODE: "fast" }],
      ["other", { SSL_CERT_FILE: "/theirs.pem" }],
    ]);
  });

  for (const [what, name, text, expected] of [
    ["half a JSON", "mcp.json", '{"mcpServers": {"a": ', /mcp\.json .* JSON .*: at 1:22, value expected$/],
    ["broken TOML", "config.toml", "[mcp_servers.a\n", /config\.toml .* TOML that can be read: /],
  ] as const) {
    it(`F1 ${what} is named with its position, and nothing is imported`, async (t) => {
      await assert.rejects(read(await temporaryFolder(t), name, text), expected);
    });
  }

  it("F1 a comment cannot end: text from a file stays on its line", async (t) => {
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
      assert.deepEqual(pluck(loaded.snapshot.config.backends, "name"), ["a"]);
    }
  });
});

it("F1 connect says where the client's own list of servers makes it skip this one", async (t) => {
  const home = await temporaryFolder(t);
  const file = join(home, "settings.json");
  const surroundings = { home, userHome: home, environment: {}, folder: home, file };
  const toldFor = async (mcp: unknown) => {
    await writeFile(file, JSON.stringify({ mcp }));
    return (await planConnection(CLIENTS.gemini, PROGRAM, null, surroundings)).notes;
  };
  const isAllowed = 'Gemini CLI uses only the servers in "mcp.allowed": add "mountaineer" there';
  assert.deepEqual(await toldFor({ allowed: ["github"] }), [isAllowed]);
  assert.deepEqual(await toldFor({ excluded: ["mountaineer"] }), [
    'Gemini CLI skips mountaineer: take it out of "mcp.excluded"',
  ]);
  assert.deepEqual(await toldFor({ allowed: ["mountaineer"], excluded: ["github"] }), []);
});

it("E5 a plan hides a short secret as a value, and not within paths and names", async (t) => {
  const home = await temporaryFolder(t);
  const file = join(home, "mcp.json");
  const env = { API_TOKEN: "q7!zk" };
  const entry = { command: "node", args: ["/home/q7!zk/a.mjs", "--token=q7!zk"], env };
  await writeFile(file, JSON.stringify({ mcpServers: { one: entry } }));
  const surroundings = { home, userHome: home, environment: {}, folder: home, file };
  const diff = await planDiff(await planConnection(CLIENTS.cursor, PROGRAM, null, surroundings));
  assert.match(diff, /"\/home\/q7!zk\/a\.mjs"/);
  assert.match(diff, /"API_TOKEN":\s*"\(hidden\)"/);
  assert.match(diff, /--token=\(hidden\)/);
});
