// Leaves a fleet, or removes another machine from it.

import type { HomeOptions } from "../../api/client/start-daemon.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { changeFleet, type FleetContext, readFleet, requireFleet } from "./fleet-folder.ts";
import { memberOf } from "./fleet-record.ts";
import { forgetMembership, readMembership } from "./membership.ts";
import { reloadServer, removeServer } from "./server-process.ts";

export interface LeaveOptions extends HomeOptions {
  /** True: the server's machine leaves even while the fleet has other members, which then lose the server. */
  readonly dissolves: boolean;
  /** Removes the `[fleet]` section. Resolves with whether there was one. */
  readonly removeSection: () => Promise<boolean>;
}

/**
 * Leaves the fleet; on the server's machine, ends it. `name` in the result is null where this machine was in
 * no fleet. Removes the section first, so that nothing uses the server and the keys when they are removed;
 * after an interruption, a second call continues. Rejects with `usage` on the server's machine while there
 * are other members, unless `dissolves`.
 */
export async function leaveFleet(options: LeaveOptions) {
  const { home, signal, dissolves, removeSection } = options;
  // A damaged record must not prevent the fleet from being dissolved.
  const record = await readFleet(home).catch((error: unknown) => {
    if (dissolves) return null;
    throw error;
  });
  const others = (record?.members ?? []).filter(({ name }) => name !== record?.home);
  if (others.length > 0 && !dissolves) {
    const names = others.map(({ name }) => name).join(", ");
    throw new MountaineerError("usage", `the fleet's server is here, and ${names} would lose it`, {
      hint: "--dissolve ends the fleet for all of them",
    });
  }
  const membership = await readMembership(home);
  const hadSection = await removeSection();
  const dissolved = await removeServer(options, signal);
  await forgetMembership(options);
  const name = membership?.name ?? record?.home ?? null;
  return { name: name ?? (hadSection || dissolved ? "this machine" : null), dissolved };
}

/**
 * Removes another machine from the fleet, and ends its connection before this resolves. Rejects with `usage`.
 */
export async function removeMember(
  context: FleetContext,
  name: string,
  signal: AbortSignal,
): Promise<string> {
  const record = await requireFleet(context.home);
  const member = memberOf(record, name);
  if (member === undefined) {
    throw new MountaineerError("usage", `the fleet has no machine called ${name}`, {
      hint: `there are: ${record.members.map((one) => one.name).join(", ")}`,
    });
  }
  await changeFleet(context, signal, (now) => {
    if (member.name === now.home) {
      throw new MountaineerError("usage", `${name} is this machine, which has the fleet's server`, {
        hint: "mountaineer fleet leave --dissolve ends the fleet",
      });
    }
    return { ...now, members: now.members.filter((one) => one.name !== member.name) };
  });
  await reloadServer(context, signal);
  return member.name;
}
