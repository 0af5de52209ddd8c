// The changes of users for commands: the question before the first one, and the lines that hand a token over.
import type { MountaineerConfig } from "../../config/snapshot.ts";
import { pluralize, printable, shellCommand } from "../../runtime/text/plain-text.ts";
import { openUserChanges } from "../in-process/open.ts";
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
  /** Where the token is stored. */
  readonly secret: string;
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
  return withToken(context, (changes) => changes.add(name, roles));
}

/** Gives the user a new token: see `openUserChanges`. */
export function renewUser(
  context: CommandContext,
  name: string,
  how: { readonly overlapMs: number; readonly keepsGrants: boolean },
): Promise<UserChange> {
  return withToken(context, (changes) => changes.renew(name, how));
}

export async function removeUser(context: CommandContext, name: string): Promise<void> {
  await (await changesOf(context)).remove(name);
}

type Changes = Awaited<ReturnType<typeof openUserChanges>>;

function changesOf(context: CommandContext, onConfig: (config: MountaineerConfig) => void = () => {}) {
  return openUserChanges({
    ...context,
    edit: (editsFor) =>
      editMembers(context, (config) => {
        onConfig(config);
        return editsFor(config);
      }),
    call: (name, input) => callDaemon(context, RUNNING_BACKENDS, name, input),
    applySecrets: () => applySecret(context, "the user's own secrets and sign-ins stay"),
    warn: context.notify,
  });
}

async function withToken(
  context: CommandContext,
  make: (changes: Changes) => ReturnType<Changes["add"]>,
): Promise<UserChange> {
  let served: Pick<MountaineerConfig, "server"> = { server: null };
  const changes = await changesOf(context, (config) => {
    served = config;
  });
  const { user, secret, token } = await make(changes);
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
