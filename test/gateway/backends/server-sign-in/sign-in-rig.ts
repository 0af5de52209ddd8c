// What tests of signing in have in common: a home with its grants, the two servers, and a person who agrees.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { type Grant, openGrantStore } from "../../../../src/gateway/backends/server-sign-in/grant-store.ts";
import {
  type LoginRequest,
  type SignInPerson,
  signIn,
} from "../../../../src/gateway/backends/server-sign-in/login.ts";
import { SignIns } from "../../../../src/gateway/backends/server-sign-in/sign-ins.ts";
import type { TransportFailure } from "../../../../src/gateway/backends/transports/backend-transport.ts";
import {
  type Credential,
  isCredential,
  type ResolvedAuth,
} from "../../../../src/gateway/backends/transports/transport-authorization.ts";
import { type Clock, systemClock } from "../../../../src/runtime/time/clock.ts";
import { openSecretStore, type SecretStore } from "../../../../src/secrets/secret-store.ts";
import { createRecordingLogger } from "../../../support/recording-logger.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  agree,
  startAuthorizationServer,
} from "./authorization-server.ts";
import { type ProtectedServerOptions, startProtectedServer } from "./protected-server.ts";

export const BACKEND = "tickets";

/** `[backends.NAME.auth]` as it is where nothing is said. */
export function resolvedAuth(given: Partial<ResolvedAuth>): ResolvedAuth {
  return {
    type: "oauth",
    clientId: null,
    clientSecret: null,
    privateKey: null,
    clientMetadataUrl: null,
    clientName: "Mountaineer",
    scopes: null,
    issuer: null,
    redirectPort: null,
    redirectHost: "127.0.0.1",
    resource: null,
    ...given,
  };
}

export type SignInRig = Awaited<ReturnType<typeof startSignInRig>>;

export function openTestStore(home: string, clock: Clock = systemClock): () => Promise<SecretStore> {
  return async () => openSecretStore({ home, clock, environment: {}, keyring: null });
}

/** `clock`: of the sign-in; the servers keep the machine's. */
export async function startSignInRig(
  t: TestContext,
  options: AuthorizationServerOptions & { readonly server?: ProtectedServerOptions } = {},
  clock: Clock = systemClock,
) {
  const home = await temporaryFolder(t);
  const authorization = await startAuthorizationServer(t, options);
  const server = await startProtectedServer(t, authorization, options.server);
  const grants = openGrantStore({ home, clock, openStore: openTestStore(home) });
  const rig = {
    home,
    authorization,
    server,
    grants,
    request: (more: Partial<LoginRequest> = {}): LoginRequest => ({
      backend: BACKEND,
      url: new URL(server.url),
      headers: {},
      auth: null,
      method: "browser",
      moreScopes: [],
      ...more,
    }),
    /** Signs in as a person would, who agrees to all, or as this one; waits until the browser is done. */
    async signIn(more?: Partial<LoginRequest>, person?: SignInPerson): Promise<Grant> {
      const agreeing = personAt(authorization);
      const { signal } = new AbortController();
      const grant = await signIn(rig.request(more), person ?? agreeing, { grants, clock, signal });
      await Promise.all(agreeing.ended);
      return grant;
    },
  };
  return rig;
}

/** Agrees to whatever is asked. */
export function personAt({ issuer }: AuthorizationServer): SignInPerson & {
  readonly ended: Promise<string>[];
} {
  const ended: Promise<string>[] = [];
  return {
    ended,
    visit: (address) => void ended.push(agree(address, issuer)),
    paste: async () => (await ended[0]) ?? "",
  };
}

/** The sign-ins of a home, until the test ends. */
export function openSignIns(
  t: TestContext,
  { home, server }: SignInRig,
  { clock = systemClock, auth }: { readonly clock?: Clock; readonly auth?: ResolvedAuth } = {},
) {
  const log = createRecordingLogger();
  const openStore = openTestStore(home);
  const notices: unknown[] = [];
  const onNotice = (): void => void notices.push(signIns.notice(BACKEND)?.code ?? null);
  const options = { home, openStore, clock, logger: log, random: () => 0.5, onNotice };
  const signIns = new SignIns(options);
  t.after(() => signIns[Symbol.asyncDispose]());
  const authorization = signIns.authorize(BACKEND, { url: server.url, headers: {}, ...(auth && { auth }) });
  assert.ok(authorization !== null);
  return {
    ...{ signIns, authorization, log, notices },
    notice: () => signIns.notice(BACKEND),
    /** What goes with requests now. */
    async carried(): Promise<Credential> {
      const outcome = await authorization.obtain();
      assert.ok(isCredential(outcome), JSON.stringify(outcome));
      return outcome;
    },
    /** Of a server that refused that. */
    async refused(credential: Credential, challenge: string | null = null, status: 401 | 403 = 401) {
      const outcome = await authorization.refused({ status, challenge, credential });
      assert.ok(outcome !== null, "another reason is not ours to judge");
      return outcome;
    },
  };
}

/** A token as a header carries it. */
export function headerOf(outcome: Credential | TransportFailure): string {
  assert.ok(isCredential(outcome), JSON.stringify(outcome));
  assert.ok(outcome.header !== null);
  return outcome.header;
}

export function failureOf(outcome: Credential | TransportFailure): TransportFailure {
  assert.ok(!isCredential(outcome));
  return outcome;
}

export async function isGood({ authorization, server }: SignInRig, header: string): Promise<boolean> {
  return (await authorization.scopesOf(header.replace("Bearer ", ""), server.url)) !== null;
}
