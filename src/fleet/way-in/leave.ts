// Ways out of a fleet: of this machine, and of another one.

import type { HomeOptions } from "../../api/client/start-daemon.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { changeFleet, type FleetPlace, readFleet, requireFleet } from "./fleet-folder.ts";
import { memberOf } from "./fleet-record.ts";
import { forgetMembership, readMembership } from "./membership.ts";
import { reloadServer, removeServer } from "./server-process.ts";

export interface LeaveOptions extends HomeOptions {
  /** On the machine with the server: also while others are members, who are cut off. */
  readonly dissolves: boolean;
  /** Resolves with whether there was a section. */
  readonly removeSection: () => Promise<boolean>;
}

export type Left = Awaited<ReturnType<typeof leaveFleet>>;

/**
 * `name` null: this machine was in none. The section first, so that nothing uses what goes after it: cut off in between, the same again goes on. Rejects with
 * `usage` on the machine with the server while others are members.
 */
export async function leaveFleet(options: LeaveOptions) {
  const { home, signal, dissolves, removeSection } = options;
  // One that cannot be read holds nobody: it can be given up.
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

/** Takes another machine out; its connection has ended when this resolves. Rejects with `usage`. */
export async function removeMember(place: FleetPlace, name: string, signal: AbortSignal): Promise<string> {
  const record = await requireFleet(place.home);
  const member = memberOf(record, name);
  if (member === undefined) {
    throw new MountaineerError("usage", `the fleet has no machine called ${name}`, {
      hint: `there are: ${record.members.map((one) => one.name).join(", ")}`,
    });
  }
  await changeFleet(place, signal, (now) => {
    if (member.name === now.home) {
      throw new MountaineerError("usage", `${name} is this machine, which has the fleet's server`, {
        hint: "mountaineer fleet leave --dissolve ends the fleet",
      });
    }
    return { ...now, members: now.members.filter((one) => one.name !== member.name) };
  });
  await reloadServer(place, signal);
  return member.name;
}
