// Changes the sources a little, one change at a time, and tells which changes no test notices. Not part of `npm test`:
// it takes an hour. Works in a copy of the checkout, which it removes; the checkout itself is never changed.
// Usage: bin/with-node scripts/mutate.ts [--seed N] [--count N] [--list] [--only ID,ID…] [--out FILE]
import { spawn } from "node:child_process";
import { appendFile, cp, glob, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { readImportGraph, testsReaching } from "./import-graph.ts";
import { drawMutants, findMutants, type Mutant, mutated } from "./mutants.ts";

const ROOT = path.resolve(import.meta.dirname, "..");

/** Each room gives as many changes as the others, however large it is. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  shares: ["src/shares/policy/decide*.ts"],
  reconcile: ["src/gateway/backends/policy/*.ts", "src/reconcile/*.ts"],
  catalog: ["src/gateway/catalog/*.ts"],
  edit: ["src/config/edit/*.ts"],
  backends: ["src/gateway/backends/{instance,links,pool}/**/*.ts"],
  secrets: ["src/secrets/*.ts"],
};

/** Test files under the same folder of test/ as the source is of src/; the policies' users prove them, too. */
const TEST_FOLDERS: Readonly<Record<string, readonly string[]>> = {
  reconcile: ["test/reconcile/", "test/shares/", "test/gateway/"],
};

/** A change that makes a test file hang is noticed; this much longer than unchanged it may take. */
const SLOWER_AT_MOST = 3;
const LEAST_LIMIT_SECONDS = 20;

interface Run {
  readonly passed: boolean;
  readonly seconds: number;
}

function runTest(copy: string, file: string, limitSeconds: number): Promise<Run> {
  const startedAt = performance.now();
  const runner = ["scripts/test.ts", "unit", file, "--timeout", String(limitSeconds)];
  const child = spawn("nice", ["-n", "10", process.execPath, ...runner], { cwd: copy, stdio: "ignore" });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) =>
      resolve({ passed: code === 0, seconds: (performance.now() - startedAt) / 1000 }),
    );
  });
}

async function allMutants(): Promise<Map<string, Mutant[]>> {
  const rooms = new Map<string, Mutant[]>();
  for (const [room, patterns] of Object.entries(ROOMS)) {
    const files: string[] = [];
    for await (const file of glob([...patterns], { cwd: ROOT })) files.push(file);
    const found: Mutant[] = [];
    for (const file of files.sort())
      found.push(...findMutants(file, await readFile(path.join(ROOT, file), "utf8")));
    rooms.set(room, found);
  }
  return rooms;
}

async function copyOfCheckout(): Promise<string> {
  const copy = await mkdtemp(path.join(tmpdir(), "mt-mutate-"));
  const folders = [".ci", ".github", "bench", "bin", "docs", "scripts", "src", "test", "toolchain"];
  const files = ["package.json", "tsconfig.json", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"];
  for (const name of [...folders, ...files])
    await cp(path.join(ROOT, name), path.join(copy, name), { recursive: true, verbatimSymlinks: true });
  await symlink(path.join(ROOT, "node_modules"), path.join(copy, "node_modules"));
  return copy;
}

const describe = ({ id, file, line, column, operator, before, after }: Mutant): string =>
  `${id} ${file}:${line}:${column} ${operator}: ${before.trim()} -> ${after.trim()}`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "20261121" },
      count: { type: "string", default: "100" },
      list: { type: "boolean", default: false },
      only: { type: "string" },
      out: { type: "string" },
    },
  });
  const rooms = await allMutants();
  let drawn = drawMutants(rooms, Number(values.count), Number(values.seed));
  if (values.only !== undefined) {
    const wanted = new Set(values.only.split(","));
    drawn = drawn.filter(({ id }) => wanted.has(id));
  }
  for (const [room, found] of rooms) process.stdout.write(`${room}: ${found.length} possible changes\n`);
  if (values.list) {
    for (const mutant of drawn) process.stdout.write(`${describe(mutant)}\n`);
    return 0;
  }

  const graph = await readImportGraph(ROOT);
  const testsOf = ({ file }: Mutant): string[] => {
    const folder = file.split("/")[1] ?? "";
    const folders = TEST_FOLDERS[folder] ?? [`test/${folder}/`];
    const near = [...testsReaching(graph, [file])].filter(([test]) =>
      folders.some((prefix) => test.startsWith(prefix)),
    );
    return near.sort(([, a], [, b]) => a - b).map(([test]) => test);
  };

  const copy = await copyOfCheckout();
  const note = async (text: string): Promise<void> => {
    process.stdout.write(`${text}\n`);
    if (values.out !== undefined) await appendFile(values.out, `${text}\n`);
  };
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  const survivors: Mutant[] = [];
  const unchanged = new Map<string, Run>();
  try {
    for (const mutant of drawn) {
      if (stop.signal.aborted) return 1;
      const target = path.join(copy, mutant.file);
      const source = await readFile(target, "utf8");
      let killer: string | null = null;
      const tests = testsOf(mutant);
      for (const test of tests) {
        const usual = unchanged.get(test) ?? (await runTest(copy, test, 600));
        unchanged.set(test, usual);
        // What fails unchanged proves nothing.
        if (!usual.passed) continue;
        const limit = Math.ceil(Math.max(LEAST_LIMIT_SECONDS, usual.seconds * SLOWER_AT_MOST));
        await writeFile(target, mutated(source, mutant));
        const run = await runTest(copy, test, limit);
        await writeFile(target, source);
        if (!run.passed) {
          killer = test;
          break;
        }
      }
      if (killer === null) survivors.push(mutant);
      await note(
        `${killer === null ? `SURVIVED ${tests.length} files` : `killed by ${killer}`}: ${describe(mutant)}`,
      );
    }
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
  for (const [test, { passed }] of unchanged)
    if (!passed) await note(`fails unchanged, not counted: ${test}`);
  await note(`${drawn.length - survivors.length} of ${drawn.length} killed (seed ${values.seed})`);
  for (const mutant of survivors) await note(`  survivor: ${describe(mutant)}`);
  return survivors.length * 10 > drawn.length ? 1 : 0;
}

process.exitCode = await main();
