// Begins a user's sign-in to the own account at a server, whose answer comes to the gateway's address.
import type { Clock } from "../../runtime/time/clock.ts";
import type { BeginSignIn } from "../authorization-server/account-sign-ins.ts";
import type { BackendPool } from "../backends/pool/backend-pool.ts";
import { failed } from "../backends/server-sign-in/bounded-fetch.ts";
import { openGrantStore } from "../backends/server-sign-in/grant-store.ts";
import type { SignInHome } from "../backends/server-sign-in/sign-ins.ts";

export function accountSignIn(
  home: SignInHome | undefined,
  clock: Clock,
  pool: () => Pick<BackendPool, "connectionOf">,
): BeginSignIn {
  return async ({ backend, user, entry }, redirectUri, person, signal) => {
    const outcome = pool().connectionOf(backend, entry);
    const connection = outcome?.ok === true ? outcome.connection : null;
    if (home === undefined || connection?.type !== "streamable-http")
      throw failed("never", `no one can sign in to server ${backend} now`);
    const { signIn } = await import("../backends/server-sign-in/login.ts");
    const { url, headers, auth = null } = connection;
    const grants = openGrantStore({ ...home, clock, account: { user, accounts: () => [entry] } });
    const order = { backend, url: new URL(url), headers, auth, moreScopes: [], redirectUri } as const;
    const grant = await signIn({ ...order, method: "paste" }, person, { grants, clock, signal });
    return { accountName: grant.accountName ?? null };
  };
}
