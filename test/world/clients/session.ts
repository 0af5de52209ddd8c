// One client's program that is connected to one server, for as long as a test: it lists tools and calls them.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { type StubModel, startStubModel, type Turn } from "./stub-model.ts";

/** What a client is connected to. `url`: of `/mcp`, or of `/sse`. */
export type Target =
  | { readonly transport: "HTTP" | "SSE"; readonly url: string }
  | {
      readonly transport: "stdio";
      readonly command: string;
      readonly args: readonly string[];
      readonly env: Readonly<Record<string, string>>;
    };
export type TransportName = Target["transport"];

/** How a client is started. */
export interface Start {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Written before, by their paths below its home. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Where a client is started. */
export interface Place {
  /** HOME, empty at first; it works in `home/work`. */
  readonly home: string;
  /** `http://127.0.0.1:PORT` of its model. */
  readonly model: string;
}

export interface Session {
  /** All that its model may call, or that it lists, sorted. */
  tools(): Promise<readonly string[]>;
  /** Resolves with what it was given: an answer's text, or an error's words. Rejects once the program has ended. */
  call(tool: string, given?: Readonly<Record<string, unknown>>): Promise<string>;
  end(): Promise<void>;
}

/** A program has that long to connect, or to give the next answer. */
const ANSWERS_MS = 90_000;
const ENDS_MS = 5_000;

interface Program {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
  /** Aborted when it ends, with the last of what it said. */
  readonly gone: AbortSignal;
  said(): string;
  end(): Promise<void>;
}

async function run({ command, args, env = {}, files = {} }: Start, home: string): Promise<Program> {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(home, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  const cwd = path.join(home, "work");
  await mkdir(cwd, { recursive: true });
  const PATH = `${path.dirname(process.execPath)}:${process.env["PATH"] ?? ""}`;
  const child = spawn(command, args, {
    cwd,
    env: { PATH, HOME: home, LANG: "C.UTF-8", NO_PROXY: "127.0.0.1,localhost", ...env },
    stdio: ["pipe", "pipe", "pipe"],
    // With whatever it starts, it is ended as one.
    detached: true,
  });
  let said = "";
  const hear = (chunk: string): void => {
    said = (said + chunk).slice(-4_000);
  };
  child.stdout.setEncoding("utf8").on("data", hear);
  child.stderr.setEncoding("utf8").on("data", hear);
  // What it is sent after its end.
  child.stdin.on("error", () => {});
  const gone = new AbortController();
  const ended = once(child, "close").then(
    ([code]) => gone.abort(new Error(`it ended with ${code}: ${said}`)),
    (error: unknown) => gone.abort(error),
  );
  return {
    child,
    ended,
    gone: gone.signal,
    said: () => said,
    async end() {
      const timer = setTimeout(() => killGroup(child), ENDS_MS);
      await ended;
      clearTimeout(timer);
      killGroup(child);
    },
  };
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing of it is left.
  }
}

/** A program that is asked by lines of JSON: `{"list": true}` and `{"call": NAME, "given": {…}}`. */
export async function startProgram(start: Start, { home }: Pick<Place, "home">): Promise<Session> {
  const program = await run(start, home);
  const answers = createInterface({ input: program.child.stdout ?? process.stdin })[Symbol.asyncIterator]();
  const ask = async (question: object): Promise<Record<string, unknown>> => {
    program.child.stdin?.write(`${JSON.stringify(question)}\n`);
    for (;;) {
      const { value, done } = await answers.next();
      if (done === true) {
        await program.ended;
        throw program.gone.reason;
      }
      if (value.startsWith("{")) return JSON.parse(value);
    }
  };
  return {
    async tools() {
      const { tools, text } = await ask({ list: true });
      if (!Array.isArray(tools)) throw new Error(String(text));
      return tools.map(String).toSorted();
    },
    call: async (tool, given = {}) => String((await ask({ call: tool, given }))["text"]),
    async end() {
      program.child.stdin?.end();
      await program.end();
    },
  };
}

/** Whether a model's tool is this one of the server's, whatever the program put before its name. */
const isNamed = (name: string, tool: string): boolean => new RegExp(`(?:^|[^a-z])${tool}$`).test(name);

/** A program that asks a model, which is ours: it calls what `call` says, when it says so. */
export async function startAgent(
  startAt: (place: Place) => Start,
  { home }: Pick<Place, "home">,
): Promise<Session> {
  const model: StubModel = await startStubModel(({ tools }) => tools.some((name) => isNamed(name, "echo")));
  const program = await run(startAt({ home, model: model.url }), home);
  program.child.stdin?.end();
  const next = async (): Promise<Turn> => {
    const late = AbortSignal.timeout(ANSWERS_MS);
    try {
      return await model.next(AbortSignal.any([program.gone, late]));
    } catch (error) {
      if (!late.aborted) throw error;
      throw new Error(`its model was not asked: ${program.said()}`, { cause: error });
    }
  };
  let turn: Turn;
  const end = async (): Promise<void> => {
    model.answer({ text: "done" });
    await program.end();
    await model[Symbol.asyncDispose]();
  };
  try {
    turn = await next();
  } catch (error) {
    killGroup(program.child);
    await end();
    throw error;
  }
  return {
    tools: async () => turn.tools.toSorted(),
    async call(tool, given = {}) {
      const name = turn.tools.find((each) => isNamed(each, tool));
      if (name === undefined) return `its model has no tool ${tool}`;
      model.answer({ tool: name, given });
      turn = await next();
      return turn.result ?? "nothing";
    },
    end,
  };
}
