// Lists, stores and removes a home's secrets, without a daemon.
import type { HomeSecrets, SecretListReport } from "../../api/setup/home-secrets.ts";
import { secretUses } from "../../config/read/secret-uses.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { noopLogger } from "../../runtime/log/log.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { ENCRYPTION_KEY } from "../../secrets/encrypted-files.ts";
import { isFileName, isUserName } from "../../secrets/reference.ts";
import { openSecretStore } from "../../secrets/secret-store.ts";
import type { SecretOwner } from "../../secrets/user-secrets.ts";
import { openHome } from "./home.ts";
import { homeSecrets, openUsers, tokensOf } from "./stored-secrets.ts";

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

/** Stores the own secrets of users, without a daemon. `user` null: the owner's. */
export async function openUserSecrets({
  home,
  configPath,
}: Pick<Parameters<typeof openHome>[0], "home" | "configPath">) {
  const options = { home, clock: systemClock, environment: process.env };
  const users = await openUsers(options);
  /** The user's entry as it is in the file now. */
  const ownerOf = async (user: string, signal: AbortSignal): Promise<NonNullable<SecretOwner>> => {
    const { snapshot } = await openHome({ home, configPath });
    const secrets = homeSecrets({ ...options, logger: noopLogger });
    const { config } = await secrets.bind(snapshot, signal);
    const known = config.incomingAuth.type === "anonymous" ? [] : config.incomingAuth.users;
    const found = known.find(({ name }) => name === user);
    if (found === undefined)
      throw new MountaineerError("usage", `there is no user ${user}`, {
        hint: "mountaineer users list shows them",
      });
    return { name: user, tokens: tokensOf(found, secrets.values, systemClock.wallMs()) };
  };
  return {
    async set(user: string | null, name: string, value: string, signal: AbortSignal): Promise<void> {
      const owner = user === null ? null : await ownerOf(user, signal);
      if (owner?.tokens.length === 0)
        throw new MountaineerError("secret_unavailable", `the token of ${user} cannot be read here`, {
          hint: "its secrets belong to it: run the command where its variable is set",
        });
      await users.set(owner, name, value, signal);
    },
    ownerOf,
    /** The user's entry was `before`, and has another token since. */
    async renew(before: NonNullable<SecretOwner>, signal: AbortSignal): Promise<void> {
      const { name, tokens } = await ownerOf(before.name, signal);
      await users.renew({ name, tokens: [...tokens, ...before.tokens] }, signal);
    },
    forget: users.forget,
  };
}
