// Machines for tests of calls: each a real gateway with real servers, and its part of a fleet on a real nats-server.
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Duplex, duplexPair } from "node:stream";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { BackendConfig } from "../../../src/config/snapshot.ts";
import { Calls } from "../../../src/fleet/calls/calls.ts";
import type { GatewayTransition } from "../../../src/gateway/gateway-transitions.ts";
import { isJsonObject, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import { Gateway } from "../../../src/gateway/serving/gateway.ts";
import type { GatewayConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { backendConfig } from "../../gateway/backends/pool/scripted-instance.ts";
import type { Scope } from "../../support/temporary-folder.ts";
import { linkOptions, type NatsRig } from "../nats-rig.ts";

export const TOOLS_SERVER = fileURLToPath(new URL("programs/tools.ts", import.meta.url));
const MACHINE = fileURLToPath(new URL("programs/machine.ts", import.meta.url));
const NEVER = new AbortController().signal;

/** A backend of the server that writes down its calls into that file. */
export function toolsBackend(name: string, written: string): BackendConfig {
  return {
    ...backendConfig(name),
    connection: {
      type: "stdio",
      command: process.execPath,
      args: [TOOLS_SERVER, written],
      env: {},
      cwd: "/",
    },
    timeouts: { initMs: 30_000, listMs: 30_000, callMs: 60_000 },
  };
}

export interface MachinePlan {
  readonly name: string;
  readonly url: string;
  readonly seed: string;
  readonly backends: readonly BackendConfig[];
  readonly exports?: readonly string[];
  readonly imports?: readonly string[];
  readonly config?: Partial<GatewayConfig>;
}

export interface Machine {
  readonly gateway: Gateway;
  readonly calls: Calls;
  readonly told: readonly GatewayTransition[];
  names(): readonly string[];
  ask(method: string, params?: JsonObject): ReturnType<Gateway["request"]>;
  end(): Promise<void>;
}

export async function runMachine(plan: MachinePlan): Promise<Machine> {
  const { name, url, seed, backends, exports: exported = [], imports = [] } = plan;
  const told: GatewayTransition[] = [];
  let calls: Calls | null = null;
  const gateway = new Gateway({
    clock,
    logger: noopLogger,
    environment: {},
    redact() {},
    announce(transition) {
      told.push(transition);
      calls?.scheduleOffer();
    },
    version: "1",
    listens: false,
    openMachine(backend, onEnd) {
      if (calls === null) throw new Error("no calls yet");
      return calls.open(backend, onEnd);
    },
  });
  await gateway.start({ ...NO_GATEWAY, backends, exports: exported, ...plan.config });
  calls = new Calls({
    ...linkOptions({ url, name, seed }, { export: exported, import: imports }),
    exported: () => gateway.exported(),
    serve: (machine, backend, stream) => gateway.serveMachine(stream, machine, backend),
    onImported: (borrowed) => gateway.setImported(borrowed),
  });
  const running = calls;
  return {
    gateway,
    calls,
    told,
    names: () => gateway.entries().tools.map((tool) => tool.name),
    ask: (method, params) => gateway.request(method, params, NEVER),
    async end() {
      await Promise.all([running.end(0), gateway[Symbol.asyncDispose]()]);
    },
  };
}

/** Ends with the test. */
export async function startMachine(
  t: Scope,
  rig: Pick<NatsRig, "url" | "key">,
  plan: Omit<MachinePlan, "url" | "seed">,
): Promise<Machine> {
  const machine = await runMachine({ ...plan, url: rig.url, seed: rig.key(plan.name).seed });
  t.after(() => machine.end());
  return machine;
}

export type MachineProcess = Awaited<ReturnType<typeof startMachineProcess>>;

/** One in a process of its own. Ends with the test. */
export async function startMachineProcess(
  t: Scope,
  rig: Pick<NatsRig, "url" | "key">,
  plan: Omit<MachinePlan, "url" | "seed">,
) {
  const whole: MachinePlan = { ...plan, url: rig.url, seed: rig.key(plan.name).seed };
  const child = fork(MACHINE, [JSON.stringify(whole)], { stdio: "inherit" });
  /** As a power cut does. */
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  };
  t.after(kill);
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`the machine ended with ${code} before it was ready`);
  });
  await Promise.race([once(child, "message"), ended]);
  return { pid: child.pid ?? 0, kill };
}

/** What was written down, a line each. */
export async function linesOf(path: string): Promise<readonly string[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}

export interface Client {
  readonly heard: readonly JsonObject[];
  call(tool: string, given?: JsonObject, meta?: JsonObject): Promise<JsonObject>;
  /** Without waiting; its id. */
  begin(tool: string, given?: JsonObject, meta?: JsonObject): number;
  answered(id: number): Promise<JsonObject>;
  send(message: JsonObject): void;
}

/** A client of that gateway that answers what it is asked. */
export async function startClient(
  t: Pick<TestContext, "after">,
  gateway: Pick<Gateway, "serveLines">,
): Promise<Client> {
  const [ours, theirs] = duplexPair();
  gateway.serveLines(theirs);
  t.after(() => ours.destroy());
  return startClientOn(ours);
}

/** The same at the end of a stream of lines. */
export async function startClientOn(stream: Duplex): Promise<Client> {
  const client = clientOn(stream);
  await client.answered(
    client.request("initialize", {
      protocolVersion: "2025-11-25",
      capabilities: { elicitation: {} },
      clientInfo: { name: "test", version: "1" },
    }),
  );
  client.send({ method: "notifications/initialized" });
  return client;
}

function clientOn(stream: Duplex) {
  const heard: JsonObject[] = [];
  const answers = new Map<unknown, PromiseWithResolvers<JsonObject>>();
  let lastId = 0;
  let rest = "";
  const send = (message: JsonObject): void => {
    stream.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  };
  stream.setEncoding("utf8").on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const message: unknown = JSON.parse(line);
      if (!isJsonObject(message)) continue;
      if (message["method"] === undefined) answers.get(message["id"])?.resolve(message);
      else {
        heard.push(message);
        if (message["method"] !== "elicitation/create") continue;
        send({ id: message["id"], result: { action: "accept", content: { word: "blue" } } });
      }
    }
  });
  const request = (method: string, params: JsonObject): number => {
    lastId += 1;
    answers.set(lastId, Promise.withResolvers());
    send({ id: lastId, method, params });
    return lastId;
  };
  const begin = (tool: string, given: JsonObject = {}, meta?: JsonObject): number =>
    request("tools/call", { name: tool, arguments: given, ...(meta === undefined ? {} : { _meta: meta }) });
  const answered = async (id: number): Promise<JsonObject> => {
    const answer = await answers.get(id)?.promise;
    answers.delete(id);
    if (answer === undefined) throw new Error(`${id} is no request without an answer`);
    return answer;
  };
  return {
    heard,
    request,
    send,
    begin,
    answered,
    call: (tool: string, given?: JsonObject, meta?: JsonObject) => answered(begin(tool, given, meta)),
  };
}

/** The text of a tool's result; what it says instead, if it failed. */
export function textOf(answer: JsonObject): string {
  const { result, error } = answer;
  if (isJsonObject(error)) return `error: ${String(error["message"])}`;
  const content = isJsonObject(result) && Array.isArray(result["content"]) ? result["content"] : [];
  const [first] = content;
  return isJsonObject(first) ? String(first["text"]) : "";
}

export function writtenIn(folder: string, name: string): string {
  return join(folder, `${name}.calls`);
}
