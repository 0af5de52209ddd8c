// `mountaineer mcp` as clients start it: a process between their pipes and the daemon.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import type { GatewayRig } from "../mcp/gateway-rig.ts";
import { collect } from "../support/collect.ts";
import { eventually } from "../support/eventually.ts";

const MOUNTAINEER = path.resolve(import.meta.dirname, "../../bin/mountaineer");

export interface Message {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly code: number; readonly message: string };
}

export interface BridgeProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  /** All that came, in order. */
  readonly messages: readonly Message[];
  send(message: object): void;
  /** The answer; an error of code 0 when the bridge ended without one. */
  ask(id: number, method: string, params?: object): Promise<Message>;
  /** `ask` for a tool, and the text of its first content. */
  call(id: number, name: string, given?: object): Promise<unknown>;
  /** The first of all that came, or is to come, of which this holds. */
  until(holds: (message: Message) => boolean): Promise<Message>;
  /** As clients begin. */
  begin(capabilities?: object): Promise<Message>;
  stderr(): string;
  /** SIGKILL; idempotent. */
  end(): Promise<void>;
}

/** Ended with the rig. */
export function startBridge(rig: GatewayRig): BridgeProcess {
  const child = spawn(MOUNTAINEER, ["mcp"], {
    env: { ...process.env, MOUNTAINEER_HOME: rig.home.home, HOME: rig.folder, NO_COLOR: "1" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  // Not its exit, after which its last words may still be on their way.
  const ended = once(child, "close").then(([code]) => code);
  const end = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  rig.beforeStop(end);
  const { stderr } = collect(child);
  const messages: Message[] = [];
  const waiting = new Map<number | string, (answer: Message) => void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const message: Message = JSON.parse(line);
    messages.push(message);
    if (message.id === undefined || message.method !== undefined) return;
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  });
  void ended.then(() => {
    for (const answer of waiting.values())
      answer({ error: { code: 0, message: `the bridge ended: ${stderr().slice(-500)}` } });
  });

  const self: BridgeProcess = {
    child,
    ended,
    messages,
    stderr,
    end,
    send: (message) => void child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`),
    ask(id, method, params = {}) {
      const { promise, resolve } = Promise.withResolvers<Message>();
      waiting.set(id, resolve);
      self.send({ id, method, params });
      return promise;
    },
    async call(id, name, given = {}) {
      const { result, error } = await self.ask(id, "tools/call", { name, arguments: given });
      if (error !== undefined) throw new Error(`${name} failed: ${error.message}`);
      const content = result?.["content"];
      return Array.isArray(content) ? content[0].text : null;
    },
    async until(holds) {
      try {
        return await eventually(() => messages.find(holds));
      } catch (error) {
        throw new Error(`it never came: ${JSON.stringify(messages.slice(-5))}; ${stderr()}`, {
          cause: error,
        });
      }
    },
    async begin(capabilities = {}) {
      const answer = await self.ask(1, "initialize", {
        protocolVersion: "2025-11-25",
        capabilities,
        clientInfo: { name: "test", version: "1.0.0" },
      });
      self.send({ method: "notifications/initialized" });
      return answer;
    },
  };
  return self;
}
