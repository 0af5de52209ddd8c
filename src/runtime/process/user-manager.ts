// systemd's manager of the user: it starts services, and knows the variables of the user's session.
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { type CommandOptions, type CommandResult, runCommand } from "./child-process.ts";

const BUS = "DBUS_SESSION_BUS_ADDRESS";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Runs `systemctl --user`. Where a login by `su`, `sudo`, cron or ansible does not say where the manager is, it is at
 * its usual place, if the socket there is the user's own.
 */
export async function callUserManager(
  args: readonly string[],
  { [BUS]: bus, XDG_RUNTIME_DIR: named }: Environment,
  options: Pick<CommandOptions, "clock" | "deadlineMs" | "signal">,
): Promise<CommandResult> {
  const userId = process.getuid?.() ?? -1;
  const usual = `/run/user/${userId}`;
  const sockets = named ? [] : ["bus", "systemd/private"].map((name) => lstat(join(usual, name)));
  const isOwn = (await Promise.allSettled(sockets)).some(
    (one) => one.status === "fulfilled" && one.value.isSocket() && one.value.uid === userId,
  );
  const env = {
    ...(bus === undefined ? {} : { [BUS]: bus }),
    ...(isOwn ? { XDG_RUNTIME_DIR: usual } : {}),
  };
  return runCommand("systemctl", ["--user", ...args], { ...options, env });
}

/** The variables that the manager gives to services; none without a manager. */
export async function userManagerVariables(
  environment: Environment,
  options: Pick<CommandOptions, "clock" | "deadlineMs" | "signal">,
): Promise<Environment> {
  const shown = await callUserManager(["show-environment"], environment, options).catch(() => null);
  const lines = (shown?.stdout ?? "").matchAll(/^(\w+)=(?:\$'(.*)'|(.*))$/gm);
  return Object.fromEntries(
    [...lines].map(([, name = "", quoted, plain = ""]) => [name, quoted ?? plain] as const),
  );
}
