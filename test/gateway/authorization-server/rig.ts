// A gateway at which clients sign in with the gateway itself, a browser without scripts, and a client in plain requests.
import { createHash, randomBytes } from "node:crypto";
import { request as httpRequest } from "node:http";
import type { TestContext } from "node:test";
import type { AuthorizationConfig, AuthUser } from "../../../src/config/snapshot.ts";
import type { GrantStore } from "../../../src/gateway/client-sign-in/grants.ts";
import type { Gateway } from "../../../src/gateway/serving/gateway.ts";
import type { GatewayConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import type { Clock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";
import { startToolServer } from "../client-sign-in/tool-server.ts";
import { realGateway, serverOn } from "../serving/gateway-rig.ts";

export const ENVIRONMENT = { ANN: "the-token-of-ann", BEN: "the-token-of-ben", NEW: "another-token-of-ann" };
const userOf = (name: string, variable: keyof typeof ENVIRONMENT, roles: readonly string[]): AuthUser => ({
  ...{ name, token: { kind: "environment", variable }, roles },
});
export const ANN = userOf("ann", "ANN", ["dev"]);
export const BEN = userOf("ben", "BEN", []);
export const RENEWED_ANN = userOf("ann", "NEW", ["dev"]);

interface MemoryStore extends GrantStore {
  written: string | null;
  isFull: boolean;
}

/** Keeps what was written, as a disk does, and can be full. */
export function storeInMemory(): MemoryStore {
  const key = randomBytes(32).toString("hex");
  const store: MemoryStore = {
    written: null,
    isFull: false,
    exists: async () => store.written !== null,
    read: async () =>
      store.written === null
        ? ({ kind: "none" } as const)
        : ({ kind: "stored", value: JSON.parse(store.written) as unknown } as const),
    async write(value: unknown) {
      if (store.isFull) throw new Error("no space left on device");
      store.written = JSON.stringify(value);
    },
    secret: async () => key,
  };
  return store;
}

export interface DoorOptions {
  readonly users?: readonly AuthUser[];
  readonly publicUrl?: string | null;
  readonly authorization?: AuthorizationConfig | null;
  readonly oauth?: boolean;
  readonly store?: GrantStore;
  readonly clock?: Clock;
}

export async function startDoor(t: TestContext, options: DoorOptions = {}) {
  const { users = [ANN, BEN], publicUrl = null, authorization = null, oauth = true } = options;
  const [port, tools] = await Promise.all([freePort(), startToolServer(t)]);
  const store = options.store ?? storeInMemory();
  const clock = options.clock === undefined ? {} : { clock: options.clock };
  const gateway = realGateway(t, { environment: ENVIRONMENT, grantStore: store, ...clock });
  const configWith = (change: Partial<GatewayConfig> = {}): GatewayConfig => ({
    ...NO_GATEWAY,
    incomingAuth: { type: "local", users, oauth },
    authorization,
    groups: [{ name: "work", tools: ["read_*"], backends: null }],
    backends: [backendConfig("files", { connection: tools.connection })],
    server: serverOn(port, { publicUrl }),
    ...change,
  });
  await gateway.start(configWith());
  await eventually(() => gateway.entries().tools.length === 2);
  const reload = async (change: Partial<GatewayConfig>): Promise<void> => {
    const prepared = await gateway.prepare(configWith(change));
    prepared.commit();
    await prepared.retire();
  };
  const base = `http://127.0.0.1:${port}`;
  return { gateway, port, base, url: `${base}/mcp`, store, reload, tools };
}

export type Door = Awaited<ReturnType<typeof startDoor>>;

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** One request over a new connection; unlike `fetch`, with any Host. */
export function ask(port: number, path: string, { method = "GET", headers = {}, body }: Asked = {}) {
  interface Answer {
    readonly status: number;
    readonly headers: Readonly<Record<string, string | string[] | undefined>>;
    readonly text: string;
  }
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const sent = httpRequest({ port, host: "127.0.0.1", path, method, headers, agent: false }, (response) => {
    const chunks: Uint8Array[] = [];
    response.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    response.on("end", () =>
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        text: Buffer.concat(chunks).toString("utf8"),
      }),
    );
  });
  sent.on("error", reject);
  sent.end(body);
  return promise;
}

const FORM = { "content-type": "application/x-www-form-urlencoded" };

export const verifier = "v".repeat(43);
export const challenge = createHash("sha256").update(verifier).digest("base64url");

/** A client that knows OAuth, in plain requests. `host`: what it sends as Host. */
export function plainClient(
  { port }: Pick<Door, "port">,
  host = `127.0.0.1:${port}`,
  more: Readonly<Record<string, string>> = {},
) {
  const headers = { host, ...more };
  const posted = async (path: string, form: Readonly<Record<string, string>>) => {
    const body = new URLSearchParams(form).toString();
    const { status, text } = await ask(port, path, {
      method: "POST",
      headers: { ...headers, ...FORM },
      body,
    });
    return { status, body: JSON.parse(text) as Readonly<Record<string, string>> };
  };
  return {
    posted,
    get: (path: string, given: Readonly<Record<string, string>> = {}) =>
      ask(port, path, { headers: { ...headers, ...given } }),
    async register(body: object) {
      const type = { "content-type": "application/json" };
      const sent = { method: "POST", headers: { ...headers, ...type }, body: JSON.stringify(body) };
      const { status, text } = await ask(port, "/register", sent);
      return { status, body: JSON.parse(text) as Readonly<Record<string, string>> };
    },
    /** The page that a browser gets, with what it needs to answer. */
    async authorize(query: Readonly<Record<string, string>>) {
      const {
        status,
        headers: given,
        text,
      } = await ask(port, `/authorize?${new URLSearchParams(query)}`, { headers });
      const [cookie = ""] = [given["set-cookie"] ?? []].flat();
      const code = /clients approve ([A-Z0-9]{3}-[A-Z0-9]{3})/.exec(text)?.[1] ?? "";
      const path = /Path=([^;]+)/.exec(cookie)?.[1] ?? "";
      return { status, headers: given, text, code, path, cookie: cookie.split(";")[0] ?? "" };
    },
    /** One answer in the page. Resolves with what the browser shows or where it goes next. */
    async answer(
      page: { readonly path: string; readonly cookie: string },
      form: readonly (readonly [string, string])[] | null,
    ) {
      const given = { ...headers, cookie: page.cookie };
      const body =
        form === null
          ? undefined
          : new URLSearchParams(form.map(([name, value]) => [name, value])).toString();
      const sent =
        body === undefined ? { headers: given } : { method: "POST", headers: { ...given, ...FORM }, body };
      return ask(port, page.path, sent);
    },
    redeem: (form: Readonly<Record<string, string>>) =>
      posted("/token", { grant_type: "authorization_code", code_verifier: verifier, ...form }),
    refresh: (form: Readonly<Record<string, string>>) =>
      posted("/token", { grant_type: "refresh_token", ...form }),
  };
}

export const CALLBACK = "http://127.0.0.1:33418/callback";
export const METADATA = { client_name: "A Client", redirect_uris: [CALLBACK] };

/** What `ann` may do as the tests' policies have it; all of it unless `choice` says less. */
export type Choice = {
  readonly user: string;
  readonly backends: readonly string[] | null;
  readonly read_only: boolean;
};
export const AS_ANN: Choice = { user: "ann", backends: null, read_only: false };

/** Approves the page's request by its code, as the owner does in a terminal. */
export async function approve(gateway: Gateway, code: string, choice: Choice = AS_ANN): Promise<boolean> {
  const server = await gateway.clients.server();
  const waiting = server.requests.byTypedCode(code);
  return (
    waiting !== null &&
    (await server.decide(waiting, {
      ...choice,
      backends: choice.backends === null ? null : [...choice.backends],
    }))
  );
}

export function queryFor(clientId: string, more: Readonly<Record<string, string>> = {}) {
  const pkce = { code_challenge: challenge, code_challenge_method: "S256" };
  return { client_id: clientId, redirect_uri: CALLBACK, response_type: "code", state: "s", ...pkce, ...more };
}

/** From a registration to tokens. */
export const signedIn = (door: Door, choice: Choice = AS_ANN, more: Readonly<Record<string, string>> = {}) =>
  signIn(door, (code) => approve(door.gateway, code, choice), more);

/** The same at any gateway. `allow` approves the page's request by its code. */
export async function signIn(
  door: Pick<Door, "port">,
  allow: (code: string) => Promise<unknown>,
  more: Readonly<Record<string, string>> = {},
) {
  const client = plainClient(door);
  const id = (await client.register(METADATA)).body["client_id"] ?? "";
  const page = await client.authorize(queryFor(id, more));
  await allow(page.code);
  const { headers } = await client.answer(page, null);
  const back = new URL(String(headers["location"]));
  const code = back.searchParams.get("code") ?? "";
  const { body } = await client.redeem({ client_id: id, code, redirect_uri: CALLBACK });
  const { access_token: access = "", refresh_token: refresh = "" } = body;
  return { client, id, back, code, access, refresh, body };
}
