// A copy of the checkout in which small changes of the sources are tried, one after the other, on the tests.
import { execFile, spawn } from "node:child_process";
import {
  chmod,
  cp,
  glob,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { transform } from "esbuild";
import { compile, PROGRAM_SOURCES } from "./build/compile.ts";
import {
  type ImportGraph,
  importGraph,
  nearestTests,
  reachedFrom,
  readSources,
  type Sources,
} from "./import-graph.ts";
import { clearLeftBehind, describeLeftBehind, findLeftBehind, findMounts, isNothing } from "./left-behind.ts";
import { drawMutants, findMutants, type Mutant, mutated } from "./mutants.ts";
import { ownPlaces, withoutUserPlaces } from "./test-places.ts";

export const ROOT = path.resolve(import.meta.dirname, "..");
const BUILD = "scripts/current-build.ts";

/** What a copy has of the checkout; of a commit, without `dist`. */
const FOLDERS = [".ci", ".github", "bench", "bin", "docs", "scripts", "src", "test", "toolchain"];
/** Excludes stories of many minutes, tests that need another machine, and tests that read the sources as text. */
const NOT_PLAYED = ["test/lab/", "test/nightly/", "test/scripts/", "test/architecture/"];
/** A test without output for this time counts as hung: few tests take a third of it. */
const QUIET_LIMIT_MS = 60_000;
/** Time for the processes of an ended test to disappear. */
const GRACE_MS = 3000;

/** What the copies of one tree have in common. */
export interface Tree {
  readonly sources: Sources;
  readonly graph: ImportGraph;
  /** Whether each test file passed on unchanged sources. A file that failed there proves nothing. */
  readonly sound: Map<string, boolean>;
}

export async function readTree(root: string): Promise<Tree> {
  const sources = await readSources(root);
  const graph = new Map(importGraph(sources));
  // Tests that ask for the build start the built command line.
  graph.set(BUILD, new Set([...(graph.get(BUILD) ?? []), "src/cli/main.ts"]));
  return { sources, graph, sound: new Map() };
}

/** Copies the checkout as it is now, with what is not committed and its build. */
export async function copyCheckout(copy: string): Promise<void> {
  await rm(copy, { recursive: true, force: true });
  const files = (await readdir(ROOT)).filter((name) => /\.(?:json|md)$/.test(name));
  for (const name of [...FOLDERS, "dist", ...files])
    await cp(path.join(ROOT, name), path.join(copy, name), { recursive: true, verbatimSymlinks: true });
  await symlink(path.join(ROOT, "node_modules"), path.join(copy, "node_modules"));
}

/** Copies a commit. It has no build until one is needed. */
export async function copyCommit(commit: string, copy: string): Promise<void> {
  await rm(copy, { recursive: true, force: true });
  await mkdir(path.join(copy, "dist"), { recursive: true });
  const script = `git archive "$0" -- ${FOLDERS.join(" ")} ":(glob)*.json" ":(glob)*.md" | tar -x -C "$1"`;
  await promisify(execFile)("bash", ["-o", "pipefail", "-c", script, commit, copy], { cwd: ROOT });
  await symlink(path.join(ROOT, "node_modules"), path.join(copy, "node_modules"));
  const workshop = await Workshop.open(copy, await readTree(copy), 0);
  await workshop.build("whole");
}

/** Creates a folder for copies. Each run has its own: two at once do not write into each other's. */
export async function folderOfCopies(): Promise<string> {
  await mkdir(path.join(ROOT, ".tmp"), { recursive: true });
  return await mkdtemp(path.join(ROOT, ".tmp/copies-"));
}

interface Run {
  /** Why the test file failed; null: it passed. */
  readonly failure: { readonly file: string; readonly reason: string } | null;
  readonly passed: ReadonlySet<string>;
  /** The time was over before all files had run. */
  readonly cut: boolean;
}

export interface Verdict {
  readonly mutant: Mutant;
  /** The test file that noticed the change, and how; null: none. */
  readonly killer: string | null;
  readonly reason: string;
  /** The number of files that ran. */
  readonly files: number;
  /** The time was over before a test noticed the change and before all files had run: the result is unknown. */
  readonly isCut: boolean;
}

/** A copy of the checkout, in which changes are tested one after the other. */
export class Workshop {
  readonly #sources: Sources;
  readonly #graph: ImportGraph;
  readonly #seconds: number;
  readonly #copy: string;
  /** Short, because the paths of sockets inside are limited to about 100 bytes. */
  readonly #temporary: string;
  readonly #sound: Map<string, boolean>;
  #runs = 0;

  private constructor(copy: string, temporary: string, { sources, graph, sound }: Tree, seconds: number) {
    this.#sources = sources;
    this.#graph = graph;
    this.#seconds = seconds;
    this.#copy = copy;
    this.#temporary = temporary;
    this.#sound = sound;
  }

  /** `copy`: a copy of `tree`. `seconds`: how long a change is played at most. */
  static async open(copy: string, tree: Tree, seconds: number): Promise<Workshop> {
    const temporary = await realpath(await mkdtemp(path.join(tmpdir(), "mm-")));
    await chmod(temporary, 0o711);
    return new Workshop(copy, temporary, tree, seconds);
  }

  async close(): Promise<void> {
    for (const folder of [this.#copy, this.#temporary]) await rm(folder, { recursive: true, force: true });
  }

  /** The test files that reach a source file, the nearest first, without those that never prove anything. */
  testsOf(file: string): string[] {
    return nearestTests(this.#sources, this.#graph, [file])
      .map((test) => test.file)
      .filter((test) => this.#isPlayed(test));
  }

  /** Plays the test files in this order, up to the first that notices the change. */
  async play(mutant: Mutant, tests: readonly string[], signal: AbortSignal): Promise<Verdict> {
    const deadline = performance.now() + this.#seconds * 1000;
    // The command line runs from the build. Builds only if the command line or another built program is used.
    const built = tests.filter((test) => this.#startsBuilt(test));
    const isInProgram = PROGRAMS_BESIDE.some((program) => reachedFrom(this.#graph, program).has(mutant.file));
    const stages = isInProgram
      ? [{ builds: true, files: tests }]
      : [
          { builds: false, files: tests.filter((test) => !built.includes(test)) },
          { builds: true, files: built },
        ];
    let played = 0;
    let isCut = false;
    for (const { builds, files } of stages) {
      if (files.length === 0 || signal.aborted) continue;
      if (performance.now() > deadline) isCut = true;
      if (isCut) continue;
      const run = await this.#changed(mutant, builds, () => this.#runToProof(files, deadline, signal));
      played += run.cut ? run.passed.size : files.length;
      isCut = run.cut;
      if (run.failure !== null)
        return { mutant, killer: run.failure.file, reason: run.failure.reason, files: played, isCut: false };
    }
    return { mutant, killer: null, reason: "", files: played, isCut };
  }

  /** Runs the files up to one that fails by itself, too: what a file before it left in the process proves nothing. */
  async #runToProof(files: readonly string[], deadline: number, signal: AbortSignal): Promise<Run> {
    const passed = new Set<string>();
    for (let rest = files; ; ) {
      const run = await this.#run(rest, deadline, signal);
      for (const file of run.passed) {
        passed.add(file);
        if (file !== run.failure?.file) this.#sound.set(file, true);
      }
      const { failure } = run;
      if (failure === null || run.cut || failure.file === rest[0]) return { ...run, passed };
      const alone = await this.#run([failure.file], deadline, signal);
      if (alone.failure !== null || alone.cut) return { ...alone, passed };
      rest = rest.slice(rest.indexOf(failure.file) + 1);
      if (rest.length === 0) return { ...alone, passed };
    }
  }

  /** Whether a test file passes on the unchanged sources. */
  async isSound(file: string, signal: AbortSignal): Promise<boolean> {
    const known = this.#sound.get(file);
    if (known !== undefined) return known;
    const { failure } = await this.#run([file], Number.POSITIVE_INFINITY, signal);
    this.#sound.set(file, failure === null);
    return failure === null;
  }

  #isPlayed(file: string): boolean {
    return !NOT_PLAYED.some((folder) => file.startsWith(folder)) && this.#sound.get(file) !== false;
  }

  #startsBuilt(test: string): boolean {
    return reachedFrom(this.#graph, test).has(BUILD);
  }

  async #changed<T>(mutant: Mutant, builds: boolean, act: () => Promise<T>): Promise<T> {
    const target = path.join(this.#copy, mutant.file);
    const source = await readFile(target, "utf8");
    const pointer = path.join(this.#copy, "dist/current");
    const build = await readFile(pointer, "utf8");
    try {
      await writeFile(target, mutated(source, mutant));
      if (builds) await this.build("changed");
      return await act();
    } finally {
      await writeFile(target, source);
      await writeFile(pointer, build);
    }
  }

  /** Builds the sources as they are in the copy now. */
  async build(name: string): Promise<void> {
    const folder = path.join(this.#copy, "dist", name);
    await rm(folder, { recursive: true, force: true });
    const { files } = await compile(this.#copy);
    for (const file of files) {
      await mkdir(path.dirname(path.join(folder, file.name)), { recursive: true });
      await writeFile(path.join(folder, file.name), file.bytes, { mode: file.executable ? 0o755 : 0o644 });
    }
    await writeFile(path.join(this.#copy, "dist/current"), `${name}\n`);
  }

  /** Runs all files in one process, up to the first failure. */
  async #run(files: readonly string[], deadline: number, signal: AbortSignal): Promise<Run> {
    this.#runs++;
    const token = `${path.basename(this.#temporary).replaceAll("-", "")}n${this.#runs}`;
    const mark = { folder: path.join(this.#temporary, String(this.#runs)), token };
    await mkdir(mark.folder, { mode: 0o711 });
    const script = (name: string): string => path.join(this.#copy, "scripts", name);
    const child = spawn(
      process.execPath,
      [
        `--import=${script("built-programs.ts")}`,
        `--test-reporter=${script("first-failure.ts")}`,
        script("test-together.ts"),
        // One file at a time: the first one may already notice the change.
        ...["--for", String(24 * 60 * 60_000)],
        ...files,
      ],
      {
        cwd: this.#copy,
        detached: true,
        stdio: ["ignore", "pipe", "ignore"],
        env: {
          NODE_COMPILE_CACHE: path.join(ROOT, ".tmp/compiled"),
          ...withoutUserPlaces(process.env),
          ...ownPlaces(mark.folder, 0),
          MOUNTAINEER_TEST_RUN: mark.token,
        },
      },
    );
    const end = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // The group has ended.
      }
    };
    const passed = new Set<string>();
    let failure: Run["failure"] = null;
    let at = files[0] ?? "";
    let cut = false;
    const quiet = setTimeout(() => {
      failure ??= { file: at, reason: "hangs" };
      end();
    }, QUIET_LIMIT_MS);
    const over = setTimeout(
      () => {
        cut = true;
        end();
      },
      Math.min(Math.max(0, deadline - performance.now()), 2 ** 31 - 1),
    );
    signal.addEventListener("abort", end, { once: true });
    createInterface({ input: child.stdout }).on("line", (line) => {
      quiet.refresh();
      const [, sign, place = "", reason = ""] = /^([+-]) (.*?)(?:: (.*))?$/.exec(line) ?? [];
      if (sign === undefined) return;
      // A file that fails as a whole is named by its title; a test declared in a shared file is reported for that file.
      const file = files.includes(reason) ? reason : path.relative(this.#copy, place);
      if (files.includes(file)) at = file;
      if (sign === "-") failure ??= { file: at, reason };
      else if (at === file) passed.add(file);
    });
    const { promise, resolve, reject } = Promise.withResolvers<number | null>();
    child.once("error", reject);
    child.once("close", resolve);
    const code = await promise;
    clearTimeout(quiet);
    clearTimeout(over);
    signal.removeEventListener("abort", end);
    const left = await this.#leftBehind(mark, failure === null && !cut);
    if (!cut && failure === null && code !== 0) failure = { file: at, reason: "the process ends" };
    if (!cut && failure === null && left !== null) failure = { file: at, reason: left };
    return { failure, passed, cut };
  }

  /** Ends what the tests left behind; if all tests passed, remains count as a failure. */
  async #leftBehind(mark: { folder: string; token: string }, patient: boolean): Promise<string | null> {
    const deadline = performance.now() + (patient ? GRACE_MS : 0);
    let found = await findLeftBehind(mark);
    while (!isNothing(found) && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      found = await findLeftBehind(mark);
    }
    const [left = null] = describeLeftBehind(found);
    await clearLeftBehind(found);
    // Deleting through a mount would delete the mounted files.
    if ((await findMounts(mark.folder)).length === 0)
      await rm(mark.folder, { recursive: true, force: true }).catch(() => {});
    return left;
  }
}

/** Programs that sources start by name, and that tests start from the build. */
const PROGRAMS_BESIDE = PROGRAM_SOURCES.filter((program) => program !== "src/cli/main.ts");

/** Skips changes without effect, such as those of types, and changes that are not valid TypeScript. */
async function isChange(source: string, mutant: Mutant): Promise<boolean> {
  const code = async (text: string): Promise<string> =>
    (await transform(text, { loader: "ts", minifySyntax: true, minifyWhitespace: true, logLevel: "silent" }))
      .code;
  return code(mutated(source, mutant)).then(
    async (changed) => changed !== (await code(source)),
    () => false,
  );
}

/** Draws changes of the sources below `root` whose path has one of `parts` in it. */
export async function drawChanges(
  root: string,
  count: number,
  seed: number,
  parts: readonly string[],
): Promise<Mutant[]> {
  const sources = new Map<string, string>();
  for await (const file of glob("src/**/*.ts", { cwd: root }))
    if (parts.some((part) => file.includes(part)))
      sources.set(file, await readFile(path.join(root, file), "utf8"));
  const found = [...sources]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([file, text]) => findMutants(file, text));
  process.stdout.write(`${found.length} possible changes, seed ${seed}\n`);
  const drawn: Mutant[] = [];
  for (const mutant of drawMutants(found, found.length, seed)) {
    if (drawn.length === count) break;
    if (await isChange(sources.get(mutant.file) ?? "", mutant))
      drawn.push({ ...mutant, id: String(drawn.length + 1) });
  }
  return drawn;
}

const oneLine = (text: string): string => text.trim().replace(/\s+/g, " ").slice(0, 120);
export const describeMutant = ({ id, file, line, column, operator, before, after }: Mutant): string =>
  `${id} ${file}:${line}:${column} ${operator}: ${oneLine(before)} -> ${oneLine(after)}`;
