// The demo's agent: a client of `mountaineer mcp` that calls one tool twice a second, whatever happens to the share.
import { createInterface } from "node:readline";
import { MountaineerError } from "../../runtime/errors.ts";
import { jsonObject, objectOf } from "../../runtime/text/json-object.ts";
import { settlesWithin, systemClock } from "../../runtime/time/clock.ts";
import { type ProgramOptions, startProgram } from "./program.ts";

export type Agent = Awaited<ReturnType<typeof startAgent>>;

interface AgentOptions extends ProgramOptions {
  /** The argv that runs Mountaineer. */
  readonly program: readonly string[];
  readonly tool: string;
  /** The tool's argument `name`. */
  readonly file: string;
}

const BETWEEN_CALLS_MS = 500;
const STARTS_WITHIN_MS = 20_000;
const ENDS_WITHIN_MS = 5_000;
const NO_SESSION = { error: { message: "mountaineer mcp has ended" } };
const LIST_CHANGED = "notifications/tools/list_changed";

/** A JSON-RPC client over the program's standard streams, one message per line. */
function createLineClient(program: Awaited<ReturnType<typeof startProgram>>) {
  const { child, ended } = program;
  const pending = new Map<unknown, (message: Readonly<Record<string, unknown>>) => void>();
  let lastId = 0;
  let notices = 0;
  void ended.then(() => {
    for (const answer of pending.values()) answer(NO_SESSION);
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    const message = jsonObject(line) ?? {};
    if (message["method"] === LIST_CHANGED) notices++;
    pending.get(message["id"])?.(message);
    pending.delete(message["id"]);
  });
  const send = (message: object): void => {
    child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  };
  return {
    send,
    get notices() {
      return notices;
    },
    /** Never rejects: if the program has ended, resolves with an error response. */
    request: (method: string, params: object): Promise<Readonly<Record<string, unknown>>> =>
      new Promise((resolve) => {
        if (program.hasEnded) return resolve(NO_SESSION);
        const id = ++lastId;
        pending.set(id, resolve);
        send({ id, method, params });
      }),
  };
}

/** Resolves when the agent's session is open and its first call is sent. Rejects with `timed_out`. */
export async function startAgent({ program: argv, tool, file, ...options }: AgentOptions) {
  const [command = process.execPath, ...rest] = argv;
  const program = await startProgram(command, [...rest, "mcp"], options);
  const { child, ended } = program;
  const client = createLineClient(program);
  const { send, request } = client;
  let answered = 0;
  let longestMs = 0;
  const inFlight = new Set<Promise<void>>();
  const complaints: string[] = [];
  const call = async (): Promise<void> => {
    const startedAtMs = systemClock.monotonicMs();
    const { result, error } = await request("tools/call", { name: tool, arguments: { name: file } });
    longestMs = Math.max(longestMs, systemClock.monotonicMs() - startedAtMs);
    const { isError, content } = objectOf(result);
    if (error === undefined && isError !== true) answered++;
    else complaints.push(String(objectOf(error)["message"] ?? JSON.stringify(content)));
  };

  const opened = request("initialize", {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "mountaineer-demo-agent", version: "1.0.0" },
  });
  if (
    !(await settlesWithin(systemClock, STARTS_WITHIN_MS, Promise.race([opened, ended]))) ||
    program.hasEnded
  ) {
    child.kill("SIGKILL");
    throw new MountaineerError("timed_out", "the agent has no session: mountaineer mcp does not answer");
  }
  send({ method: "notifications/initialized" });
  const over = new AbortController();
  const calling = (async () => {
    while (!over.signal.aborted && !program.hasEnded) {
      const one = call();
      inFlight.add(one);
      void one.then(() => inFlight.delete(one));
      await systemClock.sleep(BETWEEN_CALLS_MS, over.signal).catch(() => undefined);
    }
  })();
  return {
    get answered() {
      return answered;
    },
    complaints: complaints as readonly string[],
    /** The time of the slowest call, ms. */
    get longestMs() {
      return longestMs;
    },
    /** How many times the server has notified that its list of tools changed. */
    get notices() {
      return client.notices;
    },
    /** True while the agent still has the session that it opened at its start. */
    get running() {
      return !program.hasEnded;
    },
    async tools(): Promise<readonly string[]> {
      const { tools } = objectOf((await request("tools/list", {}))["result"]);
      return Array.isArray(tools) ? tools.map((each) => String(objectOf(each)["name"])) : [];
    },
    /**
     * Stops calling. Waits at most 5 s for the calls in flight and 5 s more for the program's end, then kills
     * the program.
     */
    async end(): Promise<void> {
      over.abort();
      await calling;
      await settlesWithin(systemClock, ENDS_WITHIN_MS, Promise.race([Promise.all(inFlight), ended]));
      child.stdin.end();
      if (!(await settlesWithin(systemClock, ENDS_WITHIN_MS, ended))) child.kill("SIGKILL");
    },
  };
}
