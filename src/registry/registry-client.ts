// Asks an MCP registry for servers, through version 0.1 of its API.

import { errorText, MountaineerError } from "../runtime/errors.ts";
import { TEXT_BOUNDS } from "../runtime/text/bounds.ts";
import { type JsonMembers, jsonObject, objectOf } from "../runtime/text/json-object.ts";
import { trimEnd } from "../runtime/text/trim-end.ts";
import { userAgent } from "../runtime/version.ts";

const OFFICIAL_REGISTRY = "https://registry.modelcontextprotocol.io";

/**
 * The registry's address, read from the environment at each call, so that a test can set its own registry.
 */
export function registryAddress(): string {
  return process.env["MOUNTAINEER_REGISTRY"] || OFFICIAL_REGISTRY;
}

const ANSWER_MS = 15_000;
const MOST_FOUND = 30;

/** The newest version's `server.json`. Rejects with `registry_failed`, also when there is no such server. */
export async function queryRegistry(base: string, name: string, signal: AbortSignal): Promise<JsonMembers> {
  const { status, text } = await fetchServers(base, `/${encodeURIComponent(name)}/versions/latest`, signal);
  if (status === 404) {
    throw new MountaineerError("registry_failed", `the registry has no server called ${name}`, {
      hint: `names are as in io.github.user/server; look for it at ${base}`,
    });
  }
  const server = objectOf(jsonObject(text)?.["server"]);
  if (status === 200 && server["name"] === name) return server;
  throw unexpectedAnswer(base, status);
}

/** The newest versions of servers whose names contain `query`, one page of them. Rejects with `registry_failed`. */
export async function searchRegistry(
  base: string,
  query: string,
  signal: AbortSignal,
): Promise<readonly JsonMembers[]> {
  const parameters = new URLSearchParams({ search: query, version: "latest", limit: String(MOST_FOUND) });
  const { status, text } = await fetchServers(base, `?${parameters}`, signal);
  const servers = jsonObject(text)?.["servers"];
  if (status === 200 && Array.isArray(servers))
    return servers.slice(0, MOST_FOUND).map((one) => objectOf(objectOf(one)["server"]));
  throw unexpectedAnswer(base, status);
}

function unexpectedAnswer(base: string, status: number): MountaineerError {
  return new MountaineerError(
    "registry_failed",
    `${base} does not answer as a registry does (status ${status})`,
  );
}

/** `rest`: the end of the address, after the path of all servers. */
async function fetchServers(
  base: string,
  rest: string,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  try {
    const answer = await fetch(`${trimEnd(base, "/")}/v0.1/servers${rest}`, {
      headers: { accept: "application/json", "user-agent": userAgent() },
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of answer.body ?? []) {
      length += piece.length;
      if (length > TEXT_BOUNDS.registryAnswer.most) throw new Error("the answer is too long");
      pieces.push(piece);
    }
    return { status: answer.status, text: Buffer.concat(pieces).toString("utf8") };
  } catch (error) {
    signal.throwIfAborted();
    const reason = errorText(error instanceof Error ? (error.cause ?? error) : error);
    throw new MountaineerError("registry_failed", `the registry does not answer: ${reason}`, {
      cause: error,
      retry: "later",
      hint: "check the network, or name the program yourself: mountaineer backends add NAME -- PROGRAM",
    });
  }
}
