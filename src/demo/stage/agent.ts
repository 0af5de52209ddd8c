// The demo's agent: a client of `mountaineer mcp` that calls one tool twice a second, whatever happens meanwhile.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { MountaineerError } from "../../runtime/errors.ts";
import { type ProcessIdentity, processIdentity } from "../../runtime/process/process-identity.ts";
import { jsonObject, objectOf } from "../../runtime/text/json-object.ts";
import { settledWithin, systemClock } from "../../runtime/time/clock.ts";

export type Agent = Awaited<ReturnType<typeof startAgent>>;

interface AgentOptions {
  /** The argv that runs Mountaineer. */
  readonly program: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly tool: string;
  readonly file: string;
  readonly onStart: (identity: ProcessIdentity) => void;
}

/** Twice a second. */
const BEAT_MS = 500;
const STARTS_WITHIN_MS = 20_000;
const ENDS_WITHIN_MS = 5_000;
const NO_SESSION = { error: { message: "mountaineer mcp has ended" } };
const LIST_CHANGED = "notifications/tools/list_changed";

/** A client that speaks in lines with the child's standard streams. */
function createLineClient(child: ChildProcessByStdio<Writable, Readable, null>) {
  const waiting = new Map<unknown, (message: Readonly<Record<string, unknown>>) => void>();
  let running = true;
  let lastId = 0;
  let notices = 0;
  const ended = new Promise<void>((resolve) => {
    for (const event of ["close", "error"] as const) {
      child.once(event, () => {
        running = false;
        for (const answer of waiting.values()) answer(NO_SESSION);
        resolve();
      });
    }
  });
  child.stdin.on("error", () => {});
  createInterface({ input: child.stdout }).on("line", (line) => {
    const message = jsonObject(line) ?? {};
    if (message["method"] === LIST_CHANGED) notices++;
    waiting.get(message["id"])?.(message);
    waiting.delete(message["id"]);
  });
  const send = (message: object): void => {
    child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  };
  return {
    ended,
    send,
    get running() {
      return running;
    },
    get notices() {
      return notices;
    },
    /** Never rejects: without a child it is answered by an error. */
    ask: (method: string, params: object): Promise<Readonly<Record<string, unknown>>> =>
      new Promise((resolve) => {
        if (!running) return resolve(NO_SESSION);
        const id = ++lastId;
        waiting.set(id, resolve);
        send({ id, method, params });
      }),
  };
}

/** Resolves when its session is open and its first call is on its way. Rejects with `timed_out`. */
export async function startAgent({ program, environment, tool, file, onStart }: AgentOptions) {
  const [command = process.execPath, ...rest] = program;
  const child = spawn(command, [...rest, "mcp"], {
    cwd: "/",
    detached: true,
    env: environment,
    stdio: ["pipe", "pipe", "ignore"],
  });
  const client = createLineClient(child);
  const { ended, send, ask } = client;
  const identity = child.pid === undefined ? null : await processIdentity(child.pid);
  if (identity !== null) onStart(identity);
  let answered = 0;
  let longestMs = 0;
  const inFlight = new Set<Promise<void>>();
  const complaints: string[] = [];
  const call = async (): Promise<void> => {
    const startedAtMs = systemClock.monotonicMs();
    const { result, error } = await ask("tools/call", { name: tool, arguments: { name: file } });
    longestMs = Math.max(longestMs, systemClock.monotonicMs() - startedAtMs);
    const { isError, content } = objectOf(result);
    if (error === undefined && isError !== true) answered++;
    else complaints.push(String(objectOf(error)["message"] ?? JSON.stringify(content)));
  };

  const opened = ask("initialize", {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "mountaineer-demo-agent", version: "1.0.0" },
  });
  if (
    !(await settledWithin(systemClock, STARTS_WITHIN_MS, Promise.race([opened, ended]))) ||
    !client.running
  ) {
    child.kill("SIGKILL");
    throw new MountaineerError("timed_out", "the agent has no session: mountaineer mcp does not answer");
  }
  send({ method: "notifications/initialized" });
  const over = new AbortController();
  const beating = (async () => {
    while (!over.signal.aborted && client.running) {
      const calling = call();
      inFlight.add(calling);
      void calling.then(() => inFlight.delete(calling));
      await systemClock.sleep(BEAT_MS, over.signal).catch(() => undefined);
    }
  })();
  return {
    /** Counts since its start: calls that were answered well, and how the others ended. */
    get answered() {
      return answered;
    },
    complaints: complaints as readonly string[],
    /** The longest that a call has taken, ms. */
    get longestMs() {
      return longestMs;
    },
    /** How often it was notified that the list of tools has changed. */
    get notices() {
      return client.notices;
    },
    /** Whether it still has the session that it began with. */
    get running() {
      return client.running;
    },
    /** Names of the tools that it can use. */
    async tools(): Promise<readonly string[]> {
      const { tools } = objectOf((await ask("tools/list", {}))["result"]);
      return Array.isArray(tools) ? tools.map((each) => String(objectOf(each)["name"])) : [];
    },
    /** Makes no further call. Resolves when all are answered, and its process has ended. */
    async end(): Promise<void> {
      over.abort();
      await beating;
      await settledWithin(systemClock, ENDS_WITHIN_MS, Promise.race([Promise.all(inFlight), ended]));
      child.stdin.end();
      if (!(await settledWithin(systemClock, ENDS_WITHIN_MS, ended))) child.kill("SIGKILL");
    },
  };
}
