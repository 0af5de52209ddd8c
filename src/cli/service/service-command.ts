// `install` and `uninstall`: write and remove the service's file, call its manager, and print the result.
import { join } from "node:path";
import { entryExists } from "../../runtime/files/durable-file.ts";
import { readLockHolder } from "../../runtime/process/home-lock.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { paintFor } from "../views/terminal-style.ts";
import { serviceDefinition } from "./service-definition.ts";
import { createServiceManager } from "./service-manager.ts";
import type { ServiceManager, ServiceOutcome } from "./service-outcome.ts";

const FLEET_SERVER_STAYS =
  "the fleet's server goes on running, and nothing starts it again when it ends: mountaineer fleet leave ends it";

function managerOf(context: CommandContext): ServiceManager {
  const environment = process.env;
  const definition = serviceDefinition(context, environment);
  return createServiceManager({ definition, clock: systemClock, environment });
}

export function printService(context: CommandContext): number {
  context.print(managerOf(context).text);
  return 0;
}

/** Resolves with the exit code. */
export async function installService(context: CommandContext, json: boolean): Promise<number> {
  const manager = managerOf(context);
  // A monitor of the foreground holds the home; the service goes on trying until that has ended.
  const holder = await readLockHolder(context.home).catch(() => null);
  const outcome = await manager.install(context.signal);
  const notes = [...outcome.notes];
  if (holder?.command === "monitor" && outcome.changed && outcome.failure === null) {
    notes.unshift(
      `a monitor runs for this home already (pid ${holder.pid}): the service takes over when it ends`,
    );
  }
  return tell(context, manager, { ...outcome, notes }, json, {
    done: outcome.changed ? "is written" : "was there already",
    running: outcome.running ? "the service runs" : null,
  });
}

/** Resolves with the exit code. */
export async function uninstallService(context: CommandContext, json: boolean): Promise<number> {
  const manager = managerOf(context);
  const outcome = await manager.uninstall(context.signal);
  const hasServer = await entryExists(join(context.home, "fleet-server"));
  const notes = hasServer ? [...outcome.notes, FLEET_SERVER_STAYS] : outcome.notes;
  return tell(context, manager, { ...outcome, notes }, json, {
    done: outcome.changed ? "is removed" : "was not there",
    running: outcome.changed && outcome.failure === null ? "what is mounted stays mounted" : null,
  });
}

interface Words {
  readonly done: string;
  readonly running: string | null;
}

function tell(
  context: CommandContext,
  { kind, filePath }: ServiceManager,
  { changed, running, notes, failure }: ServiceOutcome,
  json: boolean,
  words: Words,
): number {
  if (json) {
    const report = { manager: kind, path: filePath, changed, running, notes, failure };
    context.print(`${JSON.stringify(report, null, 2)}\n`);
    return failure === null ? 0 : FAILED_EXIT;
  }
  const { symbols, green, red } = paintFor(context.stdoutStyle);
  if (failure === null) {
    context.print(`${green(symbols.good)} ${harmless(filePath)} ${words.done}\n`);
    if (words.running !== null) context.print(`${green(symbols.good)} ${words.running}\n`);
  } else context.print(`${red(symbols.bad)} ${harmless(failure)}\n`);
  for (const note of notes) context.note(harmless(note));
  return failure === null ? 0 : FAILED_EXIT;
}
