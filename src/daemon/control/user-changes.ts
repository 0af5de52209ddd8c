// Adds, renews and removes users, for commands and the page: their tokens and entries, and what they own at servers.
import { join } from "node:path";
import type { CallOperation } from "../../api/operations/operations.ts";
import type { ConfigEditWire } from "../../api/operations/requests.ts";
import type { BackendSignIn } from "../../api/setup/backend-sign-in.ts";
import { keepWhile } from "../../api/setup/home-secrets.ts";
import { newToken } from "../../config/edit/gateway-token.ts";
import { tomlKey, tomlValue } from "../../config/edit/toml-value.ts";
import { freeSecretName } from "../../config/secret-names.ts";
import type { MountaineerConfig } from "../../config/snapshot.ts";
import { errorText, MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { systemClock as clock, isoTime } from "../../runtime/time/clock.ts";
import { withLock } from "../../secrets/secret-store.ts";
import { knownUser, openHomeSecrets, openUserSecrets } from "../compose/home-secrets.ts";
import { usersOf } from "../compose/stored-secrets.ts";

/** How long a change waits for another one to end, ms. */
const TURN_WAIT_MS = 30_000;

type EditsFor = (config: MountaineerConfig) => readonly ConfigEditWire[] | Promise<readonly ConfigEditWire[]>;

interface UserChangeParts {
  readonly home: string;
  readonly configPath: string | null;
  /** Makes the edits for the file's configuration. Rejects with `usage` and `config_…`; nothing is written then. */
  readonly edit: (editsFor: EditsFor) => Promise<unknown>;
  readonly call: CallOperation<"people" | "changeGrants">;
  readonly signIn: Pick<BackendSignIn, "forgetUser">;
  /** Has a running daemon read the secrets of users again. */
  readonly applySecrets: () => Promise<unknown>;
  /** Reports what failed once the entry had changed. */
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
}

export interface NewToken {
  readonly user: string;
  /** The name under which the token is stored. */
  readonly secret: string;
  /** Shown once, and only to the owner. */
  readonly token: string;
}

/** The methods reject with `usage`, `config_…`, `secret_unavailable`, `lock_held` and the signal's reason. */
export function openUserChanges({ home, configPath, ...parts }: UserChangeParts) {
  const { edit, call, signIn, applySecrets, warn, signal } = parts;
  const store = openHomeSecrets({ home, configPath });

  /** Two changes at once would choose the same name for their tokens. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const busy = new MountaineerError("lock_held", "another command is changing the users", {
      retry: "later",
    });
    const path = join(home, "users.lock.db");
    return withLock(path, { clock, withinMs: TURN_WAIT_MS, signal, busy, work });
  };

  /** Stores a new token under a name that nothing refers to, and makes the edits; if these fail, the token is forgotten. */
  const withNewToken = async (
    user: string,
    editsFor: (config: MountaineerConfig, secret: string) => ReturnType<EditsFor>,
  ): Promise<NewToken> => {
    const taken = new Set((await store.list()).secrets.map(({ name }) => name));
    const secret = freeSecretName(`${user}-token`, (name) => taken.has(name));
    const token = newToken();
    await keepWhile(store, [[secret, token]], signal, () => edit((config) => editsFor(config, secret)));
    return { user, secret, token };
  };

  /** A secret that is gone already keeps no other one. */
  const forget = async (names: readonly string[]): Promise<void> => {
    for (const name of names) await store.remove(name, signal).catch(recoverFrom("secret_unknown", null));
  };

  const orWarn = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    await work().catch((error: unknown) => warn(`${what}: ${errorText(error)}`));
  };

  return {
    add: (name: string, roles: readonly string[]): Promise<NewToken> =>
      inTurn(() =>
        withNewToken(name, ({ incomingAuth }, secret) => {
          if (usersOf({ incomingAuth }).some((user) => user.name === name))
            throw new MountaineerError("usage", `there is a user ${name} already`, {
              hint: shellCommand`mountaineer users renew ${name}`,
            });
          const given = { key: `incoming_auth.users.${tomlKey(name)}.roles`, value: tomlValue([...roles]) };
          return [
            ...(incomingAuth.type === "anonymous" ? [{ key: "incoming_auth.type", value: "local" }] : []),
            { add: "users", entry: { name, token: `secret:${secret}` } } as const,
            ...(roles.length > 0 ? [given] : []),
          ];
        }),
      ),

    /**
     * Gives the user a new token. The old one is accepted for `overlapMs`, and so are programs that it let in, unless
     * `keepsGrants`: then they stay.
     */
    renew: (
      name: string,
      { overlapMs, keepsGrants }: { readonly overlapMs: number; readonly keepsGrants: boolean },
    ): Promise<NewToken> =>
      inTurn(async () => {
        const { people } = keepsGrants ? await call("people", { user: name }, signal) : { people: [] };
        const ids = people.flatMap(({ programs }) => programs.map(({ id }) => id));
        const own = await openUserSecrets({ home, configPath });
        // A user whose token is lost gets a new one; what belonged to the lost one cannot be found.
        const before = await own.ownerOf(name, signal).catch(recoverFrom("secret_unavailable", null));
        let unused: readonly string[] = [];
        const made = await withNewToken(name, async (config, secret) => {
          const { token, oldToken = null } = knownUser(config, name);
          if (token.kind !== "stored")
            throw new MountaineerError("usage", `the token of ${name} is the variable ${token.variable}`, {
              hint: "change the variable for the daemon, and start it again",
            });
          if (ids.length > 0) await call("changeGrants", { ids, to: "keep" }, signal);
          const earlier = oldToken?.kind === "stored" ? [oldToken.name] : [];
          unused = overlapMs === 0 ? [token.name, ...earlier] : earlier;
          const until = isoTime(clock.wallMs() + overlapMs);
          const old = overlapMs === 0 ? [null, null] : [`secret:${token.name}`, until];
          return [`secret:${secret}`, ...old].map((value, at) => ({
            key: `incoming_auth.users.${tomlKey(name)}.${["token", "old_token", "old_until"][at]}`,
            value,
          }));
        });
        // The new token counts already, and only the result shows it, so failures are only noted.
        const lost = "the user's own secrets and sign-ins must be stored again";
        let hasOwn = false;
        if (before === null) warn(`${lost}: the token before is not known`);
        else
          await orWarn(lost, async () => {
            hasOwn = await own.renew(before, signal);
          });
        // The daemon reads the user's own secrets by the new token.
        if (overlapMs === 0 && hasOwn)
          await orWarn("the user's own secrets are not in use yet", applySecrets);
        await orWarn(`an earlier token of ${name} stays stored`, () => forget(unused));
        return made;
      }),

    /** Ends the user's entry, sign-ins at servers, own secrets and token. */
    remove: (name: string): Promise<void> =>
      inTurn(async () => {
        let unused: readonly string[] = [];
        await edit((config) => {
          const { token, oldToken = null } = knownUser(config, name);
          if (config.incomingAuth.type === "local" && usersOf(config).length === 1)
            throw new MountaineerError("usage", `${name} is the only user`, {
              hint: "add another first; a file without [incoming_auth] lets everyone on this machine in",
            });
          unused = [token, oldToken].flatMap((one) => (one?.kind === "stored" ? [one.name] : []));
          return [{ remove: "users", name }];
        });
        // The entry is gone by now, so failures are only noted.
        for (const ending of [
          () => signIn.forgetUser(name, signal),
          async () => (await openUserSecrets({ home, configPath })).forget(name),
          () => forget(unused),
        ])
          await orWarn(`something of ${name} stays stored`, ending);
      }),
  };
}
