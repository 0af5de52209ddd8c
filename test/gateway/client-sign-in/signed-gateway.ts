// A gateway whose clients sign in at an authorization server, and requests to it.

import type { TestContext } from "node:test";
import type { SignedTokensConfig } from "../../../src/config/snapshot.ts";
import { SIGNING_ALGORITHMS } from "../../../src/config/values/sign-in-values.ts";
import type { GatewayMeans } from "../../../src/gateway/serving/gateway.ts";
import type { GatewayConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { realGateway, serverOn } from "../serving/gateway-rig.ts";

export function signedTokens(issuer: string, change: Partial<SignedTokensConfig> = {}): SignedTokensConfig {
  return {
    issuer,
    audience: null,
    keys: { kind: "discovery" },
    algorithms: SIGNING_ALGORITHMS,
    leewayMs: 30_000,
    requiredScopes: [],
    requiredClaims: {},
    rolesClaim: null,
    nameClaim: null,
    scopes: {},
    keysMaxAgeMs: 86_400_000,
    ...change,
  };
}

type SignedGatewayOptions = Pick<GatewayConfig, "incomingAuth"> &
  Partial<Pick<GatewayConfig, "authorization" | "backends" | "audit">> & {
    readonly port: number;
    readonly publicUrl?: string | null;
  };

export async function startSignedGateway(
  t: TestContext,
  { port, publicUrl = null, ...options }: SignedGatewayOptions,
  means: GatewayMeans = {},
) {
  const gateway = realGateway(t, { environment: { ANNA_TOKEN: "annas-own-token" } }, means);
  const config: GatewayConfig = { ...NO_GATEWAY, ...options, server: serverOn(port, { publicUrl }) };
  await gateway.start(config);
  return { gateway, url: `http://127.0.0.1:${port}/mcp`, config };
}

/** One POST; `token` null: none. */
export async function post(
  url: string,
  token: string | null,
  message: Readonly<Record<string, unknown>> = initialize(),
  headers: Readonly<Record<string, string>> = {},
) {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...(token !== null && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: JSON.stringify(message),
  });
  return {
    status: response.status,
    challenge: response.headers.get("www-authenticate"),
    session: response.headers.get("mcp-session-id"),
    body: await response.text(),
  };
}

export function initialize(): Readonly<Record<string, unknown>> {
  return {
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "test", version: "1" } },
  };
}
