// Scripts beside the same calls made one by one: the bytes that a model reads and the time, for five tasks; what a script
// of one call costs beyond the call; and what a thousand scripts do to others' calls and to memory.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { performance } from "node:perf_hooks";
import { LIGHT_SERVER } from "../test/mcp/fixture-programs.ts";
import { nodeBackend, openGatewayRig } from "../test/mcp/gateway-rig.ts";
import { connectLight, type Json, type LightClient } from "../test/mcp/light-client.ts";
import { goal, quantile, round, say, spread } from "./figures.ts";

export const title = "scripts in place of single calls";
export const missing = (): string | null => null;

const MODULES = path.resolve(import.meta.dirname, "../node_modules/@modelcontextprotocol");
const FILES = 200;

interface Task {
  readonly name: string;
  /** The calls that a model would make one by one. */
  readonly singles: (data: string) => readonly (readonly [tool: string, given: Json])[];
  readonly script: (data: string) => string;
  /** `filters`: most of what is read does not matter. `parallel`: the calls wait. */
  readonly kind: "filters" | "parallel" | "other";
}

const file = (data: string, at: number): string => path.join(data, `${at}.txt`);
const numbers = (length: number): number[] => Array.from({ length }, (_, at) => at);
const READ = `const text = async (path) => { const one = await tools.read_text_file({ path }); return one.content ?? one };`;

const TASKS: readonly Task[] = [
  {
    name: "read 200 files and sum",
    kind: "filters",
    singles: (data) => numbers(FILES).map((at) => ["read_text_file", { path: file(data, at) }]),
    script: (data) =>
      `${READ} const all = await Promise.all(Array.from({ length: ${FILES} }, (_, at) => text("${data}/" + at + ".txt")));
       return all.reduce((sum, one) => sum + Number.parseInt(one, 10), 0)`,
  },
  {
    name: "find stale entries and mark them",
    kind: "filters",
    singles: (data) => [
      ...numbers(FILES).map((at) => ["get_file_info", { path: file(data, at) }] as const),
      ...numbers(3).map(
        (at) => ["write_file", { path: path.join(data, `stale-${at}`), content: "stale" }] as const,
      ),
    ],
    script: (data) =>
      `let marked = 0;
       for (let at = 0; at < ${FILES}; at += 1) {
         await tools.get_file_info({ path: "${data}/" + at + ".txt" });
         if (at % 70 === 0) { await tools.write_file({ path: "${data}/stale-" + at, content: "stale" }); marked += 1 }
       }
       return marked`,
  },
  {
    name: "join two servers' results",
    kind: "other",
    singles: (data) =>
      [...numbers(10)].flatMap((at) => [
        ["read_text_file", { path: file(data, at) }] as const,
        ["echo", { text: String(at) }] as const,
      ]),
    script: (data) =>
      `${READ} const pairs = [];
       for (let at = 0; at < 10; at += 1) pairs.push([Number.parseInt(await text("${data}/" + at + ".txt"), 10), await tools.echo({ text: String(at) })]);
       return pairs`,
  },
  {
    name: "page through a list",
    kind: "filters",
    singles: () => numbers(50).map((at) => ["echo", { text: `page ${at} ${"row ".repeat(200)}` }]),
    script: () =>
      `let rows = 0;
       for (let at = 0; at < 50; at += 1) rows += (await tools.echo({ text: "page " + at + " " + "row ".repeat(200) })).split("row").length - 1;
       return rows`,
  },
  {
    name: "parallel fetches with failures",
    kind: "parallel",
    singles: () => numbers(20).map((at) => [at % 5 === 0 ? "no_such_tool" : "sleep", { ms: 50 }]),
    script: () =>
      `const all = await Promise.allSettled(Array.from({ length: 20 }, (_, at) => at % 5 === 0 ? tools.no_such_tool() : tools.sleep({ ms: 50 })));
       return all.filter(({ status }) => status === "rejected").length`,
  },
];

async function runScript(client: LightClient, script: string): Promise<number> {
  const result = await client.request("tools/call", { name: "run_script", arguments: { script } });
  if (result["isError"] === true) throw new Error(JSON.stringify(result).slice(0, 500));
  return JSON.stringify(result["content"]).length + script.length;
}

async function runSingly(client: LightClient, calls: ReturnType<Task["singles"]>): Promise<number> {
  let bytes = 0;
  for (const [name, given] of calls) {
    const reply = await client.ask("tools/call", { name, arguments: given });
    bytes += JSON.stringify("result" in reply ? reply.result["content"] : reply.error).length;
    bytes += JSON.stringify(given).length;
  }
  return bytes;
}

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}

export async function bench({ short }: { short: boolean }): Promise<void> {
  const data = path.join(import.meta.dirname, "../.tmp/bench-scripts");
  await mkdir(data, { recursive: true });
  await Promise.all(
    numbers(FILES).map((at) => writeFile(file(data, at), `${at}\n${"padding ".repeat(100)}`)),
  );
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(data, { recursive: true, force: true }));
  const backends = {
    files: nodeBackend(path.join(MODULES, "server-filesystem/dist/index.js"), [data]),
    light: nodeBackend(LIGHT_SERVER),
  };
  const policies = ["write_file", "echo", "sleep"].map((name) => ({
    effect: "allow",
    resources: [`tool:${name}`],
  }));
  const authorization = { default_effect: "allow", unannotated: "harmless", policies };
  const rig = stack.use(
    await openGatewayRig({ backends, more: { scripts: { enabled: true }, authorization } }),
  );
  await rig.untilReady("files", "light");
  const client = stack.use(await connectLight(rig.url));
  await runScript(client, "return 1");
  for (const task of TASKS) {
    const begun = performance.now();
    const single = await runSingly(client, task.singles(data));
    const singleMs = performance.now() - begun;
    const scripted = await runScript(client, task.script(data));
    const scriptMs = performance.now() - begun - singleMs;
    say(
      `${task.name}: ${single} bytes in ${round(singleMs)} ms singly, ${scripted} bytes in ${round(scriptMs)} ms by a script`,
    );
    if (task.kind === "filters") goal(`${task.name}: a tenth of the bytes`, scripted * 10 <= single);
    goal(`${task.name}: not slower`, scriptMs <= singleMs * (task.kind === "parallel" ? 0.5 : 1));
  }
  await oneCall(client, short ? 20 : 100);
  await manyScripts(rig, client, short ? 50 : 1_000);
}

async function oneCall(client: LightClient, rounds: number): Promise<void> {
  const times: { readonly single: number[]; readonly script: number[] } = { single: [], script: [] };
  for (let at = 0; at < rounds; at += 1) {
    const begun = performance.now();
    await client.call("echo", { text: "a" });
    const between = performance.now();
    await runScript(client, 'return await tools.echo({ text: "a" })');
    times.single.push(between - begun);
    times.script.push(performance.now() - between);
  }
  say(`one call: ${spread(times.single)} singly, ${spread(times.script)} by a script`);
}

/** Others' calls beside scripts of 20 calls each, and beside the same calls made singly. */
async function manyScripts(
  rig: Awaited<ReturnType<typeof openGatewayRig>>,
  client: LightClient,
  scripts: number,
): Promise<void> {
  const beside = async (work: () => Promise<unknown>): Promise<number[]> => {
    const times: number[] = [];
    let isOver = false;
    const busy = work().finally(() => {
      isOver = true;
    });
    while (!isOver) {
      const begun = performance.now();
      await client.call("echo", { text: "b" });
      times.push(performance.now() - begun);
    }
    await busy;
    return times;
  };
  await using other = await connectLight(rig.url);
  const script = 'for (let at = 0; at < 20; at += 1) await tools.echo({ text: "c" }); return 1';
  const before = await residentMb(rig.pid);
  const byScripts = await beside(async () => {
    for (let at = 0; at < scripts; at += 1) await runScript(other, script);
  });
  const after = await residentMb(rig.pid);
  const bySingles = await beside(async () => {
    for (let at = 0; at < scripts * 20; at += 1) await other.call("echo", { text: "c" });
  });
  const [p99, single] = [quantile(byScripts, 0.99), quantile(bySingles, 0.99)];
  say(
    `others' calls beside ${scripts} scripts: p99 ${round(p99)} ms; beside as many single calls ${round(single)} ms`,
  );
  goal("others' p99 is at most 1.2 times as long", p99 <= single * 1.2);
  const all = await residentMb(rig.pid);
  say(
    `memory: ${round(before)} MB before, ${round(after)} MB after the scripts, ${round(all)} MB after as many single calls`,
  );
}
