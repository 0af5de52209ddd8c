// An MCP server behind a bearer check, as MCP describes it: 401 and 403 with a challenge, and its metadata.
import type { TestContext } from "node:test";
import { serving, startHttpServer } from "../programs/http-server.ts";
import { type Altered, type AuthorizationServer, alter } from "./authorization-server.ts";

const METADATA = "/.well-known/oauth-protected-resource/mcp";

export interface ProtectedServerOptions {
  /** The challenge of a 401, with `$METADATA` for the address of its metadata; "": none. */
  readonly challenge?: string;
  readonly metadata?: Altered;
  /** Its tool `whoami` tells whose the token is. Default: its tool is `echo`. */
  readonly isOfAccounts?: boolean;
}

export async function startProtectedServer(
  t: TestContext,
  authorization: AuthorizationServer,
  { challenge: given, metadata: altered, isOfAccounts = false }: ProtectedServerOptions = {},
) {
  const seen = new Set<string>();
  let calls = 0;
  let refusals = 0;
  let callScope = "mcp:read";
  const challenge = (more: string): string =>
    `Bearer ${more}, resource_metadata="${server.origin}${METADATA}"`;
  const serve = serving({
    "tools/list": { tools: [{ name: "echo", inputSchema: { type: "object" } }] },
    "tools/call"({ arguments: given = {} }) {
      calls++;
      return { content: [{ type: "text", text: JSON.stringify(given) }] };
    },
  });
  /** The tool `plan` is another at Ben's account, and `rare` is missing at Ann's. */
  const toolsOf = (account: string) =>
    ["whoami", "plan", "rare"]
      .filter((name) => name !== "rare" || account !== "ann-there")
      .map((name) => {
        const properties = name === "plan" && account === "ben-there" ? { to: { type: "string" } } : {};
        return { name, inputSchema: { type: "object", properties } };
      });
  const serveAs = (account: string) =>
    serving({
      "tools/list": { tools: toolsOf(account) },
      "tools/call": { content: [{ type: "text", text: account }] },
    });
  const server = await startHttpServer(
    t,
    async (posted) => {
      const { headers, method, response } = posted;
      const { authorization: header = "" } = headers;
      if (header !== "") seen.add(header);
      const token = header.replace(/^Bearer /, "");
      const scopes = token === "" ? null : await authorization.scopesOf(token, server.url);
      if (scopes === null) {
        refusals++;
        const asks = given?.replace("$METADATA", server.origin + METADATA) ?? challenge('scope="mcp:read"');
        response.writeHead(401, asks === "" ? {} : { "www-authenticate": asks }).end("who are you?");
      } else if (method === "tools/call" && !scopes.includes(callScope)) {
        const more = `error="insufficient_scope", scope="${callScope}"`;
        response.writeHead(403, { "www-authenticate": challenge(more) }).end("not with that");
      } else if (isOfAccounts)
        await serveAs((await authorization.accountOf(token, server.url)) ?? "")(posted);
      else await serve(posted);
    },
    {
      path: "/mcp",
      elsewhere({ url }, response) {
        if (url !== METADATA) return response.writeHead(404).end();
        if (altered !== undefined) alter(response, altered, authorization.issuer);
        const metadata = { resource: server.url, authorization_servers: [authorization.issuer] };
        response.setHeader("content-type", "application/json");
        return response.end(JSON.stringify(metadata));
      },
    },
  );
  return {
    url: server.url,
    /** Calls of its tool that it did. */
    get calls() {
      return calls;
    },
    /** Requests that it let nobody do: HTTP 401. */
    get refusals() {
      return refusals;
    },
    /** The values of `Authorization` that it saw. */
    seen,
    /** A call of its tool takes this scope from now on. */
    requireForCalls(scope: string) {
      callScope = scope;
    },
  };
}
