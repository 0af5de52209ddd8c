// The options of the fleet's own code, from the home and the command that it works for.
import { MountaineerError } from "../../runtime/errors.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";

export function homeOptions({ home, signal }: Pick<CommandContext, "home" | "signal">) {
  return { home, signal, clock: systemClock, environment: process.env };
}

export function notInFleet(): MountaineerError {
  return new MountaineerError("fleet_off", "this machine is in no fleet: [fleet] is not configured", {
    hint: "mountaineer fleet init begins one, mountaineer fleet join joins one: see docs/fleet.md",
  });
}
