// The sessions of a load: over HTTP, and over `mountaineer mcp` as clients start it. Light, so that what is measured is
// not the client.
import type { GatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight } from "../mcp/light-client.ts";
import { startBridge } from "./bridge.ts";

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

export async function overBridge(name: string, rig: GatewayRig): Promise<LoadSession> {
  const bridge = startBridge(rig);
  let [lastId, isThere] = [1, true];
  void bridge.ended.then(() => {
    isThere = false;
  });
  const ask = async (method: string, params: object): Promise<Readonly<Record<string, unknown>>> => {
    const { result, error } = await bridge.ask(++lastId, method, params);
    if (result === undefined) throw new Error(`${error?.code}: ${error?.message}`);
    return result;
  };
  await bridge.begin();
  return {
    name,
    async call(tool, given) {
      const { content } = await ask("tools/call", { name: tool, arguments: given });
      return Array.isArray(content) ? String(content[0]?.text) : "nothing";
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
    [Symbol.asyncDispose]: () => bridge.end(),
  };
}
