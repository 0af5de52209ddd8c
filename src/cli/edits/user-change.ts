// Adds, renews and removes users of the gateway: their tokens, and their entries in the configuration.
import { keepWhile, storedNames } from "../../api/setup/home-secrets.ts";
import { newToken } from "../../config/edit/gateway-token.ts";
import { tomlKey, tomlValue } from "../../config/edit/toml-value.ts";
import { freeSecretName } from "../../config/secret-names.ts";
import type { AuthUser, MountaineerConfig } from "../../config/snapshot.ts";
import { namesHint } from "../../config/values/mistakes.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { pluralize, printable, shellCommand } from "../../runtime/text/plain-text.ts";
import { isoTime } from "../../runtime/time/clock.ts";
import { openSecrets, openSignIn, openUserSecrets } from "../in-process/open.ts";
import { clientUrl, unservedBecause } from "../init/gateway-token.ts";
import type { CommandContext } from "../input/command.ts";
import { confirms } from "../input/confirm.ts";
import { applySecret } from "../sessions/apply-secret.ts";
import { editMembers } from "../sessions/config-members.ts";
import { callDaemon, findDaemon, show } from "../sessions/control-session.ts";
import { RUNNING_BACKENDS } from "../sessions/gateway-session.ts";

/** The token is shown at a terminal only, and only once. */
export interface UserChange {
  readonly user: string;
  /** Where the token is stored; null: there is none any longer. */
  readonly secret: string | null;
  readonly lines: readonly string[];
}

/** Resolves with null if a person said no. Rejects with `usage` and `config_…`; nothing is written then. */
export async function addUser(
  context: CommandContext,
  name: string,
  roles: readonly string[],
  yes: boolean,
): Promise<UserChange | null> {
  if (!yes && !(await mayRequireTokens(context))) return null;
  return withNewToken(context, name, ({ incomingAuth }, secret) => {
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
  });
}

/**
 * Gives the user a new token. The old one is accepted for `overlapMs`, and so are programs that it let in, unless `keepsGrants`: then
 * they stay.
 */
export async function renewUser(
  context: CommandContext,
  name: string,
  { overlapMs, keepsGrants }: { readonly overlapMs: number; readonly keepsGrants: boolean },
): Promise<UserChange> {
  const ids = keepsGrants ? await programsOf(context, name) : [];
  const own = await openUserSecrets(context);
  const before = await own.ownerOf(name, context.signal);
  let unused: readonly string[] = [];
  const change = await withNewToken(context, name, async (config, secret) => {
    const { token, oldToken = null } = knownUser(config, name);
    if (token.kind !== "stored")
      throw new MountaineerError("usage", `the token of ${name} is the variable ${token.variable}`, {
        hint: "change the variable for the daemon, and start it again",
      });
    if (ids.length > 0) await callDaemon(context, RUNNING_BACKENDS, "changeGrants", { ids, to: "keep" });
    const earlier = oldToken?.kind === "stored" ? [oldToken.name] : [];
    unused = overlapMs === 0 ? [token.name, ...earlier] : earlier;
    const until = isoTime(Date.now() + overlapMs);
    const old = overlapMs === 0 ? [null, null] : [`secret:${token.name}`, until];
    return [`secret:${secret}`, ...old].map((value, at) => ({
      key: `incoming_auth.users.${tomlKey(name)}.${["token", "old_token", "old_until"][at]}`,
      value,
    }));
  });
  // The new token counts already, and only the result shows it.
  const hasOwn = await own.renew(before, context.signal).catch((error: unknown) => {
    context.notify(`the user's own secrets and sign-ins must be stored again: ${errorText(error)}`);
    return false;
  });
  // It reads the user's own secrets by the new token.
  if (overlapMs === 0 && hasOwn) await applySecret(context, "the user's own secrets and sign-ins stay");
  await forget(context, unused);
  return change;
}

export async function removeUser(context: CommandContext, name: string): Promise<UserChange> {
  let unused: readonly string[] = [];
  await editMembers(context, (config) => {
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
    async () => (await openSignIn(context)).forgetUser(name, context.signal),
    async () => void (await (await openUserSecrets(context)).forget(name)),
    () => forget(context, unused),
  ])
    await ending().catch((error: unknown) =>
      context.notify(`something of ${name} stays stored: ${errorText(error)}`),
    );
  return { user: name, secret: null, lines: [] };
}

function usersOf({ incomingAuth }: Pick<MountaineerConfig, "incomingAuth">): readonly AuthUser[] {
  return incomingAuth.type === "anonymous" ? [] : incomingAuth.users;
}

function knownUser(config: MountaineerConfig, name: string): AuthUser {
  const users = usersOf(config);
  const found = users.find((user) => user.name === name);
  if (found !== undefined) return found;
  const hint = namesHint(
    name,
    users.map((user) => user.name),
    shellCommand`mountaineer users add ${name}`,
  );
  throw new MountaineerError("usage", `there is no user ${name}`, { hint });
}

/** Stores a new token, and makes the edits; if these fail, the token is forgotten. */
async function withNewToken(
  context: CommandContext,
  user: string,
  editsFor: (config: MountaineerConfig, secret: string) => ReturnType<Parameters<typeof editMembers>[1]>,
): Promise<UserChange> {
  const store = await openSecrets(context);
  const taken = storedNames(await store.list());
  const secret = freeSecretName(`${user}-token`, (name) => taken.has(name));
  const token = newToken();
  let served: Pick<MountaineerConfig, "server"> = { server: null };
  await keepWhile(store, [[secret, token]], context.signal, () =>
    editMembers(context, (config) => {
      served = config;
      return editsFor(config, secret);
    }),
  );
  const url = served.server?.publicUrl ?? clientUrl(served);
  const unserved = await unservedBecause(context, served);
  const shown = context.prompt === null ? "TOKEN" : token;
  const header = `Authorization: Bearer ${shown}`;
  return {
    user,
    secret,
    lines: [
      unserved === null ? `address  ${url}` : `address  none now: ${printable(unserved)}`,
      `header   ${header}`,
      context.prompt === null
        ? `token    stored as ${secret}; a terminal shows it once: ${shellCommand`mountaineer users renew ${user}`}`
        : "token    shown only now",
      ...(unserved === null
        ? [shellCommand`claude mcp add --transport http mountaineer ${url} --header ${header}`]
        : []),
    ],
  };
}

async function forget(context: CommandContext, names: readonly string[]): Promise<void> {
  const store = await openSecrets(context);
  for (const name of names) await store.remove(name, context.signal);
}

async function programsOf(context: CommandContext, user: string): Promise<string[]> {
  const { people } = await callDaemon(context, RUNNING_BACKENDS, "people", { user });
  return people.flatMap(({ programs }) => programs.map(({ id }) => id));
}

/** Asks if clients are connected that have no token, and would be refused from now on. */
async function mayRequireTokens(context: CommandContext): Promise<boolean> {
  const daemon = await findDaemon(context);
  if (daemon === null) return true;
  const { clients } = await daemon.call("clients", null, context.signal).catch(() => ({ clients: [] }));
  const without = clients.filter(({ user }) => user === "anonymous").length;
  if (without === 0) return true;
  const are = `${pluralize(without, "client")} connected without a token`;
  return confirms(context, `From now on every client needs a token; ${are} will be refused. Go ahead?`, "no");
}

/** The user's rights, for who hands over a token. */
export async function accessOf(context: CommandContext, user: string) {
  const { people } = await show(context, "people", { user });
  return people;
}
