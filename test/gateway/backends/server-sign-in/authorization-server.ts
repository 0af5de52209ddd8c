// A real authorization server (oidc-provider) on loopback, whose tokens are good for one MCP server, and the person who
// agrees there.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { TestContext } from "node:test";
import { Provider } from "oidc-provider";
import MemoryAdapter from "oidc-provider/lib/adapters/memory_adapter.js";
import { freePort } from "../../../support/free-port.ts";

export const GIVEN_CLIENT = { id: "given-client", secret: "s3cret-of-the-given-client" };
export const MACHINE_CLIENT = { id: "machine-client", secret: "s3cret-of-the-machine" };
export const GIVEN_PORT = 45_871;
const SCOPES = "mcp mcp:read mcp:write files:read files:write";

export interface AuthorizationServerOptions {
  /** Default 3600. */
  readonly accessTokenSecs?: number;
  /** A refresh token that was used once is good once more, as servers with a grace allow. Default false. */
  readonly hasGrace?: boolean;
  /** Default true. */
  readonly registers?: boolean;
  /** Default true. */
  readonly isUp?: boolean;
  /** A private key, as a JWK: access tokens are signed with it, and hold what they say. Default: they are opaque. */
  readonly signsWith?: object;
  /** By path: how its answers are others than those of a server that keeps to the standards. */
  readonly alters?: Readonly<Record<string, Altered>>;
}

/** `$ISSUER` in texts is the authorization server. */
export interface Altered {
  readonly set?: Readonly<Record<string, unknown>>;
  readonly drop?: readonly string[];
  /** In place of the answer, as a proxy may answer: the request goes no further. */
  readonly raw?: string;
  readonly status?: number;
  readonly type?: string;
  /** Requests that are answered as they should be first. */
  readonly after?: number;
}

/** What `response` is ended with is sent altered. */
export function alter(
  response: ServerResponse,
  { set, drop = [], raw, status, type }: Altered,
  issuer: string,
) {
  const end = response.end.bind(response);
  response.end = ((body: string | Buffer = "{}") => {
    const whole = raw === undefined ? { ...JSON.parse(String(body)), ...set } : {};
    const kept = Object.entries(whole).filter(([key]) => !drop.includes(key));
    const text = (raw ?? JSON.stringify(Object.fromEntries(kept))).replaceAll("$ISSUER", issuer);
    response.statusCode = status ?? response.statusCode;
    response.setHeader("content-length", Buffer.byteLength(text));
    if (type !== undefined) response.setHeader("content-type", type);
    return end(text);
  }) as ServerResponse["end"];
}

export type AuthorizationServer = Awaited<ReturnType<typeof startAuthorizationServer>>;

export async function startAuthorizationServer(t: TestContext, options: AuthorizationServerOptions = {}) {
  const counts = new Map<string, number>();
  let handle: (request: IncomingMessage, response: ServerResponse) => void = () => {};
  let hold: { readonly gate: Promise<void>; readonly begun: () => void } | null = null;
  let isDown = false;
  const server = createServer((request, response) => {
    const path = (request.url ?? "").replace(/\?.*$/, "");
    counts.set(path, (counts.get(path) ?? 0) + 1);
    if (path === "/token" && isDown) {
      response.writeHead(503, { "content-type": "text/plain" }).end("away");
      return;
    }
    if (path === "/token" && hold !== null) holdBack(response, hold);
    const altered = options.alters?.[path];
    const isAltered = altered !== undefined && (counts.get(path) ?? 0) > (altered.after ?? 0);
    if (isAltered) alter(response, altered, issuer);
    if (isAltered && altered.raw !== undefined) response.setHeader("content-type", "application/json").end();
    else handle(request, response);
  });
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const up = () => new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const down = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise<unknown>((resolve) => server.close(resolve));
  };
  t.after(down);
  if (options.isUp !== false) await up();
  /** Access tokens that are good. */
  const good = new Set<string>();
  const provider = quietly(() => createProvider(issuer, options));
  for (const event of ["access_token.saved", "client_credentials.saved"]) {
    provider.on(event, ({ jti }: { jti: string }) => void good.add(jti));
  }
  provider.on("grant.success", (ctx: { oidc: { params: { grant_type: string } } }) => {
    const key = `/token ${ctx.oidc.params.grant_type}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  });
  handle = provider.callback();
  return {
    issuer,
    /** Requests so far, by path; of the token endpoint also by grant, as `/token refresh_token`. */
    counts,
    count: (path: string) => counts.get(path) ?? 0,
    up,
    down,
    /** From now on it signs with another key, and publishes only that. */
    signWith(signsWith: object) {
      handle = quietly(() => createProvider(issuer, { ...options, signsWith })).callback();
    },
    /** The scopes of a token that this server gave and that is still good; null: it is not. */
    async scopesOf(token: string, resource: string): Promise<readonly string[] | null> {
      const found =
        (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token)) ?? null;
      if (found === null || !good.has(token) || found.isExpired || found.aud !== resource) return null;
      return (found.scope ?? "").split(" ").filter(Boolean);
    },
    /** The name that a person gave at the sign-in, for a token that is still good. */
    async accountOf(token: string, resource: string): Promise<string | null> {
      const found = await provider.AccessToken.find(token);
      return (await this.scopesOf(token, resource)) === null ? null : (found?.accountId ?? null);
    },
    /** Makes all access tokens given so far worthless; refresh tokens stay. */
    endAccessTokens: () => good.clear(),
    /** From now on answers of the token endpoint are held back once they are made; gives what lets them go. */
    holdTokenAnswers() {
      const gate = Promise.withResolvers<void>();
      const begun = Promise.withResolvers<void>();
      hold = { gate: gate.promise, begun: begun.resolve };
      return {
        requested: begun.promise,
        release() {
          hold = null;
          gate.resolve();
        },
      };
    },
    /** From now on the token endpoint answers HTTP 503 (or not any more). */
    setDown(next: boolean) {
      isDown = next;
    },
  };
}

/** The server has done its work when this is called: only the answer waits. */
function holdBack(
  response: ServerResponse,
  { gate, begun }: { readonly gate: Promise<void>; readonly begun: () => void },
): void {
  const end = response.end.bind(response);
  response.end = ((body: string | Buffer) => {
    begun();
    void gate.then(() => end(body));
    return response;
  }) as ServerResponse["end"];
}

function createProvider(issuer: string, options: AuthorizationServerOptions) {
  const { accessTokenSecs = 3600, hasGrace = false, registers = true, signsWith } = options;
  return new Provider(issuer, {
    adapter: hasGrace ? graceful() : undefined,
    ...(signsWith && { jwks: { keys: [signsWith] } }),
    clients: [
      {
        client_id: GIVEN_CLIENT.id,
        client_secret: GIVEN_CLIENT.secret,
        application_type: "native",
        redirect_uris: [`http://127.0.0.1:${GIVEN_PORT}/callback`],
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
        token_endpoint_auth_method: "client_secret_basic",
      },
      {
        client_id: MACHINE_CLIENT.id,
        client_secret: MACHINE_CLIENT.secret,
        redirect_uris: [],
        grant_types: ["client_credentials"],
        response_types: [],
        token_endpoint_auth_method: "client_secret_basic",
      },
    ],
    scopes: ["openid", "offline_access", ...SCOPES.split(" ")],
    ttl: { AccessToken: accessTokenSecs, ClientCredentials: accessTokenSecs },
    rotateRefreshToken: true,
    cookies: { keys: ["one-key-for-tests"] },
    features: {
      registration: { enabled: registers },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx: unknown, resource: string) => ({
          scope: SCOPES,
          audience: resource,
          accessTokenTTL: accessTokenSecs,
          ...(signsWith
            ? { accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } } }
            : { accessTokenFormat: "opaque" }),
        }),
      },
    },
    clientBasedCORS: () => false,
  });
}

/** Its warnings are about being a server for development, which it is. */
function quietly<T>(create: () => T): T {
  const { warn, info } = console;
  console.warn = () => {};
  console.info = () => {};
  try {
    return create();
  } finally {
    console.warn = warn;
    console.info = info;
  }
}

/** Entries in memory; a refresh token counts as used only from its second use on. */
function graceful() {
  const used = new Set<string>();
  return (name: string): MemoryAdapter => {
    const adapter = new MemoryAdapter(name);
    const consume = adapter.consume.bind(adapter);
    adapter.consume = async (id) => {
      const isFirst = name === "RefreshToken" && !used.has(id);
      used.add(id);
      if (!isFirst) await consume(id);
    };
    return adapter;
  };
}

/**
 * A person in a browser: follows the address, fills in every form, by this name, and ends where it leads away from `issuer`, or
 * opens that unless `isLeft`.
 */
export async function agree(address: string, issuer: string, name = "ann", isLeft = false): Promise<string> {
  const cookies = new Map<string, string>();
  let next: { url: string; form: URLSearchParams | null } = { url: address, form: null };
  for (let step = 0; step < 20; step++) {
    if (!next.url.startsWith(issuer)) {
      if (isLeft) return next.url;
      // Where nobody listens a browser shows an error, and the address.
      await fetch(next.url).then(
        (response) => response.text(),
        () => "",
      );
      return next.url;
    }
    const response = await fetch(next.url, {
      method: next.form === null ? "GET" : "POST",
      redirect: "manual",
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
      ...(next.form === null ? {} : { body: next.form }),
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      cookies.set(name, value);
    }
    const text = await response.text();
    const location = response.headers.get("location");
    const form = location === null ? formOf(text, next.url, name) : null;
    if (location !== null) next = { url: new URL(location, next.url).href, form: null };
    else if (form !== null) next = form;
    else return text;
  }
  throw new Error(`the sign-in does not end: ${next.url}`);
}

function formOf(page: string, base: string, person: string): { url: string; form: URLSearchParams } | null {
  const tag = /<form[^>]*>/i.exec(page)?.[0];
  if (tag === undefined) return null;
  const action = /action="([^"]*)"/.exec(tag)?.[1]?.replaceAll("&amp;", "&") ?? base;
  const form = new URLSearchParams();
  for (const [input] of page.matchAll(/<input[^>]*>/gi)) {
    const name = /name="([^"]*)"/.exec(input)?.[1];
    if (name !== undefined) form.set(name, /value="([^"]*)"/.exec(input)?.[1] ?? person);
  }
  if (/name="confirm"/.test(page)) form.set("confirm", "yes");
  return { url: new URL(action, base).href, form };
}
