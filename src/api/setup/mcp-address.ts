// Finds the path of an MCP server whose configured address has none. Sends neither configured headers nor credentials.
import { userAgent } from "../../runtime/version.ts";

const ANSWERS_WITHIN_MS = 3_000;
/** A ping begins no session and changes nothing. */
const PING = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" });
/** Statuses of an MCP server. 400 means that the server requires a session, or another protocol version. */
const STATUSES: readonly number[] = [200, 202, 400];

export function hasNoPath(url: string): boolean {
  const parsed = URL.parse(url);
  return parsed !== null && parsed.pathname === "/" && parsed.search === "";
}

/**
 * The address at which an MCP server answers: `url` itself, or its path replaced by `/mcp` or `/sse`; null:
 * none answers.
 */
export async function findMcpAddress(url: string, signal: AbortSignal): Promise<string | null> {
  for (const path of ["/", "/mcp", "/sse"]) {
    const at = new URL(path, url);
    const bare = new URL(at);
    bare.username = "";
    bare.password = "";
    if (await answers(bare, "POST", path !== "/", signal)) return path === "/" ? url : at.href;
    if (path === "/sse" && (await answers(bare, "GET", true, signal))) return at.href;
  }
  return null;
}

/**
 * True if an MCP server answers at `at`. `mayRefuse`: a 401 counts as an answer. The caller passes false for
 * `/`, because some websites answer 401 everywhere.
 */
async function answers(at: URL, method: string, mayRefuse: boolean, signal: AbortSignal): Promise<boolean> {
  const accept = { Accept: "application/json, text/event-stream", "User-Agent": userAgent() };
  const response =
    method === "GET"
      ? { headers: accept }
      : { headers: { ...accept, "Content-Type": "application/json" }, body: PING };
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWERS_WITHIN_MS)]);
    const answer = await fetch(at, { method, redirect: "manual", signal: limit, ...response });
    await answer.body?.cancel();
    const type = answer.headers.get("content-type") ?? "";
    const speaks = /^(?:application\/json|text\/event-stream)\b/i.test(type);
    return (mayRefuse && answer.status === 401) || (speaks && STATUSES.includes(answer.status));
  } catch {
    signal.throwIfAborted();
    return false;
  }
}
