// `connect`: makes a client use Mountaineer, and undoes that. Shows what would change in its file, and asks.
import { servingNames } from "../../api/backend-phases.ts";
import { CLIENTS, type ClientName } from "../../clients/client.ts";
import { editedClientText } from "../../clients/client-edit.ts";
import { OWN_NAME, type OwnProgram, ownEntry, ownProgram } from "../../clients/client-entry.ts";
import {
  type ConnectionPlan,
  type ConnectionSurroundings,
  type KnownBackends,
  placeOf,
  planConnection,
  planDiff,
  planUndo,
  writePlan,
} from "../../clients/connection-plan.ts";
import { findPlace } from "../../config/locate.ts";
import { textValues } from "../../config/read/file-values.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { isSettled } from "../edits/backend-outcome.ts";
import { agrees } from "../input/agreement.ts";
import type { CommandContext } from "../input/command.ts";
import { launcherPath } from "../input/launcher-path.ts";
import { viewConfig } from "../sessions/config-session.ts";
import { decodedText } from "../sessions/config-text.ts";
import { withGateway } from "../sessions/gateway-session.ts";
import { renderDiff } from "../views/diff-view.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { paintFor } from "../views/terminal-style.ts";

/** npx may have a server to download first. */
const START_WAIT_MS = 30_000;
const BETWEEN_LOOKS_MS = 200;

interface ConnectManner {
  readonly client: ClientName;
  /** null: where the client keeps it. */
  readonly file: string | null;
  readonly yes: boolean;
  /** Servers that are reached through Mountaineer now stay in the client's file, too. */
  readonly keepOthers: boolean;
}

/** Prints what a person would write into the client's file themselves. */
export async function printEntry(context: CommandContext, manner: ConnectManner): Promise<number> {
  const client = CLIENTS[manner.client];
  const entry = ownEntry(client, programOf(context));
  context.note(`for ${placeOf(client, manner.file, surroundingsOf(context, manner))}:`);
  context.print(await editedClientText(client, "", [{ name: OWN_NAME, entry }]));
  return 0;
}

/** Resolves with the exit code. Rejects with `client_unreadable`; nothing is written then. */
export async function connectClient(context: CommandContext, manner: ConnectManner): Promise<number> {
  const client = CLIENTS[manner.client];
  const known = manner.keepOthers ? null : knownBackends(context, client.title);
  const plan = await planConnection(client, programOf(context), known, surroundingsOf(context, manner));
  for (const note of plan.notes) context.note(note);
  if (plan.after === plan.text) {
    context.note(`${client.title} uses Mountaineer already: ${plan.path}`);
    return 0;
  }
  if (!(await isAgreed(context, plan, manner.yes))) return FAILED_EXIT;
  await writePlan(context.home, plan);
  done(context, `${client.title} uses Mountaineer now: ${plan.path}`);
  if (client.afterwards !== null) context.print(`  next: ${client.afterwards}\n`);
  context.print(`  mountaineer connect ${client.name} --undo puts its file back\n`);
  return 0;
}

/** The same, the other way. */
export async function disconnectClient(context: CommandContext, manner: ConnectManner): Promise<number> {
  const plan = await planUndo(CLIENTS[manner.client], surroundingsOf(context, manner));
  const { client, path, text, after } = plan;
  if (after === text) context.note(`${client.title} does not use Mountaineer: ${path}`);
  else if (!(await isAgreed(context, plan, manner.yes))) return FAILED_EXIT;
  await writePlan(context.home, plan);
  if (after !== text) done(context, `${client.title} is as it was: ${path}`);
  return 0;
}

function surroundingsOf({ home }: CommandContext, { file }: ConnectManner): ConnectionSurroundings {
  const environment = process.env;
  return { home, file, userHome: findPlace(environment).userHome, environment, folder: process.cwd() };
}

function knownBackends(context: CommandContext, title: string): KnownBackends {
  return {
    config: () =>
      viewConfig(context, async ({ read, format }) => {
        const bytes = await read();
        return bytes === null ? {} : textValues(decodedText(bytes), format);
      }),
    serving(names) {
      context.note(`looking which servers of ${title} serve here`);
      return readyBackends(context, names);
    },
  };
}

/** Waits for those that are being started. Without a daemon they are started once, to see. */
async function readyBackends(context: CommandContext, wanted: readonly string[]): Promise<readonly string[]> {
  const untilMs = systemClock.monotonicMs() + START_WAIT_MS;
  return withGateway(context, async (gateway) => {
    for (;;) {
      const backends = await gateway.backends(context.signal);
      const isStarting = backends.some((one) => wanted.includes(one.name) && !isSettled(one));
      if (!isStarting || systemClock.monotonicMs() > untilMs) return servingNames(backends);
      await systemClock.sleep(BETWEEN_LOOKS_MS, context.signal);
    }
  });
}

async function isAgreed(context: CommandContext, plan: ConnectionPlan, yes: boolean): Promise<boolean> {
  context.print(renderDiff(await planDiff(plan), context.stdoutStyle));
  return yes || agrees(context, "Change it so?");
}

function programOf({ home, configPath }: CommandContext): OwnProgram {
  return ownProgram({ launcher: launcherPath(), home, configPath, environment: process.env });
}

function done(context: CommandContext, line: string): void {
  const { symbols, green } = paintFor(context.stdoutStyle);
  context.print(`${green(symbols.good)} ${harmless(line)}\n`);
}
