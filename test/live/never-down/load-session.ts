// The sessions of a load: over HTTP, and over `mountaineer mcp` as clients start it. Light, so that what is measured is
// not the client.
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import type { GatewayRig } from "../../mcp/gateway-rig.ts";
import { connectLight } from "../../mcp/light-client.ts";

const MOUNTAINEER = path.resolve(import.meta.dirname, "../../../bin/mountaineer");

export type Given = Readonly<Record<string, string | number>>;

export interface LoadSession extends AsyncDisposable {
  readonly name: string;
  /** Resolves with the text of the first content; rejects for whatever is no result. */
  call(tool: string, given: Given): Promise<string>;
  /** Names of all tools. */
  tools(): Promise<readonly string[]>;
  /** Whether it is the session that was begun. */
  isSame(): boolean;
}

export async function overHttp(name: string, url: string, token?: string): Promise<LoadSession> {
  const client = await connectLight(url, token === undefined ? {} : { token });
  const id = client.sessionId;
  return {
    name,
    call: (tool, given) => client.call(tool, given),
    tools: () => client.tools(),
    isSame: () => id !== null && client.sessionId === id,
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly result?: { readonly content?: readonly { readonly text: string }[] } & Readonly<
    Record<string, unknown>
  >;
  readonly error?: { readonly code: number; readonly message: string };
}

export async function overBridge(name: string, { home, folder }: GatewayRig): Promise<LoadSession> {
  const child = spawn(MOUNTAINEER, ["mcp"], {
    env: { ...process.env, MOUNTAINEER_HOME: home.home, HOME: folder, NO_COLOR: "1" },
    stdio: ["pipe", "pipe", "ignore"],
  });
  const ended = once(child, "close");
  const waiting = new Map<number, (answer: Answer) => void>();
  let lastId = 0;
  let isThere = true;
  createInterface({ input: child.stdout }).on("line", (line) => {
    const answer: Answer = JSON.parse(line);
    if (answer.id === undefined || answer.method !== undefined) return;
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  void ended.then(() => {
    isThere = false;
    for (const answer of waiting.values()) answer({ error: { code: 0, message: "the bridge ended" } });
  });
  const say = (message: object): void =>
    void child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  const ask = async (method: string, params: object): Promise<NonNullable<Answer["result"]>> => {
    const id = ++lastId;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    waiting.set(id, resolve);
    say({ id, method, params });
    const { result, error } = await promise;
    if (result === undefined) throw new Error(`${error?.code}: ${error?.message}`);
    return result;
  };
  await ask("initialize", {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "load", version: "1.0.0" },
  });
  say({ method: "notifications/initialized" });
  return {
    name,
    async call(tool, given) {
      const { content } = await ask("tools/call", { name: tool, arguments: given });
      return String(content?.[0]?.text);
    },
    async tools() {
      const names: string[] = [];
      let cursor: unknown;
      do {
        const page = await ask("tools/list", cursor === undefined ? {} : { cursor });
        if (Array.isArray(page["tools"])) for (const tool of page["tools"]) names.push(tool.name);
        cursor = page["nextCursor"];
      } while (cursor !== undefined);
      return names;
    },
    isSame: () => isThere,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
