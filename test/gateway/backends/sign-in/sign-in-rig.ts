// What tests of signing in have in common: a home with its grants, the two servers, and a person who agrees.
import type { TestContext } from "node:test";
import type { ResolvedAuth } from "../../../../src/gateway/backends/links/link-authorization.ts";
import {
  type Grant,
  type GrantStore,
  openGrantStore,
} from "../../../../src/gateway/backends/sign-in/grant-store.ts";
import {
  type LoginRequest,
  type SignInPerson,
  signIn,
} from "../../../../src/gateway/backends/sign-in/login.ts";
import { type Clock, systemClock } from "../../../../src/runtime/time/clock.ts";
import { openSecretStore, type SecretStore } from "../../../../src/secrets/secret-store.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  agree,
  startAuthorizationServer,
} from "./authorization-server.ts";
import { type ProtectedServer, startProtectedServer } from "./protected-server.ts";

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
    ...given,
  };
}

export interface SignInRig {
  readonly home: string;
  readonly authorization: AuthorizationServer;
  readonly server: ProtectedServer;
  readonly grants: GrantStore;
  request(more?: Partial<LoginRequest>): LoginRequest;
  /** Signs in as a person would, and waits until the browser is done. */
  signIn(more?: Partial<LoginRequest>): Promise<Grant>;
}

export function openTestStore(home: string, clock: Clock = systemClock): () => Promise<SecretStore> {
  return async () => openSecretStore({ home, clock, environment: {}, keyring: null });
}

/** `clock`: of the sign-in; the servers keep the machine's. */
export async function startSignInRig(
  t: TestContext,
  options: AuthorizationServerOptions = {},
  clock: Clock = systemClock,
): Promise<SignInRig> {
  const home = await temporaryFolder(t);
  const authorization = await startAuthorizationServer(t, options);
  const server = await startProtectedServer(t, authorization);
  const grants = openGrantStore({ home, clock, openStore: openTestStore(home) });
  const rig: SignInRig = {
    home,
    authorization,
    server,
    grants,
    request: (more = {}) => ({
      backend: BACKEND,
      url: new URL(server.url),
      headers: {},
      auth: null,
      way: "browser",
      moreScopes: [],
      ...more,
    }),
    async signIn(more) {
      const person = personAt(authorization);
      const { signal } = new AbortController();
      const grant = await signIn(rig.request(more), person, { grants, clock, signal });
      await Promise.all(person.ended);
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
    showCode: (_code, address, complete) => void ended.push(agree(complete ?? address, issuer)),
    paste: async () => (await ended[0]) ?? "",
  };
}
