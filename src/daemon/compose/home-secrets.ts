// Lists, stores and removes a home's secrets, without a daemon.
import type { HomeSecrets, SecretListReport } from "../../api/setup/home-secrets.ts";
import { secretUses } from "../../config/read/secret-uses.ts";
import type { AuthUser, MountaineerConfig } from "../../config/snapshot.ts";
import { namesHint } from "../../config/values/mistakes.ts";
import { openGrantStore, storedAccounts } from "../../gateway/backends/server-sign-in/grant-store.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { noopLogger } from "../../runtime/log/log.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { ENCRYPTION_KEY } from "../../secrets/encrypted-files.ts";
import { isFileName, isUserName, type SecretValues } from "../../secrets/reference.ts";
import { openSecretStore } from "../../secrets/secret-store.ts";
import { accountsOf, type SecretOwner } from "../../secrets/user-secrets.ts";
import { openHome } from "./home.ts";
import { homeSecrets, openUsers, signInHome, tokensOf, usersOf } from "./stored-secrets.ts";

export function openHomeSecrets({
  home,
  configPath,
}: Pick<Parameters<typeof openHome>[0], "home" | "configPath">): HomeSecrets {
  const store = openSecretStore({ home, clock: systemClock, environment: process.env });

  /** The keys that refer to each secret. */
  const uses = async (): Promise<Map<string, string[]>> => {
    const { snapshot } = await openHome({ home, configPath });
    const byName = new Map<string, string[]>();
    for (const { reference, usedBy } of secretUses(snapshot.config)) {
      if (reference.kind === "stored" && !isFileName(reference.name) && !isUserName(reference.name))
        byName.set(reference.name, [...(byName.get(reference.name) ?? []), usedBy]);
    }
    return byName;
  };

  return {
    async list(): Promise<SecretListReport> {
      const storages = new Map((await store.list()).map((one) => [one.name, one.kept]));
      let used = new Map<string, string[]>();
      let configError: string | null = null;
      try {
        used = await uses();
      } catch (error) {
        if (!(error instanceof MountaineerError)) throw error;
        configError = errorText(error);
      }
      // The key protects the logins to backends, so removing it loses them.
      if (storages.has(ENCRYPTION_KEY)) used.set(ENCRYPTION_KEY, ["logins to servers"]);
      const names = [...new Set([...storages.keys(), ...used.keys()])].sort();
      const entryOf = (name: string) => ({
        name,
        kept: storages.get(name) ?? null,
        used_by: used.get(name) ?? [],
      });
      return { secrets: names.map(entryOf), config_error: configError };
    },
    set: (...secret) => store.set(...secret),
    async remove(name, signal) {
      const removed = await store.remove(name, signal);
      if (removed !== null) return removed;
      throw new MountaineerError("secret_unknown", `no secret ${name} is stored`, {
        hint: "mountaineer secret list shows those that are",
      });
    },
  };
}

type UserEntry = NonNullable<SecretOwner>;

/** The user's entry in the file. Throws `usage`, and `secret_unavailable` if its token cannot be read. */
export function userEntry(config: MountaineerConfig, values: SecretValues, user: string): UserEntry {
  const tokens = tokensOf(knownUser(config, user), values, systemClock.wallMs());
  if (tokens.length > 0) return { name: user, tokens };
  throw new MountaineerError("secret_unavailable", `the token of ${user} cannot be read here`, {
    hint: "the account belongs to it: run the command where its variable is set",
  });
}

/** The user's entry. Throws `usage`. */
export function knownUser(config: MountaineerConfig, user: string): AuthUser {
  const users = usersOf(config);
  const found = users.find(({ name }) => name === user);
  if (found !== undefined) return found;
  const names = users.map(({ name }) => name);
  const hint = namesHint(user, names, shellCommand`mountaineer users add ${user}`);
  throw new MountaineerError("usage", `there is no user ${user}`, { hint });
}

/** Stores the own secrets of users, without a daemon. `user` null: the owner's. */
export async function openUserSecrets({
  home,
  configPath,
}: Pick<Parameters<typeof openHome>[0], "home" | "configPath">) {
  const options = { home, clock: systemClock, environment: process.env };
  const users = await openUsers(options);
  /** The user's entry as it is in the file now. Rejects as `userEntry` throws. */
  const ownerOf = async (user: string, signal: AbortSignal): Promise<UserEntry> => {
    const { snapshot } = await openHome({ home, configPath });
    knownUser(snapshot.config, user);
    const secrets = homeSecrets({ ...options, logger: noopLogger });
    const { config } = await secrets.bind(snapshot, signal);
    return userEntry(config, secrets.values, user);
  };
  return {
    async set(user: string | null, name: string, value: string, signal: AbortSignal): Promise<void> {
      await users.set(user === null ? null : await ownerOf(user, signal), name, value, signal);
    },
    ownerOf,
    /** The user's entry was `before`, and has another token since. Resolves with true if it has secrets or sign-ins. */
    async renew(before: UserEntry, signal: AbortSignal): Promise<boolean> {
      const { name, tokens } = await ownerOf(before.name, signal);
      const entry = { name, tokens: [...tokens, ...before.tokens] };
      let hasOwn = await users.renew(entry, signal);
      const account = { user: name, accounts: () => accountsOf(entry) };
      const grants = openGrantStore({ ...signInHome(options), clock: systemClock, account });
      for (const { backend } of await storedAccounts(home, name))
        await grants.exclusively(backend, signal, async () => {
          const grant = await grants.read(backend, signal);
          if (grant === null) return;
          await grants.write(backend, grant, signal);
          hasOwn = true;
        });
      return hasOwn;
    },
    forget: users.forget,
  };
}
