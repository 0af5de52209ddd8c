// Servers that people have, behind the gateway with `folders`: whatever argument of theirs spells a path that leads out is
// refused, nothing there is read, listed, moved or written, and their ordinary calls pass.
// MOUNTAINEER_FOLDER_SERVERS names a folder where they are installed already (`npm`, `pip/NAME`); else they are fetched.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { lstat, lutimes, mkdir, readdir, readFile, realpath, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { type At, layOut, OUTSIDE } from "../gateway/folders/outside-paths.ts";
import { startGatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight, type Json, type LightClient } from "../mcp/light-client.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { FOLDER_SERVERS, type FolderServer } from "./folder-servers.ts";

const FETCH_MS = 600_000;
const IN_FLIGHT = 8;
/** Of arguments that are not called paths, so many times fewer. */
const SPARSE = 24;
const run = promisify(execFile);

let folder = "";

/** null: they are there. */
async function fetchServers(): Promise<string | null> {
  try {
    await mkdir(path.join(folder, "npm"), { recursive: true });
    await writeFile(path.join(folder, "npm/package.json"), '{"private":true}');
    const ofNpm = FOLDER_SERVERS.filter(({ from }) => from === "npm").map(
      (one) => `${one.name}@${one.version}`,
    );
    const npm = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", ...ofNpm];
    await run("npm", npm, { cwd: path.join(folder, "npm"), timeout: FETCH_MS });
    for (const { from, name, version } of FOLDER_SERVERS) {
      if (from === "npm") continue;
      const at = path.join(folder, "pip", name);
      await run("python3", ["-m", "venv", at], { timeout: FETCH_MS });
      await run(path.join(at, "bin/python"), ["-m", "pip", "install", "--quiet", `${name}==${version}`], {
        timeout: FETCH_MS,
      });
    }
    return null;
  } catch (error) {
    return String(error).slice(0, 300);
  }
}

const PDF = `%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<<>>>>endobj
4 0 obj<</Length 0>>stream

endstream endobj
trailer<</Root 1 0 R>>
`;

/** What ordinary calls are about. */
async function fill(at: At): Promise<void> {
  await mkdir(at("pub/docs"));
  await mkdir(at("pub/repo/docs"), { recursive: true });
  for (const file of ["pub/docs/x.md", "pub/docs/y.md", "pub/repo/docs/x.md"])
    await writeFile(at(file), "# x\n\nread/write, see https://example.com\n");
  await writeFile(at("pub/repo/code.py"), "def half(x):\n    return x / 2\n");
  await writeFile(at("pub/page.pdf"), PDF);
  await writeFile(at("pub/book.csv"), "a,b\n1/2,n/a\n");
  const git = (...args: readonly string[]) =>
    run("git", ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", ...args], { cwd: at("pub/repo") });
  await git("init", "-q", "-b", "main");
  for (const message of ["first", "second"]) {
    await writeFile(at("pub/repo/docs", `${message}.md`), message);
    await git("add", ".");
    await git("commit", "-q", "-m", message);
  }
  await git("config", "user.name", "Ann");
  await git("config", "user.email", "ann@example.com");
  await writeFile(at("pub/repo/new.txt"), "new\n");
  await writeFile(at("pub/repo/docs/x.md"), "# x\n\nchanged\n");
  const book = "import openpyxl, sys; openpyxl.Workbook().save(sys.argv[1])";
  const python = path.join(folder, "pip/excel-mcp-server/bin/python");
  await run(python, ["-c", book, at("pub/book.xlsx")]);
}

/** What outside of `pub` was read, listed, changed, moved or made since it was asked for. */
async function watchOutside(at: At): Promise<() => Promise<readonly string[]>> {
  const outside = ["private", "private/secret.txt", "public", "home", "home/notes", "home/notes/c.txt"];
  // Older than what it is about, so that whoever reads it changes it.
  for (const one of outside) await lutimes(at(one), 0, (await lstat(at(one))).mtimeMs / 1000);
  const look = async (one: string): Promise<string> => {
    const found = await lstat(at(one)).catch(() => null);
    return found === null ? "gone" : `${found.atimeMs} ${found.mtimeMs} ${found.size}`;
  };
  const first = await Promise.all(outside.map(look));
  // Servers list it by themselves on their way to what they may use.
  const above = await readdir(at());
  return async () => {
    const now = await Promise.all(outside.map(look));
    const made = (await readdir(at())).filter((name) => !above.includes(name));
    return [...outside.filter((_, index) => now[index] !== first[index]), ...made];
  };
}

/** With the folders' real names. */
function spelled<Value>(value: Value, at: At): Value {
  const text = JSON.stringify(value)
    .replaceAll('"@', `"${at("pub")}`)
    .replaceAll("file://@", `file://${at("pub")}`);
  return JSON.parse(
    text.replaceAll("localhost@", `localhost${at("pub")}`).replaceAll('"^', `"${at()}`),
  ) as Value;
}

interface Tool {
  readonly name: string;
  readonly inputSchema: {
    readonly properties?: Readonly<Record<string, Schema>>;
    readonly required?: readonly string[];
  };
}

interface Schema {
  readonly type?: string | readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
}

/** Each way in which one text can stand in an argument. */
function waysOf({ type, anyOf, items, properties }: Schema): readonly ((text: string) => unknown)[] {
  if (anyOf !== undefined) return anyOf.flatMap(waysOf);
  const types = [type].flat();
  if (types.includes("array"))
    return waysOf(items ?? { type: "string" }).map((way) => (text: string) => [way(text)]);
  if (types.includes("object") || properties !== undefined)
    return Object.entries(properties ?? { path: { type: "string" } }).flatMap(([key, property]) =>
      waysOf(property).map((way) => (text: string) => ({ [key]: way(text) })),
    );
  return types.includes("string") || type === undefined ? [(text) => text] : [];
}

async function attempt(
  client: LightClient,
  name: string,
  given: Json,
): Promise<{ text: string; isError: boolean }> {
  const reply = await client.ask("tools/call", { name, arguments: given });
  if ("error" in reply) return { text: reply.error.message, isError: true };
  return { text: JSON.stringify(reply.result["content"] ?? null), isError: reply.result["isError"] === true };
}

const PATH_LIKE = /path|file|dir|folder|source|destination|target|url|uri|root/i;

async function tryOutside(client: LightClient, tools: readonly Tool[], calls: FolderServer["calls"], at: At) {
  const asked: { readonly tool: string; readonly given: Json }[] = [];
  for (const { name, inputSchema } of tools) {
    const usual = spelled(calls.find(([tool]) => tool === name)?.[1] ?? {}, at);
    for (const [argument, schema] of Object.entries(inputSchema.properties ?? {}))
      for (const way of waysOf(schema))
        for (const [index, spell] of OUTSIDE.entries())
          if (PATH_LIKE.test(argument) || index % SPARSE === asked.length % SPARSE) {
            const value = way(spell(at));
            // Every other list or object as the text that some servers read it from.
            const sent = typeof value === "string" || asked.length % 2 === 0 ? value : JSON.stringify(value);
            asked.push({ tool: name, given: { ...usual, [argument]: sent } });
          }
  }
  const passed: string[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let one = asked[next++]; one !== undefined; one = asked[next++]) {
      const { text } = await attempt(client, one.tool, one.given);
      if (!/Not run: /u.test(text))
        passed.push(`${one.tool} ${JSON.stringify(one.given).slice(0, 300)}: ${text.slice(0, 300)}`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return { tried: asked.length, passed };
}

describe("popular servers, restricted to a folder", { timeout: 3_600_000 }, () => {
  let missing: string | null = null;
  let ordinary = 0;
  before(async () => {
    const given = process.env["MOUNTAINEER_FOLDER_SERVERS"];
    folder = given ?? path.join(await temporaryFolder({ after }), "servers");
    if (given === undefined) missing = await fetchServers();
  });

  for (const server of FOLDER_SERVERS)
    test(`E3 ${server.name}: nothing outside is read, listed, moved or written, and its ordinary calls pass`, async (t: TestContext) => {
      if (missing !== null) return t.skip(`the servers cannot be fetched here: ${missing}`);
      const top = await realpath(await temporaryFolder(t));
      const at: At = (...steps) => path.join(top, ...steps);
      await layOut(at);
      await fill(at);
      const { from, name, program, args = [], env = {}, calls } = server;
      const file = path.join(
        folder,
        from === "npm" ? "npm/node_modules" : "pip",
        name,
        from === "npm" ? "" : "bin",
        program,
      );
      const command = from === "npm" ? process.execPath : file;
      const started = [...(from === "npm" ? [file] : []), ...args.map((one) => spelled(one, at))];
      const section = { command, args: started, env, folders: [at("pub")] };
      const rig = await startGatewayRig(t, { backends: { server: section } });
      await rig.untilBackend("server", ({ phase }) => phase === "Ready", 60_000);
      await using client = await connectLight(rig.url);
      const { tools } = await client.request("tools/list", {});

      const touched = await watchOutside(at);
      const refused: string[] = [];
      for (const [tool, given = {}] of calls) {
        const { text, isError } = await attempt(client, tool, spelled(given, at));
        if (isError) refused.push(`${tool} ${JSON.stringify(given)}: ${text.slice(0, 300)}`);
      }
      assert.deepEqual(refused, []);
      ordinary += calls.length;
      const { tried, passed } = await tryOutside(client, tools as readonly Tool[], calls, at);
      t.diagnostic(
        `${(tools as readonly Tool[]).length} tools, ${calls.length} ordinary calls, ${tried} that lead out`,
      );
      assert.deepEqual(passed.slice(0, 20), []);
      assert.deepEqual(await touched(), []);
      await readFile(at("private/secret.txt"));
      assert.deepEqual(await touched(), ["private/secret.txt"], "a read would not have been seen");
    });

  after(() => {
    if (missing === null) assert.ok(ordinary >= 200, `${ordinary} ordinary calls passed`);
  });
});
